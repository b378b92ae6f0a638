"""Split requested frame indices into monotone runs, one decoding pass each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lipsync.types import IntArray

MAX_SKIP = 300
"""Frames; beyond this starting another ffmpeg that seeks is faster than decoding the frames in between."""


def monotone_runs(indices: IntArray, groups: IntArray) -> Iterator[IntArray]:
    """Split `indices` into maximal runs that are non-decreasing or non-increasing.

    A run stays within one group and has no step larger than `MAX_SKIP`. Repeats stay in the run.

    Args:
        indices: int64 (n,) frame indices in the order requested.
        groups: int64 (n,) time range of the file that each index lies in.

    Yields:
        Consecutive parts of `indices`.
    """
    steps = np.diff(indices)
    breaks = (np.diff(groups) != 0) | (np.abs(steps) > MAX_SKIP)
    start, direction = 0, 0
    for place, step in enumerate(np.sign(steps), start=1):
        if breaks[place - 1] or step * direction < 0:
            yield indices[start:place]
            start, direction = place, 0
        elif step:
            direction = step
    if len(indices):
        yield indices[start:]


def backward_blocks(run: IntArray, size: int) -> Iterator[IntArray]:
    """Split a non-increasing run, int64 (n,), into blocks of at most `size` distinct indices.

    Repeats of an index stay in one block.
    """
    changes = np.flatnonzero(np.diff(run)) + 1  # positions where a new index starts
    return iter(np.split(run, changes[size - 1 :: size]))
