"""Soft voices are raised, noise and hum close the mouth, and only what has a voice's rhythm moves it."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.options import SpeechOptions
from lipsync.speech import detect_speech, even_level, gate_voice
from lipsync.speech.gate import NO_SPEECH, NOISY, ONLY_NOISE
from lipsync.speech.level import rhythm_spans
from lipsync.types import AudioClip, FloatArray
from tests.material import VOICE

RATE = 16_000
TIME = np.arange(8 * RATE) / RATE


@pytest.fixture(scope="module")
def voice() -> FloatArray:
    from lipsync.media import open_audio

    return open_audio(VOICE).read().samples


def noise(decibels: float, seconds: float = 8, pink: bool = False) -> FloatArray:
    """White or pink noise of this level in dBFS."""
    samples = np.random.default_rng(0).standard_normal(round(seconds * RATE))
    if pink:
        spectrum = np.fft.rfft(samples)
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        samples = np.fft.irfft(spectrum, len(samples))
    return np.asarray(samples * 10 ** (decibels / 20) / np.sqrt(np.square(samples).mean()), np.float32)


@pytest.mark.parametrize("softer", [26, 40])
def test_a_soft_voice_is_heard_like_a_loud_one(voice: FloatArray, softer: float) -> None:
    given = AudioClip(voice * np.float32(10 ** (-softer / 20)))
    raised = even_level(given)
    assert np.abs(raised.samples).max() > 0.3 * np.abs(voice).max()
    usual, found = detect_speech(AudioClip(voice)), detect_speech(raised)
    assert found.seconds == pytest.approx(usual.seconds, abs=0.25)


def test_a_voice_of_usual_level_is_not_touched(voice: FloatArray) -> None:
    clip = AudioClip(voice)
    assert even_level(clip) is clip


def test_only_the_soft_part_is_raised(voice: FloatArray) -> None:
    clip = AudioClip(np.concatenate([voice, np.zeros(3 * RATE, np.float32), voice * np.float32(0.03)]))
    raised = even_level(clip).samples
    assert np.array_equal(raised[: len(voice)], voice)
    assert np.abs(raised[-len(voice) :]).max() > 0.3


@pytest.mark.parametrize(
    "samples",
    [
        noise(-40),
        noise(-60),
        noise(-40, pink=True),
        noise(-20, pink=True),
        noise(-40) * np.float32(1 + 0.5 * np.sin(2 * TIME)),
        np.concatenate([np.zeros(2 * RATE), noise(-30, 4)]),
        0.02 * np.sin(2 * np.pi * 50 * TIME) + 0.005 * np.sin(2 * np.pi * 150 * TIME),
    ],
    ids=["white -40", "white -60", "pink -40", "pink -20", "wind", "noise that begins", "hum"],
)
def test_noise_alone_closes_the_mouth(samples: FloatArray) -> None:
    clip = even_level(AudioClip(samples.astype(np.float32)))
    gate = gate_voice(clip, 25, 200, SpeechOptions())
    assert not gate.audio.samples.any()
    assert gate.warnings == (ONLY_NOISE,)
    assert not gate_voice(clip, 25, 200, SpeechOptions(in_silence="keep")).weights.any()
    assert gate_voice(clip, 25, 200, SpeechOptions(in_silence="speak")).audio is clip


def test_humming_with_the_rhythm_of_a_voice_is_followed() -> None:
    clip = AudioClip((0.2 * np.sin(1400 * TIME) * (0.5 + 0.5 * np.sin(19 * TIME)) ** 2).astype(np.float32))
    gate = gate_voice(clip, 25, 200, SpeechOptions())
    assert rhythm_spans(clip).seconds > 7 and gate.warnings == (NO_SPEECH,)
    assert np.square(gate.audio.samples).sum() > 0.9 * np.square(clip.samples).sum()


def test_noise_as_loud_as_the_voice_is_told(voice: FloatArray) -> None:
    level = 10 * np.log10(np.square(voice).mean())
    for below, told in ((0, True), (20, False)):
        mixed = voice + noise(level - below, len(voice) / RATE)
        gate = gate_voice(AudioClip(mixed), 25, 100, SpeechOptions())
        assert (NOISY in gate.warnings) is told
