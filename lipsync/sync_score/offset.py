"""From embeddings to figures: how far, and how surely, sound and picture of a clip are apart.

An offset is told as SyncNet's reference script tells it: in frames of 40 ms, positive where the sound
comes early. (The lag of a training set's clip is told in seconds, positive where it comes late.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsync.types import FloatArray

REACH = 15
"""Offsets are looked for from -15 to 15 frames, as in the reference script."""


@dataclass(frozen=True)
class Sync:
    """What an expert says of one clip or a part of it.

    Attributes:
        offset: frames by which the sound comes early; negative where it comes late.
        likeness: mean dot product at that offset, at most 1.
        margin: likeness less the median over all offsets: the expert's confidence.
        margin_as_given: the same of the clip as it is, without a shift.
        windows: five-frame windows that were compared.
    """

    offset: int
    similarity: float
    margin: float
    margin_as_given: float
    windows: int


def similarity_by_offset(faces: FloatArray, sound: FloatArray, reach: int = REACH) -> FloatArray:
    """Dot products of each window's picture with the sound at each offset.

    Args:
        faces, sound: (N, D) of length 1, one row a window, in step with the frames.

    Returns:
        (N, 2 * reach + 1) for offsets -reach .. reach; NaN where the clip has no such sound.
    """
    count = len(faces)
    all_pairs = faces @ sound.T
    out = np.full((count, 2 * reach + 1), np.nan, np.float32)
    for column, offset in enumerate(range(-reach, reach + 1)):
        first, last = max(0, offset), min(count, len(sound) + offset)
        if last > first:
            windows = np.arange(first, last)
            out[windows, column] = all_pairs[windows, windows - offset]
    return out


def mean_by_offset(similarity: FloatArray) -> FloatArray | None:
    """Mean likeness at each offset of what `similarity_by_offset` gave, or of some of its rows.

    NaN at offsets at which less than half of the windows have sound: their means say little. None
    where there is nothing left to compare.
    """
    known = ~np.isnan(similarity)
    enough = known.sum(0) * 2 >= len(similarity)
    if len(similarity) == 0 or not enough[similarity.shape[1] // 2] or enough.sum() < 3:
        return None
    curve = np.full(similarity.shape[1], np.nan, np.float32)
    curve[enough] = np.nanmean(similarity[:, enough], axis=0, dtype=np.float64)
    return curve


def summarise(similarity: FloatArray) -> Sync | None:
    """One judgement of the rows; None where `mean_by_offset` has nothing to compare."""
    curve = mean_by_offset(similarity)
    if curve is None:
        return None
    middle, best = len(curve) // 2, int(np.nanargmax(curve))
    median = float(np.nanmedian(curve))
    return Sync(
        offset=best - middle,
        similarity=float(curve[best]),
        margin=float(curve[best]) - median,
        margin_as_given=float(curve[middle]) - median,
        windows=len(similarity),
    )


def between_offsets(curve: FloatArray, best: int) -> float:
    """How far the peak lies from the highest place of a curve: that of a parabola through three points.

    Args:
        best: place of the highest one.

    Returns:
        -0.5 .. 0.5; 0 at an end, or beside an unknown.
    """
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, peak, after = (float(curve[best + step]) for step in (-1, 0, 1))
    bend = before - 2 * peak + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def parts(similarity: FloatArray, length: int = 21, step: int = 10) -> list[FloatArray]:
    """Stretches of 21 windows (25 frames, one second) in which every offset has its sound."""
    whole = np.flatnonzero(~np.isnan(similarity).any(1))
    if len(whole) == 0:
        return []
    starts = range(whole[0], whole[-1] + 2 - length, step)
    return [similarity[start : start + length] for start in starts]
