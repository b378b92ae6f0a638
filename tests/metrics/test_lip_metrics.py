"""Metrics of lips over time, on mouths whose faults are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lipsync.metrics.bilabials import bilabial_spans
from lipsync.metrics.closure_rate import real_closures
from lipsync.metrics.lip_base import LipSeries, measure_lips
from lipsync.metrics.lips import LipTrack, correlation
from lipsync.metrics.voice_frames import frame_levels, pause_frames
from lipsync.speech import Transcript
from lipsync.speech.transcription import TranscriptSegment, Word
from lipsync.types import AudioClip
from tests.metrics.lip_observations import FRAMES, observe, speaking_mouth, with_opening

REAL = speaking_mouth()


def values(result: LipSeries, own_voice: bool = True) -> dict[str, float]:
    return measure_lips(observe(result, REAL, own_voice))


def test_a_frozen_mouth() -> None:
    """Still in pauses, but it neither moves nor closes."""
    frozen = values(with_opening(REAL, np.full(FRAMES, 0.05)))
    assert frozen["silent_lip_stability"] == pytest.approx(0)
    assert frozen["lip_dynamics"] == pytest.approx(0, abs=1e-6)
    assert frozen["closure_rate"] == 0
    assert frozen["lip_leak"] == 1
    assert "loudness_match" not in frozen


def test_the_mouth_of_another_clip() -> None:
    """Moves as much, but not with this voice."""
    real, random = values(REAL), values(speaking_mouth(5))
    assert random["lip_dynamics"] == pytest.approx(1, abs=0.1)
    assert random["loudness_match"] < real["loudness_match"] - 0.3
    assert random["closure_rate"] < real["closure_rate"] == 1


def test_lip_leak_counts_open_frames_in_pauses_only() -> None:
    opening = REAL.opening.copy()
    opening[150:175] = 0.05
    assert values(with_opening(REAL, opening))["lip_leak"] == 0.5


def test_silent_lip_stability_is_the_deviation_from_the_mean() -> None:
    opening = REAL.opening.copy()
    opening[150:] = np.tile([0.01, 0.03], 25)
    assert values(with_opening(REAL, opening))["silent_lip_stability"] == pytest.approx(1.0, abs=1e-4)


def test_the_source_shows_through_under_another_voice_only() -> None:
    assert values(REAL, own_voice=False)["source_leak"] == pytest.approx(1)
    assert "source_leak" not in values(REAL)


def test_sharpness_is_compared_at_like_openings() -> None:
    """A closed mouth has fewer edges than an open one: it must not pass for a blurred one."""
    open_is_sharp = np.asarray(20 + 1000 * REAL.opening, np.float32)
    real = replace(REAL, sharpness=open_is_sharp)
    closed = LipSeries(
        np.full(FRAMES, 0.004, np.float32), np.full(FRAMES, 24, np.float32), *[REAL.flicker] * 2
    )
    observed = observe(closed, real)
    assert measure_lips(observed)["mouth_sharpness"] == pytest.approx(1, abs=0.05)
    blurred = replace(observed, result=replace(closed, sharpness=closed.sharpness / 4))
    assert measure_lips(blurred)["mouth_sharpness"] == pytest.approx(0.25, abs=0.02)


def test_closures_of_a_real_mouth_are_runs_outside_of_pauses() -> None:
    opening = np.array([0.1, 0.01, 0.01, 0.1, 0.01, 0.1, 0.01], np.float32)
    pauses = np.array([False] * 6 + [True])
    assert real_closures(opening, pauses) == [(1, 2), (4, 4)]


@pytest.mark.parametrize(
    ("text", "letters"),
    [("map", 2), ("happy", 1), ("lamp", 1), ("tea", 0), ("\u0645\u0627\u0628", 2), ("\u4f60\u597d", 0)],
)
def test_bilabials_of_a_word(text: str, letters: int) -> None:
    """Spelling stands for sound in every alphabet; doubled letters are one closure."""
    word = Word(1.0, 1.4 if letters > 1 else 1.2, f" {text},", 0.9)
    transcript = Transcript((TranscriptSegment(1, 2, text, (word,)),), "en", None, "test")
    spans = bilabial_spans(transcript, 25, 100)
    assert len(spans) == letters
    assert all(23 <= first <= last <= 37 for first, last in spans)


def test_levels_of_a_voice() -> None:
    samples = np.concatenate([np.zeros(16_000), np.full(16_000, 0.1), np.zeros(8_000)]).astype(np.float32)
    level = frame_levels(AudioClip(samples), 25, 75)
    assert level[:20].max() == -60
    assert level[30] == pytest.approx(-20, abs=0.1)
    assert level[-1] == -60


def test_all_of_digital_silence_is_a_pause() -> None:
    assert pause_frames(AudioClip(np.zeros(16_000, np.float32)), 25, 50).all()


def test_the_opening_does_not_depend_on_the_size_of_the_face() -> None:
    outline = np.zeros((2, 49, 2), np.float32)
    outline[0, [24, 25, 26], 1] = 10
    outline[1, [24, 25, 26], 1] = 30
    track = LipTrack(outline, np.array([100, 300], np.float32))
    assert track.opening.tolist() == pytest.approx([0.1, 0.1])
    assert len(LipTrack.join([track, track])) == 4


def test_a_track_refuses_arrays_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        LipTrack(np.zeros((3, 49, 2), np.float32), np.zeros(2, np.float32))


def test_correlation_needs_values_that_vary() -> None:
    ramp = np.arange(10, dtype=np.float32)
    assert correlation(ramp, -ramp) == pytest.approx(-1)
    assert np.isnan(correlation(ramp, np.ones(10, np.float32)))
    assert np.isnan(correlation(ramp[:4], ramp[:4]))
