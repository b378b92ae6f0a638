"""Safe reading of checkpoints: pickle, safetensors and TorchScript.

No code of a file is run: pickles are read with `weights_only=True`; of a TorchScript archive only the
tensors are read.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import torch
from torch import nn

from lipsync.errors import WeightsError

StateDict: TypeAlias = dict[str, torch.Tensor]

# Raised by readers on malformed data, besides their own errors.
_MALFORMED = (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError)
# Keys under which files keep the state dict: most projects; then BasicSR's (GFPGAN, Real-ESRGAN), whose
# own loaders also prefer the EMA weights.
_WRAPPERS = ("state_dict", "params_ema", "params")
_RETRY_HINT = "Download the file again, or choose another one."


def load_state_dict(path: Path) -> StateDict:
    """Read the state dict of a weights file of any supported format, onto the CPU.

    PyTorch's pickle formats (zip and legacy), plain or under one of `_WRAPPERS`, safetensors, and
    TorchScript archives; recognised by content, not by name. "module." is removed anywhere in a key,
    as in Wav2Lip's own loader.

    Raises:
        WeightsError: the file is missing, empty, damaged, no weights file, or contains code.
    """
    path = Path(path)
    try:
        loaded = _reader(path, _read_head(path))(path)
    except OSError as error:
        what = f"A weights file cannot be read ({error.strerror})"
        raise WeightsError(what, given=path, hint="Check its permissions.") from error
    parts = [loaded.get(name) for name in _WRAPPERS] if isinstance(loaded, Mapping) else []
    state = next((part for part in parts if isinstance(part, Mapping)), loaded)
    if not isinstance(state, Mapping) or not state:
        raise WeightsError("A file holds no weights", given=f"{path}, a {type(state).__name__}")
    if odd := [key for key, value in state.items() if not isinstance(value, torch.Tensor)]:
        raise WeightsError("A file holds other things than weights", given=f"{path}: {odd[0]!r}")
    return {str(key).replace("module.", ""): value for key, value in state.items()}


def read_header(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; empty for other formats."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return {}


def _read_head(path: Path) -> bytes:
    if not path.exists():
        raise WeightsError("A weights file is missing", given=path, hint="Check the path.")
    if path.is_dir():
        raise WeightsError("A folder was given as weights", given=path, hint="Name the file in it.")
    with path.open("rb") as file:
        return file.read(1024)


def _reader(path: Path, head: bytes) -> Callable[[Path], Any]:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise WeightsError("A weights file is empty", given=path, hint=_RETRY_HINT)
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            "A web page was saved instead of the weights",
            given=path,
            hint="On GitHub and Hugging Face use the link of the download button ('resolve' or 'raw', "
            "not 'blob').",
        )
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(
            "The file is only a git-lfs pointer to the weights",
            given=path,
            hint="Run 'git lfs pull' in that repository, or download the file itself.",
        )
    if head.startswith(b"PK\x03\x04"):
        return _read_zip
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return _read_safetensors
    return _read_pickle


def _damaged(path: Path) -> WeightsError:
    return WeightsError(
        "A weights file is cut off, damaged, or no weights file at all",
        given=f"{path} ({path.stat().st_size:,} bytes)",
        hint=_RETRY_HINT,
    )


def _contains_code(path: Path, found: str) -> WeightsError:
    return WeightsError(
        "A weights file wants to run code when it is opened, and was refused",
        given=f"{path} ({found})",
        hint="Use a file from a source that you trust, or its safetensors form.",
    )


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path) from error


def _read_zip(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                return _read_torchscript(path, archive)
    except zipfile.BadZipFile as error:
        raise _damaged(path) from error
    # Memory-mapped: only the tensors that are used are read; the optimiser state, two thirds, is not.
    return _read_pickle(path, mmap=True)


def _read_pickle(path: Path, mmap: bool = False) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        if any(sign in str(error) for sign in ("GLOBAL", "call reduce", "instantiate")):
            raise _contains_code(path, _forbidden_name(str(error))) from error
        raise _damaged(path) from error
    except _MALFORMED as error:
        raise _damaged(path) from error


def _forbidden_name(text: str) -> str:
    """`os.system` from torch's "Unsupported global: GLOBAL os.system was not an allowed …"."""
    words = text.partition("GLOBAL ")[2].split()
    return words[0] if words else "a call that is not allowed"


def _read_torchscript(path: Path, archive: zipfile.ZipFile) -> Any:
    pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
    folder = pickled.removesuffix("data.pkl")
    try:
        with archive.open(pickled) as file:
            module = _TensorUnpickler(file, lambda key: archive.read(f"{folder}data/{key}")).load()
    except (pickle.UnpicklingError, *_MALFORMED) as error:
        raise _damaged(path) from error
    state: StateDict = {}
    _collect(module, "", state)
    return state


class _Module:
    """Placeholder for every class of the archive: keeps attributes, runs nothing."""

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler for the tensors of a TorchScript archive.

    `torch.jit.load` would run the archive's own `__setstate__`, and is deprecated. Here a pickle can
    reach only the names below.
    """

    def __init__(self, file: IO[bytes], storage: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name.endswith("Storage"):
            return name.removesuffix("Storage").lower()
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
        }
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return list
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, identity: Any) -> torch.Tensor:
        _, kind, key, _, _ = identity
        return torch.frombuffer(bytearray(self._storage(key)), dtype=getattr(torch, kind))


def _rebuild_tensor(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: object) -> torch.Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _collect(module: object, prefix: str, state: StateDict) -> None:
    for name, value in getattr(module, "attributes", {}).items():
        if isinstance(value, torch.Tensor):
            state[prefix + name] = value
        elif isinstance(value, _Module):
            _collect(value, f"{prefix}{name}.", state)


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
    own = network.state_dict()
    # A counter that only training uses; files converted from other formats lack it.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    if not (missing or unexpected or reshaped):
        if any(value.is_meta for value in own.values()):
            given = {key: state.get(key, torch.zeros(())).to(value.dtype) for key, value in own.items()}
            network.load_state_dict(given, assign=True)
        else:
            network.load_state_dict(state, strict=False)
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
