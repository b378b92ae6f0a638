"""Occlusion detection: a hand or a microphone in front of the mouth.

The generated mouth must not cover them. The colours of the lower face, in a coarse grid over the face
box, are compared with their average over the last seconds. Speech and head turns change some cells
somewhat; an occluding object changes many, while the upper face stays as it was. A hand of exactly the
face's colour and brightness is not detected, nor is what has been there since the shot began; the latter,
and what stays for long, is the business of `lipsync.faces.mouth_visibility`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray, Frame
from lipsync.utils.ordered_section import ALONE

_GRID = 16
_COLUMNS = slice(4, 12)
_UPPER_ROWS, _LOWER_ROWS = slice(4, 9), slice(9, 15)
"""Cells of the grid over the face box: eyes to nose (upper), lips and chin with their sides (lower)."""
_LIGHTNESS_WEIGHT = 0.5
"""Weight of lightness against hue in CIELAB: shadows move more than colours do."""
_CHANGED, _CHANGED_MUCH = 10.0, 18.0
"""Colour differences in CIELAB."""
_MAX_CHANGED_SHARE, _MAX_CHANGED_MUCH_SHARE = 0.57, 0.28
"""Shares of the lower face's cells that change so much only if it is occluded. In 20 s each of 51 clips of
people who speak, none occluded, the largest were 0.50 and 0.17."""
_STILL_CHANGED_SHARE, _STILL_CHANGED_MUCH_SHARE = 0.3, 0.14
"""Shares above which an occlusion goes on, once it is there: the head moves behind a microphone."""
_MAX_UPPER_SHARE = 0.6
"""Where more than this of the upper face changed as well, the cause is light or motion of the head."""
_AVERAGE_SECONDS, _OCCLUDED_AVERAGE_SECONDS = 2.0, 20.0
"""Time constants of the average; occluded frames count little, so that a lasting change is learned."""
_FADE_OUT_SECONDS, _FADE_IN_SECONDS = 0.06, 0.2


class OcclusionDetector:
    """Occlusion of the mouth in the frames of one video, in order of time.

    Args:
        fps: frames per second.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._average: FloatArray | None = None
        self._frames = 0
        self._visibility = 1.0
        self._occluded = False

    def reset(self) -> None:
        """Reset the temporal smoothing, as at a cut."""
        self._average, self._frames, self._visibility, self._occluded = None, 0, 1.0, False

    @property
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What the next frame depends on, as arrays; empty at a start."""
        if self._average is None:
            return {}
        numbers = np.array([self._frames, self._visibility, self._occluded], np.float64)
        return {"average": self._average, "numbers": numbers}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from `state`."""
        self.reset()
        if state:
            frames, visibility, occluded = state["numbers"].tolist()
            self._average, self._frames = state["average"], int(frames)
            self._visibility, self._occluded = visibility, bool(occluded)

    def visibility(
        self,
        crop: Frame,
        turn: AbstractContextManager[object] = ALONE,
    ) -> float:
        """Visibility of the mouth in the next frame, 0..1, fading over a few frames.

        Args:
            crop: (h, w, 3) RGB uint8, the face box, of any size.
            turn: entered while the average over time is read and changed.
        """
        colors = _grid_colors(crop)
        with turn:
            return self._update(colors)

    def _update(self, colors: FloatArray) -> float:
        """The visibility in the next frame, whose grid has these colours."""
        if self._average is None:
            self._average = colors
        occluded = self._occluded = is_occluded(colors - self._average, self._occluded)
        self._frames += not occluded
        seconds = _OCCLUDED_AVERAGE_SECONDS if occluded else _AVERAGE_SECONDS
        # At first the mean of all frames so far.
        rate = max(1 - math.exp(-1 / (seconds * self._fps)), 0.0 if occluded else 1 / self._frames)
        self._average = self._average + np.float32(rate) * (colors - self._average)
        step = -1 / (_FADE_OUT_SECONDS * self._fps) if occluded else 1 / (_FADE_IN_SECONDS * self._fps)
        self._visibility = min(1.0, max(0.0, self._visibility + step))
        return self._visibility


def is_occluded(change: FloatArray, before: bool = False) -> bool:
    """Whether a change of colours, CIELAB (grid, grid, 3), is an occlusion.

    Args:
        before: whether the frame before is occluded; less change is then enough.
    """
    upper = change[_UPPER_ROWS, _COLUMNS]
    light = np.median(upper.reshape(-1, 3), axis=0)
    lower_difference = _color_difference(change[_LOWER_ROWS, _COLUMNS] - light)
    if (_color_difference(upper - light) > _CHANGED_MUCH).mean() > _MAX_UPPER_SHARE:
        return False
    return bool(
        (lower_difference > _CHANGED).mean() > (_STILL_CHANGED_SHARE if before else _MAX_CHANGED_SHARE)
        or (lower_difference > _CHANGED_MUCH).mean()
        > (_STILL_CHANGED_MUCH_SHARE if before else _MAX_CHANGED_MUCH_SHARE)
    )


def _color_difference(change: FloatArray) -> FloatArray:
    """Length of CIELAB differences with lightness weighted less: (..., 3) -> (...)."""
    lightness, green_red, blue_yellow = np.moveaxis(change, -1, 0)
    return np.asarray(
        np.sqrt((_LIGHTNESS_WEIGHT * lightness) ** 2 + green_red**2 + blue_yellow**2), np.float32
    )


def _grid_colors(crop: Frame) -> FloatArray:
    """Mean colour of each grid cell, (grid, grid, 3) CIELAB."""
    cells = cv2.resize(crop, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(cells.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)
