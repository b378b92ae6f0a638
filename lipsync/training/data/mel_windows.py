"""Cached mel spectrograms of training clips, and windows of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lipsync.media.audio.mel import HOP, SAMPLE_RATE, SILENCE, WINDOW, mel_spectrogram
from lipsync.training.data.augment import augment_audio, stable_hash
from lipsync.training.data.dataset_format import FPS
from lipsync.training.data.face_clips import FaceClip
from lipsync.types import AudioClip, FloatArray

MEL_RATE = SAMPLE_RATE // HOP
"""Columns a second."""
_CACHE_SIZE = 4096
"""Spectrograms kept in memory; of clips of ten seconds they take a gigabyte."""


class MelCache:
    """Cache of Wav2Lip's mel spectrograms of clips and of their augmented variants.

    Args:
        seed: of the augmentation.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._get = lru_cache(maxsize=_CACHE_SIZE)(self._compute)
        self._clips: dict[str, FaceClip] = {}

    def __call__(self, clip: FaceClip, variant: int = 0) -> FloatArray:
        """The mel spectrogram of a clip's audio, float32 (80, n).

        Variant 0 is the audio as it is; every other number is one augmentation of it.
        """
        self._clips[clip.name] = clip
        return self._get(clip.name, variant)

    def _compute(self, name: str, variant: int) -> FloatArray:
        audio = self._clips[name].audio()
        if variant:
            audio = augment_audio(audio, np.random.default_rng((self._seed, stable_hash(name), variant)))
        return mel_spectrogram(AudioClip(audio))


def mel_windows(mel: FloatArray, first: int, count: int, audio_delay: float) -> FloatArray:
    """Mel windows (count, 80, 16) that begin at consecutive frames.

    What lies outside the clip is silence.

    Args:
        mel: (80, n) of the whole clip, at 80 Hz.
        first: number of a video frame at 25 fps; may be negative.
        audio_delay: seconds by which the audio is late.
    """
    times = (first + np.arange(count)) / FPS + audio_delay
    starts = np.floor(MEL_RATE * times + 1e-6).astype(int)
    before, after = max(0, -int(starts[0])), max(0, int(starts[-1]) + WINDOW - mel.shape[1])
    padded = np.pad(mel, ((0, 0), (before, after)), constant_values=SILENCE)
    views = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)
    return np.ascontiguousarray(views[:, starts + before].transpose(1, 0, 2))
