from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.generators import GENERATORS
from lipsync.media.audio.mel import SILENCE, mel_spectrogram
from lipsync.options import SpeechOptions
from lipsync.speech import SpeechSpans, gate_voice, mute_non_speech, speech_weights
from lipsync.speech.gate import NO_SPEECH
from lipsync.types import AudioClip, FloatArray
from lipsync.weights import create_model
from tests.speech.spoken import RATE, music, say, with_pauses


def spans(*pairs: tuple[float, float], duration: float = 10.0) -> SpeechSpans:
    return SpeechSpans(np.array(pairs, np.float64).reshape(-1, 2), duration)


@pytest.fixture(scope="module")
def dinner_speech() -> tuple[AudioClip, FloatArray]:
    """Two sentences a second and a half apart, with music under all of it."""
    clip, truth = with_pauses([say("Good morning, everybody."), say("It is time to go home.")], (1, 1.5, 1))
    under = 0.3 * np.sqrt(np.mean(clip.samples**2)) * music(clip.duration)[: len(clip.samples)]
    return AudioClip(np.clip(clip.samples + under, -1, 1)), truth


def test_weights_are_one_in_speech_and_fade_outside() -> None:
    weights = speech_weights(spans((1.0, 2.0), (4.0, 5.0)), 25, 150, fade=0.12, lead=0.08)
    assert weights.dtype == np.float32 and weights.shape == (150,)
    assert (weights[23:50] == 1).all()  # from 0.92 s, when the lips open, to 2.0 s
    assert weights[19:23] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-6)
    assert weights[50:54] == pytest.approx([1, 2 / 3, 1 / 3, 0], abs=1e-6)
    assert (weights[54:95] == 0).all() and (weights[98:125] == 1).all()
    assert (weights[130:] == 0).all()  # also after the end of the voice


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), 24, 60.0])
@pytest.mark.parametrize("fade", [0.0, 0.12, 0.5])
def test_no_frame_of_speech_is_weakened(fps: Fraction | float, fade: float) -> None:
    found = spans((0.31, 0.92), (2.22, 3.5), (7.0, 10.0))
    weights = speech_weights(found, fps, int(12 * fps), fade)
    begins = np.arange(len(weights)) / float(fps)
    in_speech = np.zeros(len(weights), bool)
    for start, end in found.spans:
        in_speech |= (begins < end) & (begins + 1 / float(fps) > start)
    assert (weights[in_speech] == 1).all()
    assert (np.abs(np.diff(weights)) <= (1 / float(fps) / fade + 1e-5 if fade else 1)).all()
    assert weights.min() == 0


def test_a_pause_too_short_to_rest_in_is_speech() -> None:
    assert (speech_weights(spans((0, 1), (1.4, 2), duration=2), 25, 50) == 1).all()
    assert speech_weights(spans((0, 1), (1.8, 2), duration=2), 25, 50).min() == 0


def test_without_speech_all_frames_count() -> None:
    assert speech_weights(spans(), 25, 7).tolist() == [1] * 7
    assert speech_weights(spans((0, 1)), 25, 0).shape == (0,)


def test_muting_keeps_speech_and_silences_the_rest() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE * 4).astype(np.float32)
    muted = mute_non_speech(AudioClip(noise), spans((0.0, 0.5), (1.0, 2.0), (3.995, 4.0), duration=4)).samples
    assert len(muted) == len(noise)
    for start, end in ((0.0, 0.5), (1.0, 2.0), (3.995, 4.0)):
        here = slice(int(start * RATE), int(end * RATE))
        assert np.array_equal(muted[here], noise[here])
    for start, end in ((0.52, 0.98), (2.02, 3.975)):
        assert not muted[int(start * RATE) : int(end * RATE)].any()
    gain = muted[RATE * 2 : RATE * 2 + 320] / noise[RATE * 2 : RATE * 2 + 320]
    assert (np.diff(gain) < 0).all() and 0 <= gain[-1] < gain[0] <= 1


def test_speak_changes_nothing(dinner_speech: tuple[AudioClip, FloatArray]) -> None:
    gate = gate_voice(dinner_speech[0], 25, 100, SpeechOptions(in_silence="speak"))
    assert gate.audio is dinner_speech[0] and (gate.weights == 1).all() and gate.spans is None


def test_keep_shows_the_source_in_pauses(dinner_speech: tuple[AudioClip, FloatArray]) -> None:
    clip, truth = dinner_speech
    gate = gate_voice(clip, 25, int(clip.duration * 25), SpeechOptions(in_silence="keep"))
    middle = int((truth[0, 1] + truth[1, 0]) / 2 * 25)
    assert gate.weights[middle] == 0 and gate.weights[0] == 0
    assert (gate.weights[int(truth[0, 0] * 25) : int(truth[0, 1] * 25)] == 1).all()


def test_close_gives_the_generator_silence(dinner_speech: tuple[AudioClip, FloatArray]) -> None:
    clip, truth = dinner_speech
    gate = gate_voice(clip, 25, 100, SpeechOptions(in_silence="close"))
    assert (gate.weights == 1).all() and gate.warnings == ()
    pause = slice(int((truth[0, 1] + 0.35) * 80), int((truth[1, 0] - 0.2) * 80))  # mel columns
    assert (mel_spectrogram(gate.audio)[:, pause] == SILENCE).all()
    assert (mel_spectrogram(clip)[:, pause].max(axis=0) > SILENCE).all()


def test_with_close_the_built_in_model_rests_through_music(
    dinner_speech: tuple[AudioClip, FloatArray],
) -> None:
    clip, truth = dinner_speech
    generator = create_model(GENERATORS, "builtin", weights=None, device="cpu", number_format="fp32")
    frames = int(clip.duration * 25)
    gate = gate_voice(clip, 25, frames, SpeechOptions(in_silence="close"))
    ungated, gated = (
        np.abs(np.asarray(generator.encode_audio(voice, 25, frames)[:])).max(axis=1)
        for voice in (clip, gate.audio)
    )
    pause = slice(int((truth[0, 1] + 0.5) * 25), int((truth[1, 0] - 0.4) * 25))
    speech = slice(int(truth[0, 0] * 25), int(truth[0, 1] * 25))
    assert gated[pause].max() < 0.1 * ungated[pause].max()
    assert gated[speech].max() > 0.7 * ungated[speech].max()


def test_without_speech_nothing_is_gated_but_there_is_a_warning() -> None:
    clip = AudioClip(0.2 * music(4.0))
    for silence in ("keep", "close"):
        gate = gate_voice(clip, 25, 100, SpeechOptions(in_silence=silence))
        assert gate.audio is clip and (gate.weights == 1).all() and gate.warnings == (NO_SPEECH,)


def test_a_voice_that_is_mostly_not_speech_gives_a_warning() -> None:
    sentence = say("Good morning, everybody.")
    clip, _ = with_pauses([sentence], (0.5, 6.0))
    loud = clip.samples.copy()
    loud[-RATE * 5 :] = 0.5 * np.sqrt(np.mean(sentence**2)) * music(5.0)
    [warning] = gate_voice(AudioClip(loud), 25, 100, SpeechOptions(in_silence="close")).warnings
    assert "set in_silence=speak" in warning
    assert gate_voice(clip, 25, 100, SpeechOptions(in_silence="close")).warnings == ()
