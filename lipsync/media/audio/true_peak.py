"""True peak by ITU-R BS.1770-4, annex 2, and a limiter that holds it.

A converter draws a smooth line through the samples, which goes higher than they do between them; four times
as many samples show it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

import numpy as np

from lipsync.media.audio.blocks import equal_blocks
from lipsync.media.audio.derived import DerivedAudio
from lipsync.media.audio.reader import AudioReader
from lipsync.progress import CancelToken
from lipsync.types import FloatArray

CEILING = 10 ** (-1 / 20)
"""Highest true peak that EBU R 128 allows: -1 dBTP."""
_OVERSAMPLING = 4
_CONTEXT_SECONDS = 0.02
"""Samples before and after a block that its gain depends on."""
_REACH_SECONDS = 0.005
"""How long before and after a peak the gain changes."""
_HIGHEST_BETWEEN = 2.0
"""Factor by which a true peak is above the samples at most."""
_MARGIN = 10 ** (-0.02 / 20)
"""Of the gain, whose change adds a little to a peak."""


def true_peak(blocks: Iterable[FloatArray], rate: int) -> float:
    """Highest amplitude between and at the samples of blocks, float32 (n, channels)."""
    peak = 0.0
    for block, before, after in _with_context(blocks, rate):
        if np.abs(block).max(initial=0) * _HIGHEST_BETWEEN > peak:
            whole = _peaks(np.concatenate([before, block, after]))
            peak = max(peak, float(whole[len(before) : len(before) + len(block)].max(initial=0)))
    return peak


class LimitedAudio(DerivedAudio):
    """A recording whose true peak stays below a ceiling.

    The gain falls and rises within 5 ms around a peak, for all channels alike; elsewhere nothing changes.

    Args:
        ceiling: amplitude.
    """

    def __init__(self, audio: AudioReader, ceiling: float = CEILING) -> None:
        super().__init__(audio)
        self.ceiling = ceiling

    def blocks(self, *, cancel: CancelToken | None = None) -> Generator[FloatArray, None, None]:
        """The limited samples; see `AudioReader.blocks`."""
        rate = self.info.sample_rate
        with closing(self.audio.blocks(cancel=cancel)) as blocks:
            for block, before, after in _with_context(blocks, rate):
                whole = np.concatenate([before, block, after])
                if np.abs(whole).max(initial=0) * _HIGHEST_BETWEEN > self.ceiling:
                    gain = _gain(_peaks(whole), self.ceiling, round(_REACH_SECONDS * rate))
                    block = block * gain[len(before) : len(before) + len(block), None]
                yield block


def _peaks(samples: FloatArray) -> FloatArray:
    """Highest amplitude of any channel at each sample and up to the next, (n,)."""
    from scipy.signal import resample_poly  # imported here: it takes a second

    finer = np.abs(resample_poly(samples, _OVERSAMPLING, 1, axis=0)).max(axis=1)
    peaks = np.maximum(finer.reshape(-1, _OVERSAMPLING).max(axis=1), np.abs(samples).max(axis=1))
    return np.asarray(peaks, np.float32)


def _gain(peaks: FloatArray, ceiling: float, reach: int) -> FloatArray:
    """A smooth gain (n,) that brings all peaks below the ceiling."""
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    needed = np.minimum(1, _MARGIN * ceiling / np.maximum(peaks, 1e-9))
    needed[peaks <= ceiling] = 1
    lowest = minimum_filter1d(needed.astype(np.float64), 2 * reach + 1, mode="nearest")
    return np.asarray(uniform_filter1d(lowest, 2 * reach + 1, mode="nearest"), np.float32)


def _with_context(
    blocks: Iterable[FloatArray], rate: int
) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """Blocks of a second with the samples before and after each."""
    count = round(_CONTEXT_SECONDS * rate)
    stream = equal_blocks(blocks, rate)
    current = next(stream, None)
    if current is None:
        return
    before = current[:0]
    for following in stream:
        yield current, before, following[:count]
        before, current = current[-count:], following
    yield current, before, current[:0]
