"""The sound as Wav2Lip takes it: a mel spectrogram, and the 0.2 s of it that belong to a frame.

The numbers are those of the official `hparams.py`; the checkpoints hold only with exactly these.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lipsync.errors import MediaError
from lipsync.types import AudioClip, FloatArray, IntArray

SAMPLE_RATE = 16_000
N_FFT = 800
HOP = 200  # 80 mel columns a second
N_MELS = 80
WINDOW = 16
"""Mel columns of one frame."""
SILENCE = np.float32(-4.0)
"""What digital silence is in the normalised mel."""

_BLOCK = 1 << 13  # columns at a time (102 s): an hour's spectrum in one piece would take a gigabyte
_PREEMPHASIS = np.float32(0.97)
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


def mel_spectrogram(voice: AudioClip) -> FloatArray:
    """The normalised mel of `voice`, (80, 1 + samples // 200) float32 in [-4, 4].

    Shorter than one analysis window (25 ms), the voice is continued with silence.

    Raises:
        ValueError: the voice is not at 16 kHz; media/ resamples, so this is a programming error.
        MediaError: it has samples that are not numbers.
    """
    if voice.sample_rate != SAMPLE_RATE:
        raise ValueError(f"the voice must be at {SAMPLE_RATE} Hz, got {voice.sample_rate}")
    if not np.isfinite(voice.samples).all():
        hint = "Convert the voice to WAV with another program and try again."
        raise MediaError("The voice has samples that are not numbers", given=voice, hint=hint)
    columns = 1 + len(voice.samples) // HOP
    samples = np.pad(voice.samples, (0, max(0, N_FFT - len(voice.samples))))
    basis = mel_basis()
    mel = np.empty((N_MELS, columns), np.float32)
    for start in range(0, columns, _BLOCK):
        stop = min(columns, start + _BLOCK)
        piece = _emphasised(samples, start * HOP - N_FFT // 2, (stop - 1) * HOP + N_FFT // 2)
        # librosa's own STFT, without what it takes to load: 0.8 s of numba in every run. NumPy's FFT
        # differs from SciPy's by rounding (1e-6) and is here already.
        pieces = np.lib.stride_tricks.sliding_window_view(piece, N_FFT)[::HOP]
        mel[:, start:stop] = _normalised(basis @ np.abs(np.fft.rfft(pieces * _HANN, axis=1)).T)
    return mel


def mel_basis() -> FloatArray:
    """What each mel channel takes of each frequency, (80, 401) float32: triangles of equal area.

    It is `librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)` to the last bit,
    on librosa's own (Slaney's) scale. That module imports SciPy's signal processing and statistics:
    half a second in every run.
    """
    # Here, since numba comes along: a fifth of a second, during which a face can be looked for.
    from librosa import fft_frequencies, mel_frequencies

    edges = mel_frequencies(N_MELS + 2, fmin=55, fmax=7600)
    distances = np.subtract.outer(edges, fft_frequencies(sr=SAMPLE_RATE, n_fft=N_FFT))
    widths = np.diff(edges)[:, None]
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    triangles: FloatArray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    triangles *= 2 / (edges[2:] - edges[:-2])[:, None]
    return triangles


def _emphasised(samples: FloatArray, start: int, stop: int) -> FloatArray:
    """`samples[start:stop]`, each less 0.97 of the one before; mirrored where it passes an end.

    Mirroring is what librosa's STFT did when Wav2Lip was trained; its default changed in 0.9.
    """
    first = max(0, start - 1)  # one more, since mirroring n samples takes n + 1
    piece = samples[first:stop]
    before = samples[max(0, first - 1) : first + len(piece) - 1]
    emphasised = piece.copy()
    emphasised[len(piece) - len(before) :] -= _PREEMPHASIS * before
    outside = (max(0, -start), max(0, stop - len(samples)))
    return np.pad(emphasised, outside, mode="reflect")[max(0, start) - first :]


def _normalised(mel: FloatArray) -> FloatArray:
    """Decibels, -100..0 after taking off the reference of 20 dB, spread over -4..4.

    It is `_amp_to_db` and `_normalize` of the official `audio.py` in one line.
    """
    decibels = 20 * np.log10(np.maximum(np.float32(1e-5), mel)) - 20
    return np.clip(8 * ((decibels + 100) / 100) - 4, -4, 4).astype(np.float32)


class MelWindows:
    """The windows of `frames` frames over one mel; made when a slice is taken.

    Frame i begins at column `int(i * 80 / fps)`. The original lays the first window that would
    pass the end against the end, and stops there, a few frames before the voice ends. All windows
    that it makes are equal here. After them, a picture that ends with the voice keeps the last
    window; where the picture goes on, the windows slide into silence, so that the mouth comes
    to rest.

    Args:
        mel: (80, n) normalised.
        fps: frames per second.
        frames: how many windows.
        lead: frames by which every window begins earlier, not before the first column.
    """

    def __init__(self, mel: FloatArray, fps: Fraction | float, frames: int, lead: int = 0) -> None:
        short = max(0, WINDOW - mel.shape[1])
        # One window of silence at the end serves all frames after the voice.
        self._mel = np.pad(mel, ((0, 0), (0, short + WINDOW)), constant_values=SILENCE)
        end = mel.shape[1] + short
        starts = _starts(fps, frames, lead)
        passing = np.flatnonzero(starts + WINDOW > end)
        slides = frames > 0 and _starts(fps, frames, 0)[-1] >= mel.shape[1]
        starts[passing] = np.minimum(starts[passing], end) if slides else end - WINDOW
        starts[passing[:1]] = end - WINDOW
        self.starts: IntArray = starts
        """(frames,) first column of each window; the voice's end and above is silence."""

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, frames: slice | IntArray, /) -> FloatArray:
        """(frames taken, 1, 80, 16) float32."""
        windows = np.lib.stride_tricks.sliding_window_view(self._mel, WINDOW, axis=1)
        taken = windows[:, self.starts[frames]].transpose(1, 0, 2)
        return np.ascontiguousarray(taken)[:, None]


def _starts(fps: Fraction | float, frames: int, lead: int) -> IntArray:
    # Float arithmetic in the original's order, so that truncation falls on the same side.
    multiplier = 80.0 / float(fps)
    shifted = np.arange(frames, dtype=np.int64) - lead
    return np.maximum(0, (shifted * multiplier).astype(np.int64))
