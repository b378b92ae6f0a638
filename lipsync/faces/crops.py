"""Whole-pixel boxes and the crops that the generator sees. Pasting uses the same `pixel_box`."""

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
    """The whole pixels of `box` (x1, y1, x2, y2): edges rounded, inside the frame.

    Edges are rounded, not cut off, so that a box that drifts by part of a pixel moves as little
    as can be. Whole numbers come back as they are.

    Args:
        box: (4,) pixels.
        width, height: of the frame, at least 1.

    Returns:
        The box with 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height: at least one pixel,
        the nearest one where the box is thinner or outside.

    Raises:
        ValueError: the box has a NaN: a frame without a face has no pixels to cut out.
    """
    edges = [float(edge) for edge in box]
    if not all(map(math.isfinite, edges)):
        raise ValueError(f"box is not finite: {edges}")
    x1, x2 = _span(edges[0], edges[2], width)
    y1, y2 = _span(edges[1], edges[3], height)
    return PixelBox(x1, y1, x2, y2)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    # floor(x + 0.5): round() goes to the even number, and 0.5, 1.5 would then move unevenly
    first = min(max(math.floor(low + 0.5), 0), size - 1)
    return first, min(max(math.floor(high + 0.5), first + 1), size)


def crop_face(frame: Frame, box: AnyBox, size: tuple[int, int], averaged: bool = False) -> Frame:
    """The part of `frame` inside `box`, at the size that a generator takes.

    Interpolation is bilinear in both directions, as in the official program, on whose crops its
    weights were trained.

    Args:
        frame: (H, W, 3) RGB uint8.
        box: (4,) x1, y1, x2, y2; see `pixel_box`.
        size: height, width of the result in pixels.
        averaged: average where the face is larger than that, for networks trained on such crops.

    Returns:
        (height, width, 3) RGB uint8; the aspect ratio of the box is not kept.
    """
    frame_height, frame_width = frame.shape[:2]
    x1, y1, x2, y2 = pixel_box(box, frame_width, frame_height)
    height, width = size
    shrinks = x2 - x1 > width and y2 - y1 > height
    how = cv2.INTER_AREA if averaged and shrinks else cv2.INTER_LINEAR
    crop = cv2.resize(frame[y1:y2, x1:x2], (width, height), interpolation=how)
    return np.asarray(crop, dtype=np.uint8)
