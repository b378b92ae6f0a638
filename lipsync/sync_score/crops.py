"""The picture that an expert looks at: the lower half of a face box, as in its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.sync_score.base import PICTURE
from lipsync.types import Frame

AnyBox: TypeAlias = Sequence[float] | npt.NDArray[np.floating]
_HEIGHT, _WIDTH = PICTURE


def crop_lower_face(frame: Frame, box: AnyBox) -> Frame:
    """The lower half of `box`, the aspect not kept: averaged where it is larger, else bilinear.

    A prepared set's crops are 128x128 of the whole box, to parts of a pixel, and are halved after
    they were scaled; this cuts first, which costs a fraction and is the same to a few grey levels.

    Args:
        frame: (H, W, 3) RGB uint8.
        box: x1, y1, x2, y2 in pixels; beyond the frame its outermost pixels are repeated.

    Returns:
        (48, 96, 3) RGB uint8.
    """
    x1, y1, x2, y2 = (float(edge) for edge in box)
    top = (y1 + y2) / 2
    scale = np.array([_WIDTH / max(1.0, x2 - x1), _HEIGHT / max(1.0, y2 - top)])
    if scale.max() >= 1:
        return _warped(frame, (x1, top), scale)
    height, width = frame.shape[:2]
    left, right = _span(x1, x2, width)
    upper, lower = _span(top, y2, height)
    part = frame[upper:lower, left:right]
    crop = cv2.resize(part, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(round(low), 0), size - 1)
    return first, min(max(round(high), first + 1), size)


def _warped(frame: Frame, corner: tuple[float, float], scale: npt.NDArray[np.float64]) -> Frame:
    """Bilinear, to parts of a pixel: a small face that jumps by whole ones would seem to move its lips."""
    shift = 0.5 * scale - 0.5 - np.array(corner) * scale  # middles of pixels fall on middles
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    crop = cv2.warpAffine(
        frame, matrix, (_WIDTH, _HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)
