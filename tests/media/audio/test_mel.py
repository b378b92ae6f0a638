"""Mel spectrogram and windows beyond the goldens: short, silent, invalid and long audio."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import librosa.filters
import numpy as np
import pytest

from lipsync.errors import MediaError
from lipsync.media.audio import mel as module
from lipsync.media.audio.mel import SILENCE, MelWindows, mel_spectrogram
from lipsync.types import AudioClip, FloatArray


def noise(samples: int, seed: int = 0) -> AudioClip:
    return AudioClip(np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32))


@pytest.mark.parametrize("samples", [0, 1, 199, 200, 399, 400, 401, 799, 800, 801, 3199, 16_000])
def test_any_length(samples: int) -> None:
    mel = mel_spectrogram(noise(samples))
    assert mel.shape == (80, 1 + samples // 200)
    assert np.isfinite(mel).all() and mel.min() >= -4 and mel.max() <= 4


def test_silence_is_minus_four() -> None:
    assert (mel_spectrogram(AudioClip(np.zeros(5000, np.float32))) == SILENCE).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers(bad: float) -> None:
    samples = noise(5000).samples.copy()
    samples[70] = bad
    with pytest.raises(MediaError, match="not numbers"):
        mel_spectrogram(AudioClip(samples))


def test_the_basis_is_that_of_librosa() -> None:
    original = librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    np.testing.assert_array_equal(module.mel_basis(), original)
    assert module.mel_basis().dtype == original.dtype == np.float32


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="44100"):
        mel_spectrogram(AudioClip(noise(100).samples, 44_100))


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 80, 81])
def test_blocks_do_not_show(columns: int) -> None:
    voice = noise(16_000)
    np.testing.assert_allclose(mel_spectrogram(voice, columns), mel_spectrogram(voice), atol=1e-5)


def ramp(columns: int) -> FloatArray:
    """A mel whose values are the column numbers, so that a window tells where it is from."""
    return np.repeat(np.arange(columns, dtype=np.float32)[None], 80, axis=0)


def test_rows_are_the_windows_of_their_frames() -> None:
    rows = MelWindows(ramp(241), 25, 60)
    taken = rows[10:13]
    assert taken.shape == (3, 1, 80, 16) and taken.dtype == np.float32
    for row, start in zip(taken, (32, 35, 38), strict=True):
        assert row[0, 5].tolist() == list(range(start, start + 16))
    np.testing.assert_array_equal(rows[np.array([10, 12])], taken[[0, 2]])


def test_every_frame_has_a_window_and_the_last_ones_share_the_last() -> None:
    rows = MelWindows(ramp(241), Fraction(25), 75)  # 3 s; the original makes 72
    assert len(rows) == len(rows[:]) == 75
    assert rows.starts[71:].tolist() == [225] * 4


def test_after_the_audio_the_windows_slide_into_silence() -> None:
    rows = MelWindows(ramp(241), 25, 200)
    original = MelWindows(ramp(241), 25, 72).starts.tolist()
    assert rows.starts[:72].tolist() == original
    assert np.diff(rows.starts).min() >= 0
    assert np.diff(rows.starts)[:74].max() <= 6  # it slides, without a jump
    assert (rows[76:] == SILENCE).all()
    partly = rows[74:75][0, 0, 0]
    assert partly[0] == 236 and partly[-1] == SILENCE


@pytest.mark.parametrize("columns", [1, 5, 15, 16])
def test_audio_shorter_than_a_window_is_padded_with_silence(columns: int) -> None:
    row = MelWindows(ramp(columns), 25, 1)[:][0, 0, 0]
    assert row[:columns].tolist() == list(range(columns))
    assert (row[columns:] == SILENCE).all()


def test_lead_begins_earlier_but_not_before_the_audio() -> None:
    plain, led = MelWindows(ramp(241), 25, 60), MelWindows(ramp(241), 25, 60, lead=1)
    assert led.starts[0] == 0
    np.testing.assert_array_equal(led.starts[1:], plain.starts[:-1])
    lagging = MelWindows(ramp(241), 25, 60, lead=-2)
    np.testing.assert_array_equal(lagging.starts[:50], plain.starts[2:52])


def test_no_frames() -> None:
    assert MelWindows(ramp(100), 25, 0)[:].shape == (0, 1, 80, 16)


def test_an_hour_of_rows_takes_no_more_than_its_mel() -> None:
    mel = np.zeros((80, 3600 * 80), np.float32)
    tracemalloc.start()
    rows = MelWindows(mel, 25, 90_000)
    first = rows[:64]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(first) == 64
    assert peak < 1.2 * mel.nbytes  # as windows they would be 5 times that
