"""Finds scene cuts while the frames stream past, from thumbnails a few hundred pixels in size.

Between two shots the picture changes at once and stays changed. So a border between two frames
is a cut when *every* one of the three frames before it differs from *every* one of the three after:
a flash or a single broken frame comes back to the old picture and is none. Thumbnails are
compared after their mean and contrast are taken out, so that fades and lights switched on are no
cuts; and the change at a cut stands out from the changes beside it, which a fast pan does not.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from lipsync.types import FloatArray, Frame

_SIZE = (32, 18)  # width, height
_ROWS = 4
"""Rows of the frame that each row of the thumbnail is made of; all of them would take four times as long."""
_BEFORE = 3
_AFTER = 3
_LEAST = 0.25
"""Least difference, 1 - correlation: neighbours within one shot stay below about 0.2, even in motion."""
_STANDS_OUT = 2.5
"""How many times the change beside it a cut must be."""
_LEAST_CONTRAST = 6.0
"""Grey levels. A picture flatter than this counts as flat: its pattern is noise."""


class ShotDetector:
    """Takes frames one by one; knows of a cut `_AFTER - 1` frames after it."""

    LAG = _AFTER - 1

    def __init__(self) -> None:
        self.cuts: list[int] = []
        self._count = 0
        self._recent: deque[FloatArray] = deque(maxlen=_BEFORE + _AFTER)

    def push(self, frame: Frame) -> None:
        """Look at the next frame; borders up to `LAG` frames before it are then decided in `cuts`."""
        self._recent.append(_thumbnail(frame))
        self._count += 1
        if self._count >= _AFTER:
            self._decide(_AFTER)

    def close(self) -> None:
        """The last frame was given: decide the borders that were waiting for more."""
        for after in range(min(_AFTER, self._count) - 1, 0, -1):
            self._decide(after)

    def _decide(self, after: int) -> None:
        """Decide the border that has `after` frames behind it."""
        border = self._count - after
        frames = list(self._recent)
        old, new = frames[:-after][-_BEFORE:], frames[-after:]
        if not old or _difference(old[-1], new[0]) < _LEAST:
            return
        least = min(_difference(one, other) for one in old for other in new)
        usual = min((_difference(*pair) for pair in (old[-2:], new[:2]) if len(pair) == 2), default=0.0)
        if least >= _LEAST and least > _STANDS_OUT * usual:
            self.cuts.append(border)


def _thumbnail(frame: Frame) -> FloatArray:
    """Grey levels less their mean, over their spread."""
    some = frame[:: max(1, frame.shape[0] // (_ROWS * _SIZE[1]))]
    small = cv2.resize(cv2.cvtColor(some, cv2.COLOR_RGB2GRAY), _SIZE, interpolation=cv2.INTER_AREA)
    grey = small.astype(np.float32)
    grey -= grey.mean()
    return np.asarray(grey / max(float(grey.std()), _LEAST_CONTRAST), dtype=np.float32)


def _difference(one: FloatArray, other: FloatArray) -> float:
    """0 for the same pattern, 1 for patterns that have nothing in common, 0.5 against a flat picture."""
    return float(np.square(one - other).mean()) / 2
