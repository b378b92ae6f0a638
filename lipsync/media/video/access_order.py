"""The order in which frames are asked for, cut into stretches that can be decoded in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lipsync.types import IntArray

MAX_SKIP = 300
"""Frames; beyond this a new ffmpeg that seeks is quicker than decoding what lies between."""


def monotone_runs(numbers: IntArray, groups: IntArray) -> Iterator[IntArray]:
    """Cut `numbers` into the longest runs that go only forward or only backward.

    A run stays inside one group (a time range of the file) and makes no step over `MAX_SKIP`.
    Repeats belong to the run.
    """
    steps = np.diff(numbers)
    breaks = (np.diff(groups) != 0) | (np.abs(steps) > MAX_SKIP)
    start, direction = 0, 0
    for place, step in enumerate(np.sign(steps), start=1):
        if breaks[place - 1] or step * direction < 0:
            yield numbers[start:place]
            start, direction = place, 0
        elif step:
            direction = step
    if len(numbers):
        yield numbers[start:]


def backward_blocks(run: IntArray, size: int) -> Iterator[IntArray]:
    """Cut a backward run into pieces of at most `size` different numbers, repeats kept together."""
    changes = np.flatnonzero(np.diff(run)) + 1  # places where a new number begins
    return iter(np.split(run, changes[size - 1 :: size]))
