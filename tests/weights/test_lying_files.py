"""Weights files that claim what they do not hold: told at once, in our words, for little memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lipsync.errors import WeightsError
from lipsync.faces.detectors.centerface import CenterFace
from lipsync.faces.detectors.onnx_file import with_dynamic_shapes
from lipsync.faces.detectors.s3fd.detector import S3FD
from lipsync.faces.recognition import SFaceSimilarity
from lipsync.generators.builtin.adapter import FORMAT, load_builtin
from lipsync.generators.wav2lip.adapter import load_wav2lip
from lipsync.options import TranscriptOptions
from lipsync.progress import CancelToken, ignore_progress
from lipsync.speech.voice_embedding import load_voice_encoder
from lipsync.speech.whisper_models import choose_model
from lipsync.sync_score import load_expert, load_syncnet
from lipsync.sync_score.loading import FORMAT as EXPERT_FORMAT
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.weights import find, load_state_dict

READERS: dict[str, Callable[[Path], object]] = {
    "any": load_state_dict,
    "builtin": load_builtin,
    "wav2lip": load_wav2lip,
    "expert": load_expert,
    "speaker": load_voice_encoder,
    "syncnet": load_syncnet,
    "centerface": lambda path: CenterFace(weights=path),
    "s3fd": lambda path: S3FD(weights=path),
    "sface": SFaceSimilarity,
    "training": lambda path: read_checkpoint(path, "ema"),
}


@pytest.fixture(autouse=True)
def little_memory() -> object:
    """A gigabyte more than is in use, so that a lie that is believed fails and fills no machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])  # data and stack
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "missing", "nul"])
def test_only_regular_files_are_opened(reader: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "nul":
        path = Path("weights\0.pth")
    with pytest.raises(WeightsError):
        READERS[reader](path)


def test_a_pipe_in_the_folder_of_a_speech_model_is_refused(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_text("{}")
    os.mkfifo(tmp_path / "model.bin")
    with pytest.raises(WeightsError, match="a pipe or a device"):
        choose_model(TranscriptOptions(speech_model_folder=tmp_path), ignore_progress, CancelToken())


def torchscript(pickled: bytes, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("net/constants.pkl", b"\x80\x02).")
        for name, content in {"data.pkl": pickled, **members}.items():
            if content or name != "data.pkl":
                archive.writestr(f"net/{name}", content)
    return file.getvalue()


def module(attributes: bytes) -> bytes:
    """A pickle of a module; `attributes` are opcodes of a name and a value each."""
    return b"\x80\x02c__torch__\nNet\n)\x81q\x01}(" + attributes + b"ub."


def tensor(size: int, stride: int) -> bytes:
    """Opcodes of a float tensor over storage 0, which is claimed to have `size` numbers."""
    count = b"\x8a\x08" + struct.pack("<q", size)
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + count + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\0"
        + count
        + b"\x85K"
        + bytes([stride])
        + (b"\x85\x89}tR")
    )


WEIGHT = b"X\x06\0\0\0weight"


def nested(depth: int) -> bytes:
    start = b"X\x01\0\0\0ac__torch__\nNet\n)\x81}("
    return module(start * depth + WEIGHT + tensor(4, 1) + b"ub" * depth)


def legacy(numbers: int) -> bytes:
    """A file of torch before 1.6 whose storage claims `numbers`."""
    file = io.BytesIO()
    torch.save({"weight": torch.ones(7)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue().replace(b"K\x07N", b"\x8a\x08" + struct.pack("<q", numbers) + b"N", 1)


def pth(content: object, pickled: bytes = b"", compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file of `torch.save`, with other opcodes or compressed."""
    made, file = io.BytesIO(), io.BytesIO()
    torch.save(content, made)
    with zipfile.ZipFile(made) as before, zipfile.ZipFile(file, "w", compression) as after:
        for name in before.namelist():
            replaced = pickled and name.endswith("/data.pkl")
            after.writestr(name, pickled if replaced else before.read(name))
    return file.getvalue()


def safetensors(
    length: int, header: bytes = b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'
) -> bytes:
    return struct.pack("<Q", length) + header + bytes(36)


MANY = 10**12
STORAGE = {"data/0": bytes(16)}
LIES: dict[str, Callable[[], bytes]] = {
    "TorchScript that remembers a billion values": lambda: torchscript(
        b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".", {}
    ),
    "TorchScript of many numbers": lambda: torchscript(module(WEIGHT + tensor(MANY, 1)), STORAGE),
    "TorchScript that repeats a number": lambda: torchscript(module(WEIGHT + tensor(MANY, 0)), STORAGE),
    "TorchScript that unpacks to gigabytes": lambda: torchscript(
        module(WEIGHT + tensor(4, 1)), {"data/0": bytes(2**26)}, zipfile.ZIP_DEFLATED
    ),
    "TorchScript with a long list of bytes": lambda: torchscript(
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".", {}
    ),
    "TorchScript without data": lambda: torchscript(b"", STORAGE),
    "TorchScript without numbers": lambda: torchscript(module(WEIGHT + tensor(4, 1)), {}),
    "TorchScript that is cut off": lambda: torchscript(module(WEIGHT + tensor(4, 1))[:-20], STORAGE),
    "TorchScript that holds itself": lambda: torchscript(module(b"X\x01\0\0\0ah\x01"), STORAGE),
    "TorchScript nested a thousand times": lambda: torchscript(nested(1000), STORAGE),
    "TorchScript nested ten thousand times": lambda: torchscript(nested(10_000), STORAGE),
    "lists nested without end": lambda: torchscript(b"\x80\x02" + b"(" * 10**4 + b"l" * 10**4 + b".", {}),
    "old pickle of many numbers": lambda: legacy(MANY),
    "old pickle of more numbers than there are": lambda: legacy(2**62),
    "old pickle that remembers a billion values": lambda: b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".",
    "pickle that makes bytes": lambda: pth(
        {}, b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\0\0\0\0\x02\x85R."
    ),
    "pickle nested without end": lambda: pth({}, b"\x80\x02" + b"]q\0" + b"]a" * 10**4 + b"."),
    "pickle in compressed parts": lambda: pth({"a": torch.ones(9)}, compression=zipfile.ZIP_DEFLATED),
    "one number repeated": lambda: pth({"a": torch.ones(1).expand(MANY)}),
    "tensor without data": lambda: pth({"a": torch.empty(9, device="meta")}),
    "sparse tensor": lambda: pth({"a": torch.sparse_coo_tensor([[1]], [1.0], (MANY,))}),
    "greatest header of safetensors": lambda: safetensors(2**64 - 1),
    "header of safetensors longer than the file": lambda: safetensors(2**40),
    "header of safetensors as long as allowed": lambda: safetensors(100_000_000),
    "safetensors of many numbers": lambda: safetensors(
        79, b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    ),
    "safetensors nested without end": lambda: safetensors(200_001, b'{"a":' + b"[" * 199_996),
    "not a zip": lambda: b"PK\x03\x04" + bytes(100),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*[Ss]parse:UserWarning")
@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_told(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(LIES[lie]())
    for reader in (load_state_dict, load_builtin):
        with pytest.raises(WeightsError, match=r"weights\.pth") as caught:
            reader(path)
        assert "memory" not in str(caught.value)  # told before anything was made of it


@pytest.mark.parametrize(
    "config",
    [
        None,
        "no JSON",
        "[1]",
        '{"crop": "a"}',
        '{"unknown": 1}',
        '{"widths": [1000000, 1000000, 1000000, 1000000]}',
        '{"voice_width": 10000000}',
        '{"mels": -1}',
        '{"crop": 100000}',
        '{"top": 100}',
    ],
)
def test_a_header_that_lies_about_the_built_in_model(config: str | None, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "builtin.safetensors"
    shipped = find("builtin")
    assert shipped is not None
    with safe_open(shipped, framework="pt") as file:
        known = json.loads(file.metadata()["config"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    if config is not None and config.startswith("{"):
        config = json.dumps(known | json.loads(config))
    save_file(state, path, {"format": FORMAT} | ({} if config is None else {"config": config}))
    with pytest.raises(WeightsError, match=r"builtin\.safetensors"):
        load_builtin(path)


@pytest.mark.parametrize(
    "config", [None, "no JSON", "[1]", '{"width": "a"}', '{"width": 100000}', '{"x": 1}']
)
def test_a_header_that_lies_about_an_expert(config: str | None, tmp_path: Path) -> None:
    path = tmp_path / "expert.safetensors"
    header = {"format": EXPERT_FORMAT} | ({} if config is None else {"config": config})
    save_file({"a": torch.ones(1)}, path, header)
    with pytest.raises(WeightsError, match=r"expert\.safetensors"):
        load_expert(path)


def test_a_number_of_onnx_without_end(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="truncated"):
        with_dynamic_shapes(b"\xff" * 10**6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    from lipsync.generators.wav2lip.network import Wav2LipNetwork

    state = Wav2LipNetwork(width=1 / 16).state_dict()
    state["output_block.1.bias"][0] = value
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match=r"no numbers.*broken\.pth.*output_block\.1\.bias"):
        load_wav2lip(tmp_path / "broken.pth")


@pytest.mark.parametrize("content", [[1], {"network": {}}, {"ema": 3}])
def test_a_file_that_is_no_checkpoint_of_a_training(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="not a checkpoint of a training run"):
        read_checkpoint(tmp_path / "last.pt", "ema", "step")


def test_honest_files_are_read(tmp_path: Path) -> None:
    """The opcodes of this file are those of a real archive."""
    path = tmp_path / "honest.pt"
    numbers = struct.pack("<4f", 1, 2, 3, 4)
    path.write_bytes(torchscript(module(WEIGHT + tensor(4, 1)), {"data/0": numbers}))
    assert load_state_dict(path)["weight"].tolist() == [1, 2, 3, 4]
    path.write_bytes(legacy(7))
    assert load_state_dict(path)["weight"].tolist() == [1] * 7
    assert pickle.loads(b"\x80\x02N.") is None
