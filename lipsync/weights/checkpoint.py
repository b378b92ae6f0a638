"""Safe reading of checkpoints: pickle, safetensors and TorchScript.

No code of a file is run: pickles are read with `weights_only=True`; of a TorchScript archive only the
tensors are read. No size is believed that the file is too short for.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from lipsync.errors import WeightsError
from lipsync.weights.torchscript import is_torchscript, read_torchscript
from lipsync.weights.weights_file import (
    RETRY_HINT,
    check_pickle,
    check_weights_file,
    check_zip,
    damaged,
    reading_errors,
)

StateDict: TypeAlias = dict[str, torch.Tensor]

# Keys under which files keep the state dict: most projects; then BasicSR's (GFPGAN, Real-ESRGAN), whose
# own loaders also prefer the EMA weights.
_WRAPPERS = ("state_dict", "params_ema", "params")
_LEGACY_PICKLES = 4  # of torch before 1.6: a number, a version, the machine, the content
_SHARED = 2  # how often a tensor may be in a file under several names, before its size is a lie


def load_state_dict(path: Path) -> StateDict:
    """Read the state dict of a weights file of any supported format, onto the CPU.

    PyTorch's pickle formats (zip and legacy), plain or under one of `_WRAPPERS`, safetensors, and
    TorchScript archives; recognised by content, not by name. "module." is removed anywhere in a key,
    as in Wav2Lip's own loader.

    Raises:
        WeightsError: the file is missing, no regular file, empty, damaged, no weights file, or contains
            code.
    """
    path = Path(path)
    loaded = read_weights(path)
    parts = [loaded.get(name) for name in _WRAPPERS] if isinstance(loaded, Mapping) else []
    state = next((part for part in parts if isinstance(part, Mapping)), loaded)
    if not isinstance(state, Mapping) or not state:
        raise WeightsError("A file holds no weights", given=f"{path}, a {type(state).__name__}")
    if odd := [key for key, value in state.items() if not _is_plain(value)]:
        raise WeightsError("A file holds other things than weights", given=f"{path}: {odd[0]!r}")
    _check_claims(path, state)
    return {str(key).replace("module.", ""): value for key, value in state.items()}


def _is_plain(value: object) -> bool:
    """Whether a value is a tensor of real numbers with data of its own: not sparse, quantised or empty."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_quantized or value.is_complex() or value.is_nested)
    )


def _check_claims(path: Path, state: Mapping[object, torch.Tensor]) -> None:
    """Refuse tensors that repeat few numbers until they are larger than the file."""
    claimed = sum(value.numel() * value.element_size() for value in state.values())
    if claimed > _SHARED * path.stat().st_size:
        raise damaged(path, f"its tensors claim {claimed:,} bytes")


def read_weights(path: Path, mapped: bool = True) -> Any:
    """What a weights file of any format holds: its state dict, or what its pickle holds around that.

    Args:
        mapped: tensors of an archive may stay in the file, see `load_into`.

    Raises:
        WeightsError: as `load_state_dict`, where the file cannot be read.
    """
    head = check_weights_file(path)
    with reading_errors(path):
        return _reader(path, head, mapped)(path)


def load_safetensors(path: Path, prefix: str = "") -> tuple[StateDict, dict[str, str]]:
    """Tensors and header of a safetensors file.

    Args:
        prefix: only tensors whose name begins with it are read.

    Raises:
        WeightsError: the file is missing, no regular file, damaged, or of another format.
    """
    from safetensors import safe_open

    check_weights_file(path)
    with reading_errors(path), safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - no mapping
        return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})


