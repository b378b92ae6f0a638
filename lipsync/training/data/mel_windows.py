"""The sound of a training set's clips as Wav2Lip's mel: whole clips once, and windows of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lipsync.media.audio.mel import HOP, SAMPLE_RATE, SILENCE, WINDOW, mel_spectrogram
from lipsync.training.data.augment import change_voice
from lipsync.training.data.dataset_format import FPS
from lipsync.training.data.face_clips import FaceClip
from lipsync.training.tasks.builtin_audio2shape import hash_name
from lipsync.types import AudioClip, FloatArray

MEL_RATE = SAMPLE_RATE // HOP
"""Columns a second."""
_KEPT = 4096
"""Mels kept in memory; of clips of ten seconds they take a gigabyte."""


class ClipMels:
    """The mel of each clip, with its voice as it is or changed; computed once and kept.

    Args:
        seed: of the changes.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._get = lru_cache(maxsize=_KEPT)(self._make)
        self._clips: dict[str, FaceClip] = {}

    def __call__(self, clip: FaceClip, variant: int = 0) -> FloatArray:
        """(80, n) float32; variant 0 is the voice as it is, any other number a change of its own."""
        self._clips[clip.name] = clip
        return self._get(clip.name, variant)

    def _make(self, name: str, variant: int) -> FloatArray:
        sound = self._clips[name].sound()
        if variant:
            sound = change_voice(sound, np.random.default_rng((self._seed, hash_name(name), variant)))
        return mel_spectrogram(AudioClip(sound))


def windows_of_mel(mel: FloatArray, first: int, count: int, lag: float) -> FloatArray:
    """The sound of windows that begin at frames `first`, `first` + 1, ...: (count, 80, 16).

    Args:
        mel: (80, n) of the whole clip.
        lag: seconds that the sound comes late.
    """
    starts = np.floor(MEL_RATE * ((first + np.arange(count)) / FPS + lag) + 1e-6).astype(int)
    before, after = max(0, -int(starts[0])), max(0, int(starts[-1]) + WINDOW - mel.shape[1])
    padded = np.pad(mel, ((0, 0), (before, after)), constant_values=SILENCE)
    views = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)
    return np.ascontiguousarray(views[:, starts + before].transpose(1, 0, 2))
