from __future__ import annotations

import numpy as np
import pytest

from lipsync.sync_score.thresholds import MIN_WINDOWS, MIN_WINDOWS_TO_REJECT, score_similarity
from lipsync.types import FloatArray, SyncScore, Verdict

LOUD = -20.0


def similarity(
    windows: int, offset: int = 0, peak: float = 0.25, spread: float = 0.2, seed: int = 0
) -> FloatArray:
    """Windows with a peak at one offset, three frames wide as in real video."""
    table = np.random.default_rng(seed).normal(0.3, spread, (windows, 31))
    for step, share in ((-1, 0.5), (0, 1.0), (1, 0.5)):
        if 0 <= 15 + offset + step < 31:
            table[:, 15 + offset + step] += share * peak
    return table.astype(np.float32)


def score_of(table: FloatArray, loudness: FloatArray | None = None) -> SyncScore:
    loud = np.full(len(table), LOUD, np.float32) if loudness is None else loudness
    return score_similarity(table, np.arange(len(table)), loud)


@pytest.mark.parametrize(
    ("offset", "peak", "windows", "verdict"),
    [
        (0, 0.25, 200, Verdict.GOOD),
        (2, 0.25, 200, Verdict.GOOD),
        (-4, 0.25, 200, Verdict.GOOD),
        (3, 0.25, 200, Verdict.OFF),
        (-5, 0.25, 200, Verdict.OFF),
        (0, 0.12, 200, Verdict.FAIR),
        (0, 0.03, 200, Verdict.POOR),
        (9, 0.06, 200, Verdict.POOR),
        (9, 0.06, MIN_WINDOWS_TO_REJECT - 1, Verdict.TOO_SHORT),
        (0, 0.3, MIN_WINDOWS, Verdict.GOOD),
        (0, 0.9, MIN_WINDOWS - 1, Verdict.TOO_SHORT),
        (0, 0.9, 0, Verdict.TOO_SHORT),
    ],
)
def test_the_verdict(offset: int, peak: float, windows: int, verdict: Verdict) -> None:
    score = score_of(similarity(windows, offset, peak))
    assert score.verdict is verdict
    assert score.windows == windows
    if verdict is Verdict.TOO_SHORT:
        assert score.confidence is None and score.curve == score.weak == ()
    elif verdict is not Verdict.POOR:
        assert score.offset == offset


def test_figures_are_those_of_the_curve_over_offsets() -> None:
    table = similarity(150, offset=1)
    score = score_of(table)
    curve = table.mean(0)
    assert score.by_offset == pytest.approx(curve, abs=1e-6)
    assert score.distance == pytest.approx(1 - curve[16], abs=1e-6)
    assert score.confidence == pytest.approx(curve[16] - np.median(curve), abs=1e-6)
    assert score.offset_ms == pytest.approx(40, abs=8)


def test_certainty_does_not_depend_on_the_length_without_sync_and_grows_with_it() -> None:
    wrong = [score_of(similarity(windows, peak=0, seed=3)).certainty for windows in (150, 1500)]
    right = [score_of(similarity(windows)).certainty for windows in (150, 1500)]
    assert wrong[0] == pytest.approx(wrong[1], rel=0.6)
    assert right[1] == pytest.approx(right[0] * 10**0.5, rel=0.3)  # type: ignore[operator]


def test_the_weak_segment_is_found() -> None:
    table = similarity(500)
    table[200:300] = similarity(100, peak=0.0, seed=4)
    score = score_of(table)
    assert score.verdict is Verdict.GOOD
    [part] = score.weak
    assert part.start == pytest.approx(8, abs=1.3) and part.end == pytest.approx(12, abs=1.3)
    weak = [value for time, value in zip(score.times, score.curve, strict=True) if 8.6 < time < 11.5]
    strong = [value for time, value in zip(score.times, score.curve, strict=True) if time < 7 or time > 13]
    assert max(weak) < min(strong)


def test_a_clip_in_sync_throughout_has_no_weak_segment() -> None:
    assert score_of(similarity(1000)).weak == ()


def test_pauses_are_not_weak() -> None:
    table, loudness = similarity(500), np.full(500, LOUD, np.float32)
    table[200:300] = similarity(100, peak=0.0, seed=4)
    loudness[195:305] = LOUD - 40
    score = score_of(table, loudness)
    assert score.weak == ()
    assert np.isnan([v for t, v in zip(score.times, score.curve, strict=True) if 8.8 < t < 11.4]).all()


def test_digital_silence_is_not_scored() -> None:
    """All silence is alike, so it would match at any offset."""
    loudness = np.full(500, LOUD, np.float32)
    loudness[100:] = -120
    assert score_of(similarity(500), loudness).windows == 100
    assert score_of(similarity(500), np.full(500, -120, np.float32)).verdict is Verdict.TOO_SHORT


def test_gaps_stay_gaps_in_the_curve() -> None:
    numbers = np.concatenate([np.arange(150), np.arange(400, 600)])
    score = score_similarity(similarity(350), numbers, np.full(350, LOUD, np.float32))
    unknown = [t for t, v in zip(score.times, score.curve, strict=True) if np.isnan(v)]
    assert min(unknown) == pytest.approx(6.3, abs=0.5) and max(unknown) == pytest.approx(16, abs=0.8)
    assert score.times[-1] == pytest.approx(24 - 0.7, abs=0.5)
