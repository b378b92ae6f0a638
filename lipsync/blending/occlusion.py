"""Notices a hand or a microphone in front of the mouth, where a drawn mouth must not be painted.

The colours of the lower face are compared, in a coarse grid that moves with the face box, with what
they were in the last seconds. Speaking and turning the head change some cells somewhat; what comes
in front changes many, while the upper face stays as it was. A hand of the very colour and brightness
of the face is not noticed, nor is what has been there since the shot began.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from lipsync.types import FloatArray, Frame

_GRID = 16
_ACROSS = slice(4, 12)
_UPPER, _LOWER = slice(4, 9), slice(9, 15)
"""Rows and columns of the grid over the face box: eyes to nose; lips, chin and what is beside them."""
_LIGHTNESS = 0.5
"""Weight of lightness beside hue in CIELAB: shadows move more than colours do."""
_CHANGED, _CHANGED_MUCH = 10.0, 18.0
"""Differences of colour, in CIELAB."""
_SHARE, _SHARE_MUCH = 0.57, 0.28
"""Shares of the lower face that changed so much when it is covered. In 20 s each of 51 clips of people
who speak, none covered, the largest were 0.50 and 0.17."""
_UPPER_SHARE = 0.6
"""Where more than this of the upper face changed as well, it is the light or the head that changed."""
_SECONDS, _SECONDS_COVERED = 2.0, 20.0
"""Over which the colours are averaged; covered ones count little, so that a change for good is learned."""
_GO_SECONDS, _COME_SECONDS = 0.06, 0.2
"""How fast the drawn mouth fades out and in again."""


class OcclusionFinder:
    """Follows the colours of one face, frame by frame."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._usual: FloatArray | None = None
        self._seen = 0
        self._free = 1.0

    def forget(self) -> None:
        """The next frame does not follow the one before."""
        self._usual, self._seen, self._free = None, 0, 1.0

    def look(self, crop: Frame) -> float:
        """How far the mouth is free, 0..1, fading over a few frames.

        Args:
            crop: (h, w, 3) uint8, the face box, of any size.
        """
        colors = _colors(crop)
        if self._usual is None:
            self._usual = colors
        covered = is_covered(colors - self._usual)
        self._seen += not covered
        slow = _SECONDS_COVERED if covered else _SECONDS
        # At first the mean of all frames so far.
        part = max(1 - math.exp(-1 / (slow * self._fps)), 0.0 if covered else 1 / self._seen)
        self._usual = self._usual + np.float32(part) * (colors - self._usual)
        step = -1 / (_GO_SECONDS * self._fps) if covered else 1 / (_COME_SECONDS * self._fps)
        self._free = min(1.0, max(0.0, self._free + step))
        return self._free


def is_covered(change: FloatArray) -> bool:
    """Whether a change of colours, (grid, grid, 3) CIELAB, is something in front of the mouth."""
    upper = change[_UPPER, _ACROSS]
    light = np.median(upper.reshape(-1, 3), axis=0)
    lower_size, upper_size = _size(change[_LOWER, _ACROSS] - light), _size(upper - light)
    if (upper_size > _CHANGED_MUCH).mean() > _UPPER_SHARE:
        return False
    return bool((lower_size > _CHANGED).mean() > _SHARE or (lower_size > _CHANGED_MUCH).mean() > _SHARE_MUCH)


def _size(change: FloatArray) -> FloatArray:
    """(..., 3) CIELAB to lengths, lightness counting less."""
    lightness, green_red, blue_yellow = np.moveaxis(change, -1, 0)
    return np.asarray(np.sqrt((_LIGHTNESS * lightness) ** 2 + green_red**2 + blue_yellow**2), np.float32)


def _colors(crop: Frame) -> FloatArray:
    """Mean colours of the grid's cells, (grid, grid, 3) CIELAB."""
    cells = cv2.resize(crop, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(cells.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)
