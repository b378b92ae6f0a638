"""Mel spectrogram of Wav2Lip, and its 0.2 s window for every video frame.

The parameters are those of the official `hparams.py`; checkpoints require exactly these.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lipsync.errors import MediaError
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, FloatArray, IntArray
from lipsync.utils.mapped_array import copy_samples, large_zeros, pieces, release

SAMPLE_RATE = 16_000
N_FFT = 800
HOP = 200  # 80 mel columns per second
N_MELS = 80
WINDOW = 16
"""Mel columns per video frame."""
SILENCE = np.float32(-4.0)
"""Value of digital silence in the normalised mel."""

BLOCK_COLUMNS = 1 << 12
"""Columns computed at a time (51 s): the spectrum of an hour in one piece would take a gigabyte."""
_PREEMPHASIS = np.float32(0.97)
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


def mel_spectrogram(
    audio: AudioClip, block_columns: int = BLOCK_COLUMNS, cancel: CancelToken | None = None
) -> FloatArray:
    """Normalised mel spectrogram, float32 (80, 1 + samples // 200) in [-4, 4].

    Audio shorter than one analysis window (50 ms) is padded with silence.

    Args:
        audio: mono at 16 kHz.
        block_columns: columns computed at a time; the result does not depend on it.
        cancel: checked for each of these blocks.

    Raises:
        ValueError: the audio is not at 16 kHz; media/ resamples, so this is a programming error.
        MediaError: it has samples that are NaN or infinite.
        Cancelled: the token was cancelled.
    """
    if audio.sample_rate != SAMPLE_RATE:
        raise ValueError(f"the audio must be at {SAMPLE_RATE} Hz, got {audio.sample_rate}")
    if not all(np.isfinite(part).all() for part in pieces(audio.samples)):
        hint = "Convert the voice to WAV with another program and try again."
        raise MediaError("The voice has samples that are not numbers", given=audio, hint=hint)
    columns = 1 + len(audio.samples) // HOP
    samples = audio.samples
    if len(samples) < N_FFT:  # else not even a copy: three hours are 700 MB
        samples = np.pad(samples, (0, N_FFT - len(samples)))
    basis = mel_basis()
    mel = large_zeros((N_MELS, columns))
    for start in range(0, columns, block_columns):
        if cancel is not None:
            cancel.check("Encoding the voice")
        stop = min(columns, start + block_columns)
        block = _emphasised(samples, start * HOP - N_FFT // 2, (stop - 1) * HOP + N_FFT // 2)
        # librosa's STFT without importing it, which takes 0.8 s of numba in every run. NumPy's FFT
        # differs from SciPy's by rounding (1e-6) and is already loaded.
        windows = np.lib.stride_tricks.sliding_window_view(block, N_FFT)[::HOP]
        mel[:, start:stop] = _normalised(basis @ np.abs(np.fft.rfft(windows * _HANN, axis=1)).T)
        release(samples)
        release(mel)
    return mel


def mel_basis() -> FloatArray:
    """Mel filter bank of Wav2Lip, float32 (80, 401).

    It equals `librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)` to the last bit.
    """
    return slaney_filters(N_FFT, N_MELS, 55.0, 7600.0)


def slaney_filters(n_fft: int, bands: int, fmin: float, fmax: float) -> FloatArray:
    """Equal-area triangles on Slaney's mel scale for 16 kHz, float32 (bands, n_fft // 2 + 1).

    `librosa.filters.mel` without importing that module, which brings SciPy's signal processing and
    statistics: half a second in every run.
    """
    # Imported here, since it brings numba: a fifth of a second that overlaps with face detection.
    from librosa import fft_frequencies, mel_frequencies

    edges = mel_frequencies(bands + 2, fmin=fmin, fmax=fmax)
    distances = np.subtract.outer(edges, fft_frequencies(sr=SAMPLE_RATE, n_fft=n_fft))
    widths = np.diff(edges)[:, None]
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    triangles: FloatArray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    triangles *= 2 / (edges[2:] - edges[:-2])[:, None]
    return triangles


def _emphasised(samples: FloatArray, start: int, stop: int) -> FloatArray:
    """`samples[start:stop]` after pre-emphasis (0.97), mirrored where it passes an end.

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
    """Amplitudes in dB less the reference level of 20 dB, mapped from -100..0 to -4..4 and clipped.

    It is `_amp_to_db` and `_normalize` of the official `audio.py` in one line.
    """
    decibels = 20 * np.log10(np.maximum(np.float32(1e-5), mel)) - 20
    return np.clip(8 * ((decibels + 100) / 100) - 4, -4, 4).astype(np.float32)


class MelWindows:
    """Mel windows of consecutive video frames, cut from one spectrogram when sliced.

    The window of frame i begins at column `int(i * 80 / fps)`. The official code aligns the first
    window that would pass the end with the end, and makes no more, a few frames before the audio
    ends. All windows that it makes are equal here. After them, a video that ends with the audio
    repeats the last window; where the video goes on, the windows slide into silence, so that the
    mouth closes.

    Args:
        mel: float32 (80, n) normalised.
        fps: video frames per second.
        frames: number of windows.
        lead: frames by which every window begins earlier, but not before the first column.

    Attributes:
        starts: int64 (frames,) first column of each window; columns after the end of the audio are
            silence.
    """

    def __init__(self, mel: FloatArray, fps: Fraction | float, frames: int, lead: int = 0) -> None:
        short = max(0, WINDOW - mel.shape[1])
        # One window of silence at the end serves all frames after the audio.
        self._mel = large_zeros((len(mel), mel.shape[1] + short + WINDOW))
        for band, row in zip(mel, self._mel, strict=True):
            copy_samples(band, row[: len(band)])
            row[len(band) :] = SILENCE
        end = mel.shape[1] + short
        starts = _starts(fps, frames, lead)
        passing = np.flatnonzero(starts + WINDOW > end)
        slides = frames > 0 and _starts(fps, frames, 0)[-1] >= mel.shape[1]
        starts[passing] = np.minimum(starts[passing], end) if slides else end - WINDOW
        starts[passing[:1]] = end - WINDOW
        self.starts: IntArray = starts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, frames: slice | IntArray, /) -> FloatArray:
        """float32 (selected frames, 1, 80, 16)."""
        windows = np.lib.stride_tricks.sliding_window_view(self._mel, WINDOW, axis=1)
        taken = windows[:, self.starts[frames]].transpose(1, 0, 2)
        release(self._mel)
        return np.ascontiguousarray(taken)[:, None]


def _starts(fps: Fraction | float, frames: int, lead: int) -> IntArray:
    # Float arithmetic in the official code's order, so that truncation falls on the same side.
    multiplier = 80.0 / float(fps)
    shifted = np.arange(frames, dtype=np.int64) - lead
    return np.maximum(0, (shifted * multiplier).astype(np.int64))
