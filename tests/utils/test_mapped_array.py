"""Arrays of hours of audio: in a file, and out of memory when they are done with."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest

from lipsync.utils.mapped_array import PIECE, copy_samples, large_zeros, pieces, release

MEGABYTE = 2**20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_long_array_does_not_stay_in_memory(folder: Path) -> None:
    count = 32 * PIECE  # 128 MB
    process = psutil.Process()
    before = process.memory_info().rss
    array = large_zeros(count)
    for number, part in enumerate(pieces(array)):
        assert not part.any()
        part[:] = number
    assert process.memory_info().rss < before + 32 * MEGABYTE
    assert [float(part[-1]) for part in pieces(array)] == list(range(32))
    assert process.memory_info().rss < before + 32 * MEGABYTE
    assert list(folder.iterdir()) == []


def test_views_are_released_too(folder: Path) -> None:
    array = large_zeros((80, PIECE))
    array[3, 5] = 7
    release(array[1:, 2:])
    assert array[3, 5] == 7 and array.shape == (80, PIECE) and array.flags.writeable


def test_short_arrays_are_ordinary_ones() -> None:
    array = large_zeros(1000)
    array[:] = 2
    release(array)
    assert array.base is None and array.sum() == 2000


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="its space is written there")
def test_a_full_folder_of_temporary_files_leaves_the_array_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    array = large_zeros(8 * PIECE)
    array[-1] = 1
    assert array.sum() == 1 and array.base is None and list(folder.iterdir()) == []


def test_copies_in_pieces() -> None:
    source = np.arange(3 * PIECE + 5, dtype=np.float32)
    target = large_zeros(len(source))
    copy_samples(source, target)
    copy_samples(source, target, add=True)
    np.testing.assert_array_equal(target, 2 * source)
    copy_samples(source[:0], target[:0])
