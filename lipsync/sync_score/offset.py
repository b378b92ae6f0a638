"""Audio-video offset of a clip from its window embeddings.

Offsets follow SyncNet's reference script: frames of 40 ms, positive where the audio is early. (The
`audio_delay` of a training clip is in seconds, positive where the audio is late.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsync.types import FloatArray
from lipsync.utils.mapped_array import pieces

MAX_OFFSET = 15
"""Offsets from -15 to 15 frames are searched, as in the reference script."""
BLOCK_ROWS = 8192
"""Rows to work on at a time: NumPy's functions that pass over NaN copy their input."""


@dataclass(frozen=True)
class SyncEstimate:
    """Offset and confidence of one clip or a part of it.

    Attributes:
        offset: frames by which the audio is early; negative where it is late.
        similarity: mean dot product at that offset, at most 1.
        confidence: similarity less the median over all offsets.
        confidence_at_zero: the same at offset 0, the clip as it is.
        windows: five-frame windows that were compared.
    """

    offset: int
    similarity: float
    confidence: float
    confidence_at_zero: float
    windows: int


def similarity_by_offset(faces: FloatArray, audio: FloatArray, max_offset: int = MAX_OFFSET) -> FloatArray:
    """Dot products of each face window with the audio at each offset.

    Args:
        faces, audio: float32 (N, D), L2-normalised, one row a window, aligned with the frames.

    Returns:
        float32 (N, 2 * max_offset + 1) for offsets -max_offset .. max_offset; NaN outside the audio.
    """
    count = len(faces)
    all_pairs = faces @ audio.T
    out = np.full((count, 2 * max_offset + 1), np.nan, np.float32)
    for column, offset in enumerate(range(-max_offset, max_offset + 1)):
        first, last = max(0, offset), min(count, len(audio) + offset)
        if last > first:
            windows = np.arange(first, last)
            out[windows, column] = all_pairs[windows, windows - offset]
    return out


def mean_by_offset(similarity: FloatArray) -> FloatArray | None:
    """Mean of rows (n, offsets) of `similarity_by_offset` at each offset, float32 (offsets,).

    NaN at offsets where less than half of the windows have audio. None where too little is left to compare:
    no window, nothing at offset 0, or fewer than three offsets.
    """
    known, total = np.zeros(similarity.shape[1], np.int64), np.zeros(similarity.shape[1])
    for rows in pieces(similarity, BLOCK_ROWS):
        known += (~np.isnan(rows)).sum(axis=0)
        total += np.nansum(rows, axis=0, dtype=np.float64)
    enough = known * 2 >= len(similarity)
    if len(similarity) == 0 or not enough[similarity.shape[1] // 2] or enough.sum() < 3:
        return None
    curve = np.full(similarity.shape[1], np.nan, np.float32)
    curve[enough] = total[enough] / known[enough]
    return curve


def estimate_sync(similarity: FloatArray) -> SyncEstimate | None:
    """Offset and confidence over the rows of `similarity_by_offset`; None as for `mean_by_offset`."""
    curve = mean_by_offset(similarity)
    if curve is None:
        return None
    middle, best = len(curve) // 2, int(np.nanargmax(curve))
    median = float(np.nanmedian(curve))
    return SyncEstimate(
        offset=best - middle,
        similarity=float(curve[best]),
        confidence=float(curve[best]) - median,
        confidence_at_zero=float(curve[middle]) - median,
        windows=len(similarity),
    )


def parabolic_peak(curve: FloatArray, best: int) -> float:
    """Subsample position of a peak, by a parabola through three points.

    Args:
        curve: float32 (n,).
        best: index of the maximum.

    Returns:
        Distance from `best`, -0.5 .. 0.5; 0 at an end, or next to NaN.
    """
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, peak, after = (float(curve[best + step]) for step in (-1, 0, 1))
    bend = before - 2 * peak + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def split_into_seconds(similarity: FloatArray, length: int = 21, step: int = 10) -> list[FloatArray]:
    """Overlapping runs of 21 windows (25 frames, one second) that have audio at every offset."""
    complete = np.flatnonzero(~np.isnan(similarity).any(1))
    if len(complete) == 0:
        return []
    starts = range(complete[0], complete[-1] + 2 - length, step)
    return [similarity[start : start + length] for start in starts]
