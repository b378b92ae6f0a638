"""Audio in blocks: silence, fades and block sizes.

A block is float32 (n, channels); a stream of blocks is an iterator of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lipsync.types import FloatArray


def silence(count: int, width: int, rate: int) -> Iterator[FloatArray]:
    """`count` samples of silence in blocks of at most a second, float32 (n, width)."""
    for start in range(0, count, rate):
        yield np.zeros((min(rate, count - start), width), np.float32)


def without_start(blocks: Iterable[FloatArray], count: int) -> Iterator[FloatArray]:
    """The blocks without their first `count` samples."""
    for block in blocks:
        kept = block[count:]
        count = max(0, count - len(block))
        if len(kept):
            yield kept


def faded(
    blocks: Iterable[FloatArray], count: int, rate: int, rise: float, fall: float
) -> Iterator[FloatArray]:
    """The blocks with linear fades at both ends.

    Args:
        blocks: float32 (n, channels), `count` samples in all.
        rise, fall: seconds of the fades; at most half of the whole each.
    """
    up, down = (min(round(seconds * rate), count // 2) for seconds in (rise, fall))
    at = 0
    for block in blocks:
        places = np.arange(at, at + len(block), dtype=np.float32)
        at += len(block)
        if places[0] < up:
            block = block * np.minimum(1, (places + np.float32(0.5)) / up)[:, None].astype(np.float32)
        if at > count - down:
            left = (count - places - np.float32(0.5)) / max(1, down)
            block = block * np.clip(left, 0, 1)[:, None].astype(np.float32)
        yield block


def equal_blocks(blocks: Iterable[FloatArray], size: int) -> Iterator[FloatArray]:
    """The same samples in blocks of `size`; the last one is shorter."""
    pending: list[FloatArray] = []
    count = 0
    for block in blocks:
        pending.append(block)
        count += len(block)
        if count < size:
            continue
        together = np.concatenate(pending)
        whole = count // size * size
        yield from np.split(together[:whole], whole // size)
        pending, count = [together[whole:]], count - whole
    if count:
        yield np.concatenate(pending)
