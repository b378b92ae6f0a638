"""Thresholds of the sync score: from similarities at all offsets to a verdict.

All thresholds come from `benchmarks/sync_score.py` on real clips of people whom the shipped expert was not
trained on; another expert needs its own.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lipsync.sync_score.base import EXPERT_FPS, WINDOW_FRAMES
from lipsync.sync_score.offset import BLOCK_ROWS, MAX_OFFSET, mean_by_offset, parabolic_peak
from lipsync.types import (
    FRAME_MS,
    OFFSETS_IN_SYNC,
    REAL_CONFIDENCE,
    FloatArray,
    IntArray,
    SyncScore,
    TimeSpan,
    Verdict,
)
from lipsync.utils.mapped_array import pieces

MIN_WINDOWS = 46
"""Two seconds; with less, a third of real video is indistinguishable from a wrong voice."""
MIN_WINDOWS_TO_REJECT = 121
"""Five seconds. Less can show that lips and voice agree; that they do not takes this much."""
MIN_CERTAINTY_IN_SYNC = 1.0
"""For a peak near offset 0; 1 wrong voice in 30 reaches it there."""
MIN_CERTAINTY_OFF_SYNC = 1.5
"""For a peak elsewhere; 1 wrong voice in 100 reaches it."""
_SECOND_WINDOWS = 21  # windows that lie in one second
_STEP = 10
_WEAK_WINDOWS = 46
_MERGE_SECONDS = 1.0  # weak segments that are closer are merged
_WEAK_CONFIDENCE = 0.05
"""Over two seconds: 4 in 100 such segments of real video are below, 78 with a wrong voice."""
_SILENCE_DB = -80.0
"""dBFS; windows of silence are all alike, so they match at any offset."""
_SPEECH_RANGE_DB = 25.0
"""Level of non-speech: dB below the loud parts of the voice (its 95th percentile)."""
_MIN_SPEECH_SHARE = 0.6
"""Share of a segment that has to be speech for the segment to be scored."""


def score_similarity(similarity: FloatArray, numbers: IntArray, loudness: FloatArray) -> SyncScore:
    """Sync score of one video.

    Args:
        similarity: (N, 31) of N windows with a face, as `similarity_by_offset`.
        numbers: (N,) their positions in time, 25 a second, increasing.
        loudness: (N,) level of each window's audio at offset 0, dBFS.
    """
    audible = ~np.isnan(similarity[:, MAX_OFFSET]) & (loudness > _SILENCE_DB)
    similarity, numbers, loudness = similarity[audible], numbers[audible], loudness[audible]
    by_offset = mean_by_offset(similarity)
    count = len(similarity)
    if by_offset is None or count < MIN_WINDOWS:
        return SyncScore(Verdict.TOO_SHORT, count)
    best = int(np.nanargmax(by_offset))
    confidence = float(by_offset[best] - np.nanmedian(by_offset))
    certainty = confidence / max(_standard_error(similarity), 1e-6)
    verdict = _verdict(best - MAX_OFFSET, confidence, certainty, count)
    if verdict is Verdict.TOO_SHORT:
        return SyncScore(verdict, count)
    speech = _is_speech(loudness)
    times, curve = _by_second(similarity, numbers, speech, best)
    weak = () if verdict is Verdict.POOR else _weak_segments(similarity, numbers, speech, best)
    return SyncScore(
        verdict=verdict,
        windows=count,
        distance=1 - float(by_offset[best]),
        confidence=confidence,
        certainty=certainty,
        offset=best - MAX_OFFSET,
        offset_ms=FRAME_MS * (best - MAX_OFFSET + parabolic_peak(by_offset, best)),
        by_offset=tuple(by_offset.tolist()),
        times=times,
        curve=curve,
        weak=weak,
    )


def _standard_error(similarity: FloatArray) -> float:
    """Standard error of a mean similarity, with each second as one independent sample.

    The spread is that over the offsets of each window; what all its offsets share does not depend on sync.
    """
    count, total, squares = 0, 0.0, 0.0
    for rows in pieces(similarity, BLOCK_ROWS):
        deviations = rows - np.nanmean(rows, axis=1, keepdims=True)
        count += int((~np.isnan(deviations)).sum())
        total += float(np.nansum(deviations, dtype=np.float64))
        squares += float(np.nansum(np.square(deviations), dtype=np.float64))
    spread = math.sqrt(max(0.0, squares / count - (total / count) ** 2))
    return spread / math.sqrt(len(similarity) / EXPERT_FPS)


def _verdict(offset: int, confidence: float, certainty: float, windows: int) -> Verdict:
    in_sync = OFFSETS_IN_SYNC[0] <= offset <= OFFSETS_IN_SYNC[1]
    if certainty < (MIN_CERTAINTY_IN_SYNC if in_sync else MIN_CERTAINTY_OFF_SYNC):
        return Verdict.POOR if windows >= MIN_WINDOWS_TO_REJECT else Verdict.TOO_SHORT
    if not in_sync:
        return Verdict.OFF
    return Verdict.GOOD if confidence >= REAL_CONFIDENCE[0] else Verdict.FAIR


def _is_speech(loudness: FloatArray) -> npt.NDArray[np.bool_]:
    return loudness > np.percentile(loudness, 95) - _SPEECH_RANGE_DB


def _segment_confidence(
    similarity: FloatArray, numbers: IntArray, speech: npt.NDArray[np.bool_], best: int, length: int
) -> list[tuple[int, float]]:
    """First window and confidence of segments of `length` windows, one every 0.4 s.

    The confidence is NaN where too few windows are speech.
    """
    segments = []
    for start in range(int(numbers[0]), max(int(numbers[0]), int(numbers[-1]) + 1 - length) + 1, _STEP):
        first, last = np.searchsorted(numbers, (start, start + length))
        rows, confidence = similarity[first:last], np.nan
        if len(rows) >= _MIN_SPEECH_SHARE * length and speech[first:last].mean() >= _MIN_SPEECH_SHARE:
            by_offset = mean_by_offset(rows)
            if by_offset is not None:
                confidence = float(by_offset[best] - np.nanmedian(by_offset))
        segments.append((start, confidence))
    return segments


def _by_second(
    similarity: FloatArray, numbers: IntArray, speech: npt.NDArray[np.bool_], best: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Midpoints in seconds and confidence of one-second segments."""
    segments = _segment_confidence(similarity, numbers, speech, best, _SECOND_WINDOWS)
    times = tuple((start + EXPERT_FPS / 2) / EXPERT_FPS for start, _ in segments)
    return times, tuple(confidence for _, confidence in segments)


def _weak_segments(
    similarity: FloatArray, numbers: IntArray, speech: npt.NDArray[np.bool_], best: int
) -> tuple[TimeSpan, ...]:
    weak: list[TimeSpan] = []
    for start, confidence in _segment_confidence(similarity, numbers, speech, best, _WEAK_WINDOWS):
        if not confidence < _WEAK_CONFIDENCE:
            continue
        segment = TimeSpan(start / EXPERT_FPS, (start + _WEAK_WINDOWS + WINDOW_FRAMES - 1) / EXPERT_FPS)
        if weak and segment.start <= weak[-1].end + _MERGE_SECONDS:
            segment = TimeSpan(weak.pop().start, segment.end)
        weak.append(segment)
    return tuple(weak)
