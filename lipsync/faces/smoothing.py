"""Steadies boxes over time: Wav2Lip's own way, and a symmetric one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lipsync.types import IntArray

Doubles = npt.NDArray[np.float64]


def official(boxes: IntArray, frames: int = 5) -> IntArray:
    """Wav2Lip's `get_smoothened_boxes`, to the bit.

    Each box becomes the mean of itself and the `frames - 1` boxes *after* it, so boxes run ahead
    of the motion. The work is done in place on whole numbers: means are truncated, and the last
    windows read boxes that are smoothed already. Near the end the window is the last `frames`
    boxes; with fewer boxes than that the original's negative index counts from the end, so that
    3 boxes and a window of 5 average the last 2, and 4 boxes the last 1. All of this is kept.

    Args:
        boxes: int64 (T, n); not changed.
        frames: length of the window.

    Source: Rudrabha/Wav2Lip, inference.py.
    """
    smoothed = boxes.astype(np.int64, copy=True)
    count = len(smoothed)
    for row in range(count):
        start = count - frames if row + frames > count else row
        smoothed[row] = smoothed[start : start + frames if start == row else None].mean(axis=0)
    return smoothed


def symmetric(values: Doubles, frames: int = 5) -> Doubles:
    """Weighted mean over a window centred on each frame, with weights that fall off linearly.

    The window covers `frames` frames (an even number counts as the next odd one) and shrinks
    towards both ends, evenly on either side, so that steady motion stays where it is.

    Args:
        values: (T, n) without gaps; not changed.
    """
    count = len(values)
    if count == 0:
        return values.copy()
    most = frames // 2
    rows = np.arange(count)
    reach = np.minimum(most, np.minimum(rows, count - 1 - rows))
    total = np.zeros_like(values)
    weights = np.zeros(count)
    for step in range(-most, most + 1):
        weight = np.clip(reach + 1 - abs(step), 0, None).astype(float)
        total += weight[:, None] * values[np.clip(rows + step, 0, count - 1)]
        weights += weight
    return np.asarray(total / weights[:, None])
