"""Tensors of a TorchScript archive, read without running the archive's code."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from lipsync.weights.weights_file import check_pickle, damaged

_MAX_ATTRIBUTES, _MAX_DEPTH = 100_000, 100
"""Attributes and nesting of a module; GFPGAN has some 10,000 and 8. A module may hold itself."""


def is_torchscript(archive: zipfile.ZipFile) -> bool:
    """Whether an archive is TorchScript's, not that of `torch.save`."""
    return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path, archive: zipfile.ZipFile) -> dict[str, torch.Tensor]:
    """The tensors of an archive by attribute path, "first.0.weight".

    Args:
        archive: of which `check_zip` has been called.

    Raises:
        WeightsError: it has no data.
        Exception: of any kind for malformed data; the caller is in `reading_errors`.
    """
    pickled = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
    if pickled is None:
        raise damaged(path, "it is a TorchScript archive without data")
    content = archive.read(pickled)
    check_pickle(path, io.BytesIO(content))
    folder = pickled.removesuffix("data.pkl")
    unpickler = _TensorUnpickler(io.BytesIO(content), lambda key: archive.read(f"{folder}data/{key}"))
    return _collect(unpickler.load())


class _Module:
    """Placeholder for every class of the archive: keeps attributes, runs nothing."""

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler for the tensors of a TorchScript archive.

    `torch.jit.load` would run the archive's own `__setstate__`, and is deprecated. Here a pickle can
    reach only the names below, and none of them copies what it is given: a value that is named a million
    times takes its memory once.
    """

    def __init__(self, file: IO[bytes], read: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._read = read
        self._storages: dict[tuple[str, str], torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name.endswith("Storage"):
            return name.removesuffix("Storage").lower()
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("collections", "OrderedDict"): _empty_mapping,
            ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
        }
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return lambda value: value
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, identity: Any) -> torch.Tensor:
        _, kind, key, _, _ = identity
        if (kind, key) not in self._storages:
            data = bytearray(self._read(key))
            self._storages[kind, key] = torch.frombuffer(data, dtype=getattr(torch, kind))
        return self._storages[kind, key]


def _empty_mapping() -> OrderedDict[Any, Any]:
    """An OrderedDict, which the pickle then fills."""
    return OrderedDict()


def _rebuild_tensor(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: object) -> torch.Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _collect(root: object) -> dict[str, torch.Tensor]:
    """Tensors of a module and of those in it, in their order.

    Raises:
        RecursionError: a module holds itself.
    """
    state: dict[str, torch.Tensor] = {}
    pending: list[tuple[tuple[str, ...], object]] = [((), root)]
    for _ in range(_MAX_ATTRIBUTES):
        if not pending:
            return state
        names, value = pending.pop()
        if isinstance(value, torch.Tensor):
            state[".".join(names)] = value
        elif isinstance(value, _Module) and len(names) < _MAX_DEPTH:
            attributes = getattr(value, "attributes", {})
            pending += [((*names, key), part) for key, part in reversed(attributes.items())]
    raise RecursionError
