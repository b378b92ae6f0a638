"""Arrays of hours of audio, in a temporary file instead of in memory."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Float32Array: TypeAlias = npt.NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)
MAPPED_BYTES = 16 << 20
"""Size above which an array lies in a file: four minutes of mono audio at 16 kHz."""
PIECE = 1 << 20
"""Rows of a piece by default: a minute of audio."""


def large_zeros(shape: int | tuple[int, ...]) -> Float32Array:
    """Zeros, float32; more than 16 MB of them lie in an unnamed temporary file.

    The file goes with the array. Where the folder of temporary files is full, the array is in memory.
    """
    shape = (shape,) if isinstance(shape, int) else shape
    size = 4 * math.prod(shape)
    if size <= MAPPED_BYTES:
        return np.zeros(shape, np.float32)
    try:
        mapped = _mapped_file(size)
    except OSError:
        return np.zeros(shape, np.float32)
    return np.frombuffer(mapped, np.float32).reshape(shape)


def release(array: npt.NDArray[Any]) -> None:
    """Drop an array of `large_zeros` from memory; its values stay in the file. Others stay as they are."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def pieces(array: npt.NDArray[Scalar], size: int = PIECE) -> Iterator[npt.NDArray[Scalar]]:
    """Consecutive views of `size` rows, the last one shorter; each is released when it is done with."""
    for start in range(0, len(array), size):
        yield array[start : start + size]
        release(array)


def copy_samples(source: Float32Array, target: Float32Array, add: bool = False) -> None:
    """Copy an array into another of the same length, or add it; neither stays in memory."""
    for part, into in zip(pieces(source), pieces(target), strict=True):
        np.add(into, part, out=into) if add else np.copyto(into, part)


def _mapped_file(size: int) -> mmap.mmap:
    """A new file of zeros in memory; its space is reserved, since a full disk would end the process later."""
    with tempfile.TemporaryFile(prefix="lipsync-") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            for start in range(0, size, PIECE):
                file.write(bytes(min(PIECE, size - start)))
            file.flush()
        return mmap.mmap(file.fileno(), size)
