"""Log-mel spectrogram normalised to the level of the speech."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from lipsync.progress import CancelToken
from lipsync.types import FloatArray
from lipsync.utils.mapped_array import release

SAMPLE_RATE = 16_000
ENCODING = "Encoding the voice"
"""Stage that a cancel reports."""
MEL_RATE = 100
"""Columns per second; column k is centred on second k / MEL_RATE."""
_HOP, _WINDOW, _FFT = SAMPLE_RATE // MEL_RATE, 400, 512
_MIN_HZ, _MAX_HZ = 60.0, 7600.0
_MIN_LEVEL = 10 ** (-60 / 10)
"""Power below which a recording is taken for silence, whatever is in it (-60 dB of full scale)."""
_AUDIBLE_DB = -50.0
"""Level, dB of full scale, above which a column counts as sound."""
SILENCE = -4.0
"""Value of every band of a silent column."""


def log_mel(samples: FloatArray, bands: int = 80, cancel: CancelToken | None = None) -> FloatArray:
    """Log-mel spectrogram relative to `speech_level`, see `log_mel_pieces`.

    Returns:
        float32 (bands, n // 160 + 1) in [-4, 4]; a silent column is -4 throughout.

    Raises:
        Cancelled: the token was cancelled.
    """
    return np.concatenate([*log_mel_pieces(samples, bands, cancel)], axis=1)


def log_mel_pieces(
    samples: FloatArray, bands: int = 80, cancel: CancelToken | None = None
) -> Iterator[FloatArray]:
    """Log-mel spectrogram relative to `speech_level`, a minute at a time.

    Args:
        samples: float32 (n,) in [-1, 1] at 16 kHz.
        bands: number of mel bands.
        cancel: checked between pieces.

    Yields:
        float32 (bands, columns) in [-4, 4], n // 160 + 1 columns in all; a silent one is -4 throughout.

    Raises:
        Cancelled: the token was cancelled.
    """
    filters = _filters(bands).T
    level = max(10 ** (speech_level(loudness(samples, cancel)) / 10), _MIN_LEVEL)
    for power in _powers(samples, cancel):
        mel = np.log(np.maximum(power @ filters / level, 1e-9))
        yield np.asarray(np.clip((mel + 6.5) / 2.5, SILENCE, 4).T, np.float32)


def loudness(samples: FloatArray, cancel: CancelToken | None = None) -> FloatArray:
    """Level of each column of `log_mel` in dB of full scale, float32 (n // 160 + 1,); cancelled alike."""
    total = np.concatenate([power.sum(1) for power in _powers(samples, cancel)])
    return np.asarray(10 * np.log10(total + 1e-10), np.float32)


def speech_level(level: FloatArray) -> float:
    """Level of the louder parts of a recording in dB.

    The 90th percentile of the columns; where most of a long recording is silent, that of the audible
    columns less 2 dB.

    Args:
        level: (T,) from `loudness`.
    """
    audible = level[level > _AUDIBLE_DB]
    spoken = float(np.quantile(audible, 0.9)) - 2 if len(audible) else -100.0
    return max(float(np.quantile(level, 0.9)), spoken)


def _powers(samples: FloatArray, cancel: CancelToken | None) -> Iterator[FloatArray]:
    """Power spectra (columns, 257), whose sum is the mean square of the window.

    In pieces of a minute: those of an hour would fill the memory.
    """
    count = len(samples) // _HOP + 1
    window = np.hanning(_WINDOW + 2)[1:-1].astype(np.float32)
    scale = 2 / (_FFT * float(np.square(window).sum()))
    for start in range(0, count, 60 * MEL_RATE):
        if cancel is not None:
            cancel.check(ENCODING)
        stop = min(count, start + 60 * MEL_RATE)
        first, last = start * _HOP - _WINDOW // 2, (stop - 1) * _HOP + _WINDOW // 2
        piece = np.pad(samples[max(0, first) : last], (max(0, -first), max(0, last - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(piece, _WINDOW)[::_HOP]
        spectrum = np.fft.rfft(frames * window, _FFT)
        release(samples)
        yield np.asarray(np.square(np.abs(spectrum)) * scale, np.float32)


@cache
def _filters(bands: int) -> FloatArray:
    """Triangular mel filters (bands, 257), after O'Shaughnessy 1987."""
    edges = 700 * (10 ** (np.linspace(_mel(_MIN_HZ), _mel(_MAX_HZ), bands + 2) / 2595) - 1)
    bins = np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    up, down = (bins - left) / (middle - left), (right - bins) / (right - middle)
    triangles = np.maximum(0, np.minimum(up, down))
    # Low bands are narrower than one bin of the spectrum: each still takes its nearest bin.
    nearest = np.abs(bins - middle).argmin(1)
    triangles[np.arange(bands), nearest] = np.maximum(triangles[np.arange(bands), nearest], 0.5)
    return np.asarray(triangles, np.float32)


def _mel(hertz: float) -> float:
    return 2595 * float(np.log10(1 + hertz / 700))
