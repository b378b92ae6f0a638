"""What the voice network hears: a log-mel spectrogram that does not depend on the level of the recording."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from lipsync.types import FloatArray

SAMPLE_RATE = 16_000
MEL_RATE = 100
"""Columns per second; column k is centred on second k / RATE."""
_HOP, _WINDOW, _FFT = SAMPLE_RATE // MEL_RATE, 400, 512
_LOWEST, _HIGHEST = 60.0, 7600.0
_QUIETEST = 10 ** (-60 / 10)
"""Power of a recording that is taken for silence, whatever is in it (-60 dB of full scale)."""
_AUDIBLE = -50.0
"""Decibels of full scale above which a column counts as sound."""
SILENCE = -4.0
"""Value of every band of a silent column."""


def log_mel(samples: FloatArray, bands: int = 80) -> FloatArray:
    """Log-mel spectrogram, less the level of the recording's louder parts.

    Args:
        samples: float32 (n,) at 16 kHz.

    Returns:
        float32 (bands, n // 160 + 1) in [-4, 4]; a silent column is -4 throughout.
    """
    filters = _filters(bands).T
    mel = np.concatenate([power @ filters for power in _powers(samples)])
    total = np.concatenate([power.sum(1) for power in _powers(samples)])
    level = 10 ** (speech_level(10 * np.log10(total + 1e-10)) / 10)
    mel = np.log(np.maximum(mel / max(level, _QUIETEST), 1e-9))
    return np.asarray(np.clip((mel + 6.5) / 2.5, SILENCE, 4).T, np.float32)


def loudness(samples: FloatArray) -> FloatArray:
    """Decibels of full scale in each column of `log_mel`, float32 (n // 160 + 1,)."""
    total = np.concatenate([power.sum(1) for power in _powers(samples)])
    return np.asarray(10 * np.log10(total + 1e-10), np.float32)


def speech_level(level: FloatArray) -> float:
    """How loud the voice is, given the loudness of all columns in decibels.

    Nine tenths of the columns are below it; where most of a long recording is silent, nine tenths
    of those that are not, less a little.
    """
    audible = level[level > _AUDIBLE]
    spoken = float(np.quantile(audible, 0.9)) - 2 if len(audible) else -100.0
    return max(float(np.quantile(level, 0.9)), spoken)


def _powers(samples: FloatArray) -> Iterator[FloatArray]:
    """Power spectra (columns, 257), scaled so that their sum is the mean square of the window.

    They come in pieces of a minute, for those of an hour would fill the memory.
    """
    padded = np.pad(samples, (_WINDOW // 2, _WINDOW // 2 + _HOP))
    count = len(samples) // _HOP + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    window = np.hanning(_WINDOW + 2)[1:-1].astype(np.float32)
    scale = 2 / (_FFT * float(np.square(window).sum()))
    for start in range(0, count, 60 * MEL_RATE):
        spectrum = np.fft.rfft(frames[start : start + 60 * MEL_RATE] * window, _FFT)
        yield np.asarray(np.square(np.abs(spectrum)) * scale, np.float32)


@cache
def _filters(bands: int) -> FloatArray:
    """Triangles evenly spaced on the mel scale (O'Shaughnessy 1987), (bands, 257)."""
    edges = 700 * (10 ** (np.linspace(_mel(_LOWEST), _mel(_HIGHEST), bands + 2) / 2595) - 1)
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
