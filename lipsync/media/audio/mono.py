"""One channel out of several, for the networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lipsync.media.audio import channels
from lipsync.media.audio.blocks import equal_blocks
from lipsync.types import FloatArray

_BLOCK_SECONDS = 0.5
_CANCELLED = 0.1
"""Power of the mean of the channels relative to the loudest one, below which they cancel each other out."""


def to_mono(blocks: Iterable[FloatArray], layout: channels.Layout, rate: int) -> Iterator[FloatArray]:
    """The mean of two channels; more loudspeakers are mixed down to two before.

    Where the channels cancel each other out in the mean (opposite phase, or one voice on one of many
    microphones), the loudest channel is taken instead.

    Args:
        blocks: float32 (n, channels).
        layout: their loudspeakers.
        rate: samples per second.

    Yields:
        float32 (n, 1); the same number of samples in all.
    """
    if len(layout) == 1:
        yield from blocks
        return
    matrix = np.eye(len(layout), dtype=np.float32)
    if len(layout) > 2 and channels.UNPLACED not in layout:
        matrix = channels.mixing_matrix(layout, channels.STEREO)
        matrix /= np.sqrt(np.square(matrix).sum(1).max())
    before = np.full(len(matrix), 1 / len(matrix), np.float32)
    for block in equal_blocks(blocks, round(_BLOCK_SECONDS * rate)):
        mixed = channels.mix_channels(block, matrix)
        gains = _gains(mixed)
        yield _faded(mixed, before, gains)
        before = gains


def _gains(block: FloatArray) -> FloatArray:
    """Gain of each channel, float32 (channels,)."""
    count = block.shape[1]
    power = np.einsum("ij,ij->j", block, block)
    mean = block.mean(axis=1)
    if mean @ mean >= _CANCELLED * power.max():
        return np.full(count, 1 / count, np.float32)
    return np.asarray(np.arange(count) == power.argmax(), np.float32)


def _faded(block: FloatArray, before: FloatArray, gains: FloatArray) -> FloatArray:
    """The weighted sum (n, 1), whose gains change during the first half of the block."""
    mono = block @ gains
    if not np.array_equal(before, gains):
        half = len(block) // 2
        ramp = np.linspace(0, 1, half, dtype=np.float32)
        mono[:half] = block[:half] @ before * (1 - ramp) + mono[:half] * ramp
    return mono[:, None]
