"""Putting the drawn mouth into the frame. Only pixels under the mask are ever touched."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import cv2
import numpy as np

from lipsync.types import FloatArray, Frame, Mask, PixelBox

Picture: TypeAlias = Frame | FloatArray
"""(h, w, 3) in [0, 255]: rounded, or not yet."""
_Part = TypeVar("_Part", Frame, FloatArray)


def paste_box(frame: Frame, mouth: FloatArray, box: PixelBox) -> Frame:
    """Replace the whole box, with the arithmetic of Wav2Lip's `inference.py`.

    That is, values are cut off to whole numbers, not rounded, and enlarged after that.

    Args:
        frame: (H, W, 3) uint8, not changed.
        mouth: (3, h, w) float32 in [0, 1], the drawn picture of the whole box.
        box: the pixels that were cropped.
    """
    x1, y1, x2, y2 = box
    picture = (mouth.transpose(1, 2, 0) * 255.0).astype(np.uint8)
    pasted = frame.copy()
    pasted[y1:y2, x1:x2] = cv2.resize(picture, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
    return pasted


def levels(mouth: FloatArray) -> FloatArray:
    """(3, h, w) in [0, 1] to (h, w, 3) in [0, 255]."""
    return np.ascontiguousarray(mouth.transpose(1, 2, 0)) * np.float32(255)


def to_box(picture: Picture, box: PixelBox) -> Frame:
    """A picture of the whole box, (h, w, 3) in [0, 255], at the box's size, rounded to uint8.

    Enlarging is cubic, which keeps lips and teeth a little crisper than the official bilinear.
    """
    width, height = box.width, box.height
    whole = picture if picture.dtype == np.uint8 else cv2.convertScaleAbs(np.maximum(picture, 0))
    shrinks = width < whole.shape[1] and height < whole.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(whole, (width, height), interpolation=how), np.uint8)


def cut(picture: _Part, box: PixelBox, mask: Mask) -> _Part:
    """The part of a picture of the whole box that lies under the mask."""
    left, top = mask.x - box.x1, mask.y - box.y1
    height, width = mask.alpha.shape
    return picture[top : top + height, left : left + width]


def lay(frame: Frame, picture: Picture, mask: Mask) -> Frame:
    """A copy of the frame with `picture`, uint8 or float32 of the mask's shape, laid over it."""
    pasted = frame.copy()
    under = covered(pasted, mask)
    change = cv2.subtract(picture, under, dtype=cv2.CV_32F)
    cv2.multiply(change, three(mask.alpha), dst=change)
    cv2.add(under, change, dst=under, dtype=cv2.CV_8U)
    return pasted


def covered(frame: Frame, mask: Mask) -> Frame:
    """The part of the frame under the mask; not a copy."""
    height, width = mask.alpha.shape
    return frame[mask.y : mask.y + height, mask.x : mask.x + width]


def three(values: FloatArray) -> FloatArray:
    """(h, w) to (h, w, 3), the same in all colours; much faster to multiply with than by broadcasting."""
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB), np.float32)


def trim(mask: Mask) -> Mask:
    """The mask without its empty borders; where nothing shows, its alpha is empty."""
    rows, columns = _extent(mask.alpha.max(axis=1)), _extent(mask.alpha.max(axis=0))
    return Mask(mask.x + columns.start, mask.y + rows.start, mask.alpha[rows, columns])


def _extent(strongest: FloatArray) -> slice:
    places = np.flatnonzero(strongest)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
