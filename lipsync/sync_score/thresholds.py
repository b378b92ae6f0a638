"""From the likeness of every window at every offset to a `SyncScore`.

All thresholds are from `benchmarks/sync_score.py` on real clips of people whom the expert that ships was
not trained on; another expert needs its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lipsync.sync_score.base import FRAMES
from lipsync.sync_score.offset import REACH, between_offsets, mean_by_offset
from lipsync.types import (
    FRAME_MS,
    OFFSETS_IN_SYNC,
    REAL_CONFIDENCE,
    FloatArray,
    IntArray,
    Stretch,
    SyncScore,
    Verdict,
)

FPS = 25
FEWEST_WINDOWS = 46
"""Two seconds; in less, a third of real video is not told from a wrong voice."""
ENOUGH_WINDOWS = 121
"""Five seconds. That lips and voice agree can show sooner; that they don't needs this much."""
SURE_IN_SYNC = 1.0
"""Certainty that a peak near no offset has to have; 1 wrong voice in 30 has it, there."""
SURE_ELSEWHERE = 1.5
"""Certainty of a peak elsewhere; 1 wrong voice in 100 has it."""
_SECOND = 21  # windows that lie in one second
_STEP = 10
_WEAK_WINDOWS = 46
_NEAR_SECONDS = 1.0  # weak stretches that lie closer are told as one
_WEAK = 0.05
"""Confidence of two seconds: 4 in 100 such stretches of real video are below, 78 under a wrong voice."""
_SILENT = -80.0
"""dB of full scale; all silence sounds the same, so it fits anywhere."""
_QUIET = 25.0
"""dB below the loud parts of the voice (its 95th percentile): nobody speaks there."""
_SPOKEN = 0.6
"""Share of a stretch in which somebody has to speak for it to be judged."""


def judge(similarity: FloatArray, numbers: IntArray, loudness: FloatArray) -> SyncScore:
    """The score of one video.

    Args:
        likeness: (N, 31) of N windows with a face, as `similarity_by_offset`.
        numbers: (N,) their numbers in time, 25 a second, rising.
        loudness: (N,) of the sound under each as it is, dB of full scale.
    """
    heard = ~np.isnan(similarity[:, REACH]) & (loudness > _SILENT)
    similarity, numbers, loudness = similarity[heard], numbers[heard], loudness[heard]
    by_offset = mean_by_offset(similarity)
    count = len(similarity)
    if by_offset is None or count < FEWEST_WINDOWS:
        return SyncScore(Verdict.TOO_SHORT, count)
    best = int(np.nanargmax(by_offset))
    confidence = float(by_offset[best] - np.nanmedian(by_offset))
    certainty = confidence / max(_error(similarity), 1e-6)
    verdict = _verdict(best - REACH, confidence, certainty, count)
    if verdict is Verdict.TOO_SHORT:
        return SyncScore(verdict, count)
    times, curve = _by_second(similarity, numbers, _spoken(loudness), best)
    weak = () if verdict is Verdict.POOR else _weak_stretches(similarity, numbers, _spoken(loudness), best)
    return SyncScore(
        verdict=verdict,
        windows=count,
        distance=1 - float(by_offset[best]),
        confidence=confidence,
        certainty=certainty,
        offset=best - REACH,
        offset_ms=FRAME_MS * (best - REACH + between_offsets(by_offset, best)),
        by_offset=tuple(by_offset.tolist()),
        times=times,
        curve=curve,
        weak=weak,
    )


def _error(similarity: FloatArray) -> float:
    """Standard error of a mean likeness, counting each second as one independent sight.

    The spread is that over the offsets of each window; what all its offsets share says nothing of sync.
    """
    spread = float(np.nanstd(similarity - np.nanmean(similarity, axis=1, keepdims=True)))
    return spread / float(np.sqrt(len(similarity) / FPS))


def _verdict(offset: int, confidence: float, certainty: float, windows: int) -> Verdict:
    in_sync = OFFSETS_IN_SYNC[0] <= offset <= OFFSETS_IN_SYNC[1]
    if certainty < (SURE_IN_SYNC if in_sync else SURE_ELSEWHERE):
        return Verdict.POOR if windows >= ENOUGH_WINDOWS else Verdict.TOO_SHORT
    if not in_sync:
        return Verdict.OFF
    return Verdict.GOOD if confidence >= REAL_CONFIDENCE[0] else Verdict.FAIR


def _spoken(loudness: FloatArray) -> npt.NDArray[np.bool_]:
    return loudness > np.percentile(loudness, 95) - _QUIET


def _stretches(
    similarity: FloatArray, numbers: IntArray, spoken: npt.NDArray[np.bool_], best: int, length: int
) -> list[tuple[int, float]]:
    """First window and confidence of stretches of `length` windows, every 0.4 s; NaN where too few count."""
    found = []
    for start in range(int(numbers[0]), max(int(numbers[0]), int(numbers[-1]) + 1 - length) + 1, _STEP):
        first, last = np.searchsorted(numbers, (start, start + length))
        rows, confidence = similarity[first:last], np.nan
        if len(rows) >= _SPOKEN * length and spoken[first:last].mean() >= _SPOKEN:
            by_offset = mean_by_offset(rows)
            if by_offset is not None:
                confidence = float(by_offset[best] - np.nanmedian(by_offset))
        found.append((start, confidence))
    return found


def _by_second(
    similarity: FloatArray, numbers: IntArray, spoken: npt.NDArray[np.bool_], best: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = _stretches(similarity, numbers, spoken, best, _SECOND)
    return tuple((start + FPS / 2) / FPS for start, _ in found), tuple(confidence for _, confidence in found)


def _weak_stretches(
    similarity: FloatArray, numbers: IntArray, spoken: npt.NDArray[np.bool_], best: int
) -> tuple[Stretch, ...]:
    parts: list[Stretch] = []
    for start, confidence in _stretches(similarity, numbers, spoken, best, _WEAK_WINDOWS):
        if not confidence < _WEAK:
            continue
        part = Stretch(start / FPS, (start + _WEAK_WINDOWS + FRAMES - 1) / FPS)
        if parts and part.start <= parts[-1].end + _NEAR_SECONDS:
            part = Stretch(parts.pop().start, part.end)
        parts.append(part)
    return tuple(parts)
