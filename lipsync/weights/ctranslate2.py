"""Reading of CTranslate2's `model.bin`.

Little-endian: version, name of the specification, revision, number of variables; then for each its name
(16-bit length, zero-terminated), rank (8 bits), sizes (32 bits each), type (8 bits), number of bytes
(32 bits) and data. After them follow aliases, which nothing here needs.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsync.errors import WeightsError
from lipsync.weights.checkpoint import StateDict
from lipsync.weights.weights_file import check_weights_file

_VERSION = 6
_TYPES = ("<f4", "i1", "<i2", "<i4", "<f2")
"""NumPy's type of each of CTranslate2's, up to float16."""


def read_ctranslate2(path: Path, prefix: str = "") -> StateDict:
    """The variables of a `model.bin` whose names begin with `prefix`, under the rest of the name.

    Raises:
        WeightsError: the file is missing, damaged, cut off, or of another format.
    """
    hint = "It is CTranslate2's model.bin; the parts of one in several files have to be joined first."
    check_weights_file(path)
    try:
        data = memoryview(np.memmap(path, np.uint8, "r"))  # type: ignore[arg-type]
        return dict(_variables(data, prefix))
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise WeightsError("A weights file is damaged or of another format", given=path, hint=hint) from error


def _variables(data: memoryview, prefix: str) -> list[tuple[str, torch.Tensor]]:
    at = 0

    def take(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def take_bytes(count: int) -> memoryview:
        nonlocal at
        if at + count > len(data):
            raise ValueError("cut off")
        at += count
        return data[at - count : at]

    if take("I") != _VERSION:
        raise ValueError("another version of the format")
    take_bytes(take("H"))
    take("I")
    found = []
    for _ in range(take("I")):
        name = bytes(take_bytes(take("H"))).rstrip(b"\0").decode()
        shape = [take("I") for _ in range(take("B"))]
        dtype = np.dtype(_TYPES[take("B")])
        values = np.frombuffer(take_bytes(take("I")), dtype).reshape(shape)
        if name.startswith(prefix):
            found.append((name.removeprefix(prefix), torch.from_numpy(values.copy())))
    return found
