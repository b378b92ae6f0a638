"""Voices are told apart by their embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from librosa.feature import melspectrogram

from lipsync.errors import Cancelled, WeightsError
from lipsync.media import open_audio
from lipsync.media.audio.mel import slaney_filters
from lipsync.progress import CancelToken
from lipsync.speech import voice_embedding
from lipsync.speech.voice_embedding import VoiceEncoder, embed_voices, load_voice_encoder
from lipsync.types import AudioClip, FloatArray
from lipsync.weights import require
from tests.make_media import run_ffmpeg
from tests.material import VOICE


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    return load_voice_encoder(require("speaker"))


@pytest.fixture(scope="module")
def voice() -> AudioClip:
    return open_audio(VOICE).read(16_000)


def times(*seconds: float) -> FloatArray:
    return np.array(seconds, np.float32)


def test_the_same_voice_is_alike_and_another_is_not(
    encoder: VoiceEncoder, voice: AudioClip, tmp_path: Path
) -> None:
    run_ffmpeg("-i", VOICE, "-af", "asetrate=44100*0.72,aresample=16000", "-ac", 1, tmp_path / "low.wav")
    other = open_audio(tmp_path / "low.wav").read(16_000)
    one, two = (embed_voices(encoder, audio, times(1, 3, 5)) for audio in (voice, other))
    assert one.shape == (3, 256) and np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    assert (one @ one.T).min() > 0.7 > 0.6 > (one @ two.T).max()


def test_neither_level_nor_neighbours_nor_ends_matter(encoder: VoiceEncoder, voice: AudioClip) -> None:
    alone = embed_voices(encoder, voice, times(3))
    softer = AudioClip(voice.samples * 0.1)
    assert np.allclose(embed_voices(encoder, softer, times(3)), alone, atol=1e-4)
    many = embed_voices(encoder, voice, np.linspace(-1, 9, 41).astype(np.float32))  # 16 is at 3 s
    assert np.allclose(many[16], alone[0], atol=1e-4) and np.isfinite(many).all()
    silence = AudioClip(np.zeros(16_000, np.float32))
    assert np.isfinite(embed_voices(encoder, silence, times(0.5))).all()
    assert embed_voices(encoder, voice, times()).shape == (0, 256)


def test_the_spectrogram_is_librosa_s(voice: AudioClip) -> None:
    ours = voice_embedding._mel(voice.samples, 2.0, 1.0, slaney_filters(400, 40, 0, 8000))
    part = voice.samples[19_000 : 19_000 + 159 * 160 + 400]
    theirs = melspectrogram(y=part, sr=16_000, n_fft=400, hop_length=160, n_mels=40, center=False).T
    assert ours.shape == (160, 40)
    assert np.allclose(ours, theirs, atol=1e-5 * theirs.max())


def test_a_cancel_ends_it(encoder: VoiceEncoder, voice: AudioClip) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        embed_voices(encoder, voice, times(1), token)


def test_another_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="voice encoder"):
        load_voice_encoder(require("expert"))
