from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from lipsync.media import open_audio
from lipsync.media.audio.derived import SampledAudio, ScaledAudio
from lipsync.media.audio.true_peak import CEILING, LimitedAudio, true_peak
from tests.material import VOICE

RATE = 48_000


def sampled(samples: np.ndarray) -> SampledAudio:
    return SampledAudio(open_audio(VOICE), samples.astype(np.float32), ("FL", "FR"), RATE)


def test_the_true_peak_is_found_between_the_samples() -> None:
    """A quarter of the sample rate at 45 degrees: samples reach 0.7 of the amplitude."""
    times = np.arange(RATE * 2 + 17)
    fade = np.clip(np.minimum(times, times[::-1]) / 500, 0, 1)  # an abrupt start rings
    sine = 0.9 * (fade * np.sin(np.pi / 2 * times + np.pi / 4))[:, None] * [1, 0.2]
    assert np.abs(sine).max() < 0.64
    assert true_peak([sine.astype(np.float32)], RATE) == pytest.approx(0.9, rel=0.02)


def test_peaks_are_held_and_the_rest_stays() -> None:
    """Bursts, also across the border of two blocks, in a soft sound."""
    rng = np.random.default_rng(0)
    noise = np.convolve(rng.normal(size=3 * RATE), np.hanning(9), "same")  # below half of the band
    samples = np.repeat(noise[:, None] / noise.std() * 0.05, 2, axis=1)
    for at in (RATE // 2, RATE - 40, 2 * RATE + 3, 3 * RATE - 5):
        samples[at : at + 80, 0] *= 25
    audio = LimitedAudio(sampled(samples))
    out = np.concatenate(list(audio.blocks()))
    assert out.shape == samples.shape and np.abs(samples).max() > 1.5
    finer = np.abs(resample_poly(out.astype(np.float64), 8, 1, axis=0)).max()
    assert finer <= CEILING * 1.01 and true_peak([out], RATE) <= CEILING * 1.002
    changed = np.flatnonzero(np.abs(out - samples).max(axis=1) > 1e-7)
    near = np.min(np.abs(changed[:, None] - [RATE // 2, RATE, 2 * RATE, 3 * RATE]), axis=1)
    assert near.max() < 0.02 * RATE
    steps = np.diff(out[:, 1] / samples[:, 1])
    assert np.abs(steps).max() < 0.02  # of the gain: no click


def test_a_sound_below_the_ceiling_is_the_same_and_gain_scales(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).normal(size=(RATE, 2)) * 0.1
    audio = sampled(samples)
    same = np.concatenate(list(LimitedAudio(audio).blocks()))
    assert np.array_equal(same, samples.astype(np.float32))
    half = np.concatenate(list(ScaledAudio(audio, 0.5).blocks()))
    assert np.allclose(half, samples * 0.5) and ScaledAudio(audio, 0.5).duration == 1.0
