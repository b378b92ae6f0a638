"""Putting the generated mouth into the frame. Only pixels inside the box are ever touched."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.blending.masks import mouth_mask
from lipsync.data_types import FloatArray, Frame, Mask, PixelBox
from lipsync.options import BlendOptions


def blend(frame: Frame, mouth: FloatArray, box: PixelBox, points: FloatArray, options: BlendOptions) -> Frame:
    """The frame with the generated mouth in it, as `options` ask for.

    Args:
        frame: (H, W, 3) uint8, not changed.
        mouth: (3, h, w) float32 in [0, 1], the generated picture of the whole box.
        box: x1, y1, x2, y2, the pixels that were cropped.
        points: float32 (5, 2) as in `Face`; NaN where unknown.

    Returns:
        A new frame; equal to `frame` wherever the mask is 0.
    """
    if options.mask == "box":
        return paste_box(frame, mouth, box)
    height, width = frame.shape[:2]
    return paste(frame, mouth, box, mouth_mask(points, box, (width, height), options))


def paste_box(frame: Frame, mouth: FloatArray, box: PixelBox) -> Frame:
    """Replace the whole box, with the arithmetic of Wav2Lip's `inference.py`.

    That is, values are cut off to whole numbers, not rounded, and enlarged after that.
    """
    x1, y1, x2, y2 = box
    picture = (mouth.transpose(1, 2, 0) * 255.0).astype(np.uint8)
    pasted = frame.copy()
    pasted[y1:y2, x1:x2] = cv2.resize(picture, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
    return pasted


def paste(frame: Frame, mouth: FloatArray, box: PixelBox, mask: Mask) -> Frame:
    """Lay the mouth over the box as strongly as `mask` says.

    Enlarging is cubic, which keeps lips and teeth a little crisper than the official bilinear;
    arguments and result as for `blend`.
    """
    x1, y1, x2, y2 = box
    rows, columns = _shown(mask.alpha)
    alpha = mask.alpha[rows, columns, None]
    left, top = mask.x + columns.start, mask.y + rows.start
    height, width = alpha.shape[:2]
    pasted = frame.copy()
    if not alpha.size:
        return pasted
    fitted = _fit(mouth, x2 - x1, y2 - y1)[top - y1 :, left - x1 :][:height, :width]
    under = pasted[top : top + height, left : left + width]
    mixed = under + alpha * (fitted.astype(np.float32) - under)
    under[:] = (mixed + np.float32(0.5)).astype(np.uint8)
    return pasted


def _fit(mouth: FloatArray, width: int, height: int) -> Frame:
    """(3, h, w) in [0, 1] to (height, width, 3) uint8."""
    picture = (np.clip(mouth.transpose(1, 2, 0), 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
    shrinks = width < picture.shape[1] and height < picture.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def _shown(alpha: FloatArray) -> tuple[slice, slice]:
    """Rows and columns of the part that is not 0."""
    return _extent(alpha.max(axis=1)), _extent(alpha.max(axis=0))


def _extent(strongest: FloatArray) -> slice:
    places = np.flatnonzero(strongest)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
