"""Alpha compositing of the generated mouth; only pixels under the mask change."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import cv2
import numpy as np

from lipsync.types import FloatArray, Frame, Mask, PixelBox

Layer: TypeAlias = Frame | FloatArray
"""RGB (h, w, 3) in [0, 255], uint8 or float32."""
_AnyLayer = TypeVar("_AnyLayer", Frame, FloatArray)


def paste_box(frame: Frame, mouth: FloatArray, box: PixelBox) -> Frame:
    """Replace the whole box, with the arithmetic of Wav2Lip's `inference.py`.

    That is, values are truncated to whole numbers, not rounded, and enlarged after that.

    Args:
        frame: (H, W, 3) RGB uint8, not changed.
        mouth: (3, h, w) RGB float32 in [0, 1], the generated crop of the whole box.
        box: the pixels that were cropped.

    Returns:
        (H, W, 3) RGB uint8.
    """
    x1, y1, x2, y2 = box
    crop = (mouth.transpose(1, 2, 0) * 255.0).astype(np.uint8)
    pasted = frame.copy()
    pasted[y1:y2, x1:x2] = cv2.resize(crop, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
    return pasted


def channels_last(mouth: FloatArray) -> FloatArray:
    """Generated crop as pixel values: (3, h, w) in [0, 1] -> (h, w, 3) in [0, 255]."""
    return np.ascontiguousarray(mouth.transpose(1, 2, 0)) * np.float32(255)


def resize_to_box(crop: Layer, box: PixelBox) -> Frame:
    """Resize a crop of the whole box, (h, w, 3), to the box's size, rounded to uint8.

    Enlarging is cubic, which keeps lips and teeth a little crisper than the official bilinear.
    """
    width, height = box.width, box.height
    rounded = crop if crop.dtype == np.uint8 else cv2.convertScaleAbs(np.maximum(crop, 0))
    shrinks = width < rounded.shape[1] and height < rounded.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rounded, (width, height), interpolation=interpolation), np.uint8)


def crop_to_mask(layer: _AnyLayer, box: PixelBox, mask: Mask) -> _AnyLayer:
    """Part of a layer of the whole box that lies under the mask; a view."""
    left, top = mask.x - box.x1, mask.y - box.y1
    height, width = mask.alpha.shape
    return layer[top : top + height, left : left + width]


def alpha_composite(frame: Frame, layer: Layer, mask: Mask) -> Frame:
    """Composite a layer of the mask's size over a copy of the frame.

    Args:
        frame: (H, W, 3) RGB uint8, not changed.
        layer: (h, w, 3), as large as the mask's alpha.
    """
    result = frame.copy()
    region = masked_region(result, mask)
    change = cv2.subtract(layer, region, dtype=cv2.CV_32F)
    cv2.multiply(change, repeat_channels(mask.alpha), dst=change)
    cv2.add(region, change, dst=region, dtype=cv2.CV_8U)
    return result


def masked_region(frame: Frame, mask: Mask) -> Frame:
    """Part of the frame under the mask's rectangle; a view."""
    height, width = mask.alpha.shape
    return frame[mask.y : mask.y + height, mask.x : mask.x + width]


def repeat_channels(values: FloatArray) -> FloatArray:
    """(h, w) -> (h, w, 3) with equal channels.

    To multiply with, it is much faster than broadcasting.
    """
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2RGB), np.float32)


def trim_mask(mask: Mask) -> Mask:
    """Mask without its zero borders; alpha is empty where all of it is zero."""
    rows, columns = _nonzero_span(mask.alpha.max(axis=1)), _nonzero_span(mask.alpha.max(axis=0))
    return Mask(mask.x + columns.start, mask.y + rows.start, mask.alpha[rows, columns])


def _nonzero_span(values: FloatArray) -> slice:
    indices = np.flatnonzero(values)
    return slice(int(indices[0]), int(indices[-1]) + 1) if len(indices) else slice(0, 0)
