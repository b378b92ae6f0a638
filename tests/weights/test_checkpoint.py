"""Every format a weights file comes in, and every way it can be wrong."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lipsync.errors import WeightsError
from lipsync.weights import StateDict, load_into, load_state_dict


class Small(nn.Module):
    """Nested like the real networks: a list, a sequence, a norm with a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.others = nn.ModuleList([nn.ConvTranspose2d(4, 2, 2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.others:
            x = block(x)
        return x


@pytest.fixture
def network() -> Small:
    torch.manual_seed(1)
    return Small().eval()


def official(state: StateDict) -> dict[str, object]:
    prefixed = {f"module.{key}": value for key, value in state.items()}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]}
    return {"state_dict": prefixed, "optimizer": optimizer, "global_step": 5, "global_epoch": 1}


WRITERS: dict[str, Callable[[Small, Path], None]] = {
    "official": lambda network, path: torch.save(official(network.state_dict()), path),
    "legacy pickle": lambda network, path: torch.save(
        official(network.state_dict()), path, _use_new_zipfile_serialization=False
    ),
    "plain": lambda network, path: torch.save(network.state_dict(), path),
    "plain with prefix": lambda network, path: torch.save(official(network.state_dict())["state_dict"], path),
    "safetensors": lambda network, path: save_file(network.state_dict(), path),
    "traced": lambda network, path: torch.jit.trace(network, torch.zeros(1, 3, 8, 8)).save(str(path)),
    "scripted": lambda network, path: torch.jit.script(network).save(str(path)),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of making TorchScript
@pytest.mark.parametrize("form", WRITERS)
def test_every_format_gives_the_same_tensors(form: str, network: Small, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"  # the name tells nothing
    WRITERS[form](network, path)
    loaded = load_state_dict(path)
    assert set(loaded) == set(network.state_dict())
    for key, value in network.state_dict().items():
        assert torch.equal(loaded[key], value), key


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_halves_in_torchscript_go_into_a_network_of_floats(network: Small, tmp_path: Path) -> None:
    torch.jit.script(network.half()).save(str(tmp_path / "half.pt"))
    fresh = Small()
    load_into(fresh, load_state_dict(tmp_path / "half.pt"), what="the small one")
    assert fresh.first[0].weight.dtype == torch.float32
    assert torch.equal(fresh.first[0].weight, network.first[0].weight.float())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_code_in_torchscript_is_not_run(tmp_path: Path) -> None:
    class Trap(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        @torch.jit.export
        def __getstate__(self) -> tuple[torch.Tensor, bool]:
            return self.weight, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
            assert False, "the code of the file was run"  # noqa: B011

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    torch.jit.script(Trap()).save(str(tmp_path / "trap.pt"))
    with pytest.raises(torch.jit.Error, match="the code of the file was run"):
        torch.jit.load(str(tmp_path / "trap.pt"))  # so the trap is a real one
    with pytest.raises(WeightsError, match="holds no weights"):
        load_state_dict(tmp_path / "trap.pt")


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_wants_to_run_code_is_refused(zipped: bool, tmp_path: Path) -> None:
    made = tmp_path / "made by the file"
    torch.save({"a": Evil(made)}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"wants to run code.*mkdir"):
        load_state_dict(tmp_path / "evil.pth")
    assert not made.exists()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_torchscript_pickle_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    import zipfile

    made = tmp_path / "made by the file"
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("evil/constants.pkl", b"")
        archive.writestr("evil/data.pkl", pickle.dumps(Evil(made), protocol=2))
    with pytest.raises(WeightsError):
        load_state_dict(tmp_path / "evil.pt")
    assert not made.exists()


def whole(tmp_path: Path, zipped: bool = True) -> bytes:
    path = tmp_path / "whole.pth"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes()


BAD: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "is empty"),
    "web page": (lambda _: b"\n\n<!DOCTYPE html>\n<html>blob", "web page was saved.*'blob'"),
    "web page with a mark": (lambda _: b"\xef\xbb\xbf<HTML>", "web page was saved"),
    "git-lfs": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git-lfs pointer"),
    "text": (lambda _: b"hello world\n" * 20, "no weights file at all"),
    "noise": (lambda _: bytes((i * 7919) % 251 for i in range(9000)), "no weights file at all"),
    "cut off zip": (lambda folder: whole(folder)[:-900], "cut off"),
    "cut off legacy": (lambda folder: whole(folder, zipped=False)[:-900], "cut off"),
    "cut off safetensors": (lambda _: (60).to_bytes(8, "little") + b'{"a":' + b" " * 80, "cut off"),
    "another zip": (lambda _: b"PK\x05\x06" + b"\0" * 18, "no weights file at all"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_have_their_own_words(kind: str, tmp_path: Path) -> None:
    make, text = BAD[kind]
    path = tmp_path / "bad.pth"
    path.write_bytes(make(tmp_path))
    with pytest.raises(WeightsError, match=text) as caught:
        load_state_dict(path)
    assert "bad.pth" in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        load_state_dict(tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="folder was given"):
        load_state_dict(tmp_path)


@pytest.mark.parametrize("content", [[1], {"epoch": 1}, {}, {"state_dict": {"a": "b"}}, torch.ones(2)])
def test_other_things_than_weights(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"holds no weights|other things than weights"):
        load_state_dict(tmp_path / "other.pth")


def test_load_into_says_what_does_not_fit(network: Small) -> None:
    state = dict(network.state_dict())
    del state["first.0.bias"]
    state["extra"] = torch.ones(1)
    state["first.0.weight"] = torch.ones(1)
    with pytest.raises(WeightsError) as caught:
        load_into(Small(), state, what="the small one", path="some.pth")
    text = str(caught.value)
    for part in ("not those of the small one", "some.pth", "1 missing (such as first.0.bias)"):
        assert part in text
    assert "1 unexpected (such as extra)" in text and "1 of another shape (such as first.0.weight)" in text


def test_load_into_refuses_another_shape_alone(network: Small) -> None:
    state = {**network.state_dict(), "first.0.bias": torch.ones(5)}
    with pytest.raises(WeightsError, match="1 of another shape"):
        load_into(Small(), state, what="the small one")


def test_load_into_guesses_the_other_network(network: Small) -> None:
    with pytest.raises(WeightsError, match=r"looks like the sync expert \(lipsync_expert.pth\)"):
        load_into(network, {"face_encoder.0.conv_block.0.weight": torch.ones(1)}, what="the small one")


def test_load_into_does_without_the_counters_of_training(network: Small) -> None:
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    load_into(Small(), state, what="the small one")


def test_a_network_without_memory_takes_the_tensors_themselves(network: Small, tmp_path: Path) -> None:
    halves = {
        k: v.half() if v.is_floating_point() else v
        for k, v in network.state_dict().items()
        if not k.endswith("num_batches_tracked")
    }
    with torch.device("meta"):
        fresh = Small()
    load_into(fresh, halves, what="the small one")
    for name, value in fresh.state_dict().items():
        assert value.dtype == network.state_dict()[name].dtype and not value.is_meta
        if name in halves:
            torch.testing.assert_close(value, halves[name].to(value.dtype), atol=0, rtol=0)
    with torch.device("meta"), pytest.raises(WeightsError, match="not those of"):
        load_into(Small(), {"first.0.bias": torch.ones(5)}, what="the small one")
