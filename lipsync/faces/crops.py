"""Face crops for the generator, and rounding of boxes to whole pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import Frame, PixelBox

AnyBox: TypeAlias = Sequence[float] | npt.NDArray[np.floating]
"""x1, y1, x2, y2 in pixels."""


def pixel_box(box: AnyBox, width: int, height: int) -> PixelBox:
    """Round a box to whole pixels inside the frame.

    Edges are rounded, not truncated, so that a drifting box moves as little as possible. Whole
    numbers are kept.

    Args:
        box: (4,) x1, y1, x2, y2 in pixels.
        width, height: of the frame in pixels, at least 1.

    Returns:
        The box with 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height: at least one pixel,
        the nearest one where the box is thinner or outside.

    Raises:
        ValueError: the box has a NaN, as in frames without a face.
    """
    edges = [float(edge) for edge in box]
    if not all(map(math.isfinite, edges)):
        raise ValueError(f"box is not finite: {edges}")
    x1, x2 = _pixel_span(edges[0], edges[2], width)
    y1, y2 = _pixel_span(edges[1], edges[3], height)
    return PixelBox(x1, y1, x2, y2)


def _pixel_span(low: float, high: float, size: int) -> tuple[int, int]:
    # floor(x + 0.5): round() goes to the even number, so that 0.5 and 1.5 would move unevenly
    first = min(max(math.floor(low + 0.5), 0), size - 1)
    return first, min(max(math.floor(high + 0.5), first + 1), size)


def crop_face(frame: Frame, box: AnyBox, size: tuple[int, int], antialias: bool = False) -> Frame:
    """Crop a box and resize it to the size that a generator takes.

    The aspect ratio is not kept. Interpolation is bilinear in both directions, as in the official
    Wav2Lip, on whose crops its weights were trained.

    Args:
        frame: (H, W, 3) RGB uint8.
        box: (4,) x1, y1, x2, y2; see `pixel_box`.
        size: height, width of the result in pixels.
        antialias: shrink larger faces by area averaging, for networks trained on such crops.

    Returns:
        (height, width, 3) RGB uint8.
    """
    frame_height, frame_width = frame.shape[:2]
    x1, y1, x2, y2 = pixel_box(box, frame_width, frame_height)
    height, width = size
    shrinks = x2 - x1 > width and y2 - y1 > height
    interpolation = cv2.INTER_AREA if antialias and shrinks else cv2.INTER_LINEAR
    crop = cv2.resize(frame[y1:y2, x1:x2], (width, height), interpolation=interpolation)
    return np.asarray(crop, dtype=np.uint8)
