"""Sharpness and inner contrast of a mouth in a frame, by its outline."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.generators.builtin.outline_points import CHIN, INNER, OUTER
from lipsync.types import Bools, FloatArray, Frame, PixelBox

LIKE_OPENING = 0.02
"""Openings this close, in distances between the eyes, are alike: lips that part have more edges."""
_LIP_MARGIN, _BOX_MARGIN = 0.06, 0.25
"""Margins around lips, and around mouth and chin, in widths of the mouth."""
_MIN_INTERIOR = 24
"""Pixels of an open mouth from which its range of lightness is measured."""


def lip_region(outline: FloatArray, shape: tuple[int, ...]) -> Bools:
    """The lips with what lies between them, and a narrow margin; bool (H, W).

    Args:
        outline: (49, 2) in pixels.
        shape: of the frame.
    """
    lips = outline[OUTER]
    region = _filled(lips, shape)
    reach = max(1, round(_LIP_MARGIN * _width(lips)))
    return np.asarray(cv2.dilate(region, np.ones((2 * reach + 1,) * 2, np.uint8)), np.bool_)


def mouth_interior(outline: FloatArray, shape: tuple[int, ...]) -> Bools:
    """What lies between the lips, without its edge; bool (H, W)."""
    region = _filled(outline[INNER], shape)
    return np.asarray(cv2.erode(region, np.ones((3, 3), np.uint8)), np.bool_)


def mouth_box(outline: FloatArray, shape: tuple[int, ...], chin: bool = False) -> PixelBox:
    """The box around the lips, or around lips and chin, with a margin, within the frame."""
    points = np.concatenate([outline[OUTER], outline[CHIN][2:7]]) if chin else outline[OUTER]
    margin = _BOX_MARGIN * _width(outline[OUTER])
    x1, x2 = outline[OUTER][:, 0].min() - margin, outline[OUTER][:, 0].max() + margin
    y1, y2 = points[:, 1].min() - margin, points[:, 1].max() + (0 if chin else margin)
    height, width = shape[:2]
    left, top = int(np.clip(x1, 0, width - 2)), int(np.clip(y1, 0, height - 2))
    return PixelBox(left, top, int(np.clip(x2, left + 2, width)), int(np.clip(y2, top + 2, height)))


def _filled(polygon: FloatArray, shape: tuple[int, ...]) -> cv2.typing.MatLike:
    region = np.zeros(shape[:2], np.uint8)
    return cv2.fillPoly(region, [np.round(polygon).astype(np.int32)], 1)


def _width(lips: FloatArray) -> float:
    return float(np.ptp(lips[:, 0]))


def lip_sharpness(frame: Frame, outline: FloatArray) -> float:
    """Variance of the Laplacian over the lips, in grey levels squared; NaN without an outline."""
    if np.isnan(outline).any():
        return float("nan")
    return _laplacian_variance(frame, lip_region(outline, frame.shape))


def box_sharpness(frame: Frame, outline: FloatArray) -> float:
    """The same in the box around mouth and chin."""
    if np.isnan(outline).any():
        return float("nan")
    x1, y1, x2, y2 = mouth_box(outline, frame.shape, chin=True)
    region = np.zeros(frame.shape[:2], np.bool_)
    region[y1:y2, x1:x2] = True
    return _laplacian_variance(frame, region)


def _laplacian_variance(frame: Frame, region: Bools) -> float:
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    if not width:
        return float("nan")
    top, left = max(0, y - 1), max(0, x - 1)
    part = slice(top, y + height + 1), slice(left, x + width + 1)
    grey = cv2.cvtColor(np.ascontiguousarray(frame[part]), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[region[part]].var())


def lightness_range(frame: Frame, outline: FloatArray) -> float:
    """Range of L* (CIELAB, 0..100) between the lips, its 5th to its 95th percentile.

    Teeth are light and the throat is dark; a mouth painted as their mean is grey. NaN where the mouth is
    closed or smaller than a few pixels.
    """
    if np.isnan(outline).any():
        return float("nan")
    inside = mouth_interior(outline, frame.shape)
    if inside.sum() < _MIN_INTERIOR:
        return float("nan")
    low, high = np.percentile(_lightness(frame[inside]), (5, 95))
    return float(high - low)


def _lightness(pixels: Frame) -> FloatArray:
    """L* of RGB pixels (N, 3)."""
    colors = cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    return np.asarray(colors[0, :, 0], np.float32)


def at_like_openings(
    values: FloatArray, openings: FloatArray, real_values: FloatArray, real_openings: FloatArray
) -> float:
    """Median ratio of the values of drawn frames to those of the real frame whose opening is most alike.

    Args:
        values, openings: float32 (T,) of drawn frames.
        real_values, real_openings: float32 (N,) of real frames of the same face.

    Returns:
        1 where the drawn frames are like the real ones; NaN if no openings are alike.
    """
    known = np.flatnonzero(~np.isnan(real_values) & ~np.isnan(real_openings) & (real_values > 0))
    ratios = []
    for value, opening in zip(values, openings, strict=True):
        if not len(known) or np.isnan(value) or np.isnan(opening):
            continue
        distances = np.abs(real_openings[known] - opening)
        if distances.min() <= LIKE_OPENING:
            ratios.append(value / real_values[known[distances.argmin()]])
    return float(np.median(ratios)) if ratios else float("nan")