def read_header(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; empty for other formats.

    Raises:
        WeightsError: the file is missing or no regular file.
    """
    from safetensors import SafetensorError, safe_open

    check_weights_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def _reader(path: Path, head: bytes, mapped: bool) -> Callable[[Path], Any]:
    if head.startswith(b"PK\x03\x04"):
        return functools.partial(_read_zip, mapped=mapped)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return _read_safetensors
    return _read_legacy


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _read_zip(path: Path, mapped: bool) -> Any:
    with zipfile.ZipFile(path) as archive:
        check_zip(path, archive)
        if is_torchscript(archive):
            return read_torchscript(path, archive)
        for name in archive.namelist():
            if name.endswith("/data.pkl"):
                check_pickle(path, io.BytesIO(archive.read(name)))
    # Mapped, only the tensors that are used are read; the optimiser state, two thirds, is not.
    return _read_pickle(path, mmap=mapped)


def _read_legacy(path: Path) -> Any:
    # Where it is no pickle, torch finds out what it is instead.
    with path.open("rb") as file, contextlib.suppress(ValueError):
        for _ in range(_LEGACY_PICKLES):
            check_pickle(path, file)
    return _read_pickle(path)


def _read_pickle(path: Path, mmap: bool = False) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if any(sign in str(error) for sign in ("GLOBAL", "call reduce", "instantiate")):
            raise _contains_code(path, _forbidden_name(str(error))) from error
        raise


def _contains_code(path: Path, found: str) -> WeightsError:
    return WeightsError(
        "A weights file wants to run code when it is opened, and was refused",
        given=f"{path} ({found})",
        hint="Use a file from a source that you trust, or its safetensors form.",
    )


def _forbidden_name(text: str) -> str:
    """`os.system` from torch's "Unsupported global: GLOBAL os.system was not an allowed …"."""
    words = text.partition("GLOBAL ")[2].split()
    return words[0] if words else "a call that is not allowed"


_FINGERPRINTS = {
    "face_decoder_blocks.0.0.conv_block.0.weight": "the Wav2Lip generator",
    "face_encoder.0.conv_block.0.weight": "the sync expert (lipsync_expert.pth)",
    "binary_pred.0.weight": "the visual quality discriminator",
    "netcnnlip.0.weight": "SyncNet (syncnet_v2.model)",
    "conv3_3_norm_mbox_conf.weight": "the S3FD face detector",
    "stylegan_decoder.constant_input.weight": "GFPGAN",
    "quantize.embedding.weight": "RestoreFormer",
    "body.0.rdb1.conv1.weight": "Real-ESRGAN",
}


def load_into(network: nn.Module, state: StateDict, *, what: str, path: Path | str = "") -> None:
    """Copy `state` into `network`; every name and shape must match.

    A network on the device "meta" takes the tensors themselves, without initialisation or copy. Tensors
    from a file may be a memory map of it, which others may change, so such a network has to be converted
    or copied at once.

    Args:
        what: the expected network, for the message ("the Wav2Lip generator").
        path: the file that `state` came from, for the message.

    Raises:
        WeightsError: the state is of another network; names it if it is a known one.
    """
    check_fits(network, state, what=what, path=path)
    _check_finite(state, path)
    own = network.state_dict()
    if any(value.is_meta for value in own.values()):
        given = {key: state.get(key, torch.zeros(())).to(value.dtype) for key, value in own.items()}
        network.load_state_dict(given, assign=True)
    else:
        network.load_state_dict(state, strict=False)


def check_fits(network: nn.Module, state: StateDict, *, what: str, path: Path | str = "") -> None:
    """Check that every name and shape of `state` matches, without copying.

    On a network on the device "meta" it takes no memory: where sizes come from the file itself, nothing
    is allocated before this.

    Args, Raises:
        as `load_into`.
    """
    own = network.state_dict()
    # A counter that only training uses; files converted from other formats lack it.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    if not (missing or unexpected or reshaped):
        return
    counts = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    summary = ", ".join(f"{len(keys)} {how} (such as {keys[0]})" for how, keys in counts.items() if keys)
    known = next((name for key, name in _FINGERPRINTS.items() if key in state), "")
    guess = f"It looks like {known}. " if known and known != what else ""
    raise WeightsError(
        f"The weights are not those of {what}",
        given=f"{path} has tensors {summary}" if path else f"tensors {summary}",
        hint=f"{guess}Choose the file of {what}.",
    )


def _check_finite(state: StateDict, path: Path | str) -> None:
    """Refuse NaN and infinity, which would make every frame black without a word."""
    for name, value in state.items():
        # The sum finds out in a fifth of the time; it may also overflow.
        if not value.is_floating_point() or bool(value.float().sum().isfinite()):
            continue
        if not bool(value.float().isfinite().all()):
            what = "A weights file holds values that are no numbers"
            raise WeightsError(what, given=f"{path} ({name})" if path else name, hint=RETRY_HINT)
