"""Mouth layer: what was drawn, with alpha, to be laid over the source.

Colour is straight (not multiplied by alpha), as PNG demands and editors assume of ProRes 4444. With alpha a
and colour F over the source B an editor shows a F + (1 - a) B. That is to be the result R, so

    F = B + (R - B) / a

where a is the mask with which the mouth was blended, raised where F would leave the range of colours. What
was changed away from every mask, by an enhancer or a label, is opaque.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.media.video.deep import DeepFrame
from lipsync.media.video.yuv import YuvColorSpace, YuvFrame
from lipsync.types import FloatArray, Mask, PixelBox

_EDGE_GAIN = 8.0
"""Alpha for a difference of all levels, where chroma that is interpolated reaches beyond a mask."""
_MARGIN, _BLOCK = 4, 16
"""Pixels around what was drawn that interpolated chroma reaches, and sides of the blocks of codecs."""


@dataclass(frozen=True, eq=False)
class LayerFrame:
    """Transparent frame of which a rectangle has colour.

    Attributes:
        width, height: pixels of the whole frame.
        box: the rectangle; empty where nothing was drawn.
        rgb: float32 (h, w, 3) in [0, 1], the colour there.
        alpha: float32 (h, w) in [0, 1], its opacity.
        color_space: matrix and range of YUV made of it.
    """

    width: int
    height: int
    box: PixelBox
    rgb: FloatArray
    alpha: FloatArray
    color_space: YuvColorSpace

    def planes(self, pixels: str) -> tuple[npt.NDArray[Any], ...]:
        """The whole frame as ffmpeg's rawvideo has it.

        Args:
            pixels: "rgba", "rgba64le" or "yuva444p10le".
        """
        most, full = alpha_levels(pixels), self.color_space.full_range
        values = np.dstack([self.rgb, self.alpha]) * most
        empty = (0, 0, 0, 0)
        if pixels.startswith("yuva"):
            empty = (0 if full else 64, 512, 512, 0)
            if self.alpha.size:
                yuv = cv2.transform(self.rgb * 255, self.color_space.rgb_to_yuv)
                values[..., :3] = yuv * (most / 255 if full else 4.0)
        whole = np.full((self.height, self.width, 4), empty, np.uint8 if most == 255 else np.uint16)
        x1, y1, x2, y2 = self.box
        whole[y1:y2, x1:x2] = np.clip(np.rint(values), 0, most)
        return tuple(whole[..., plane] for plane in range(4)) if pixels.startswith("yuva") else (whole,)


def alpha_levels(pixels: str) -> int:
    """The value that is opaque in a pixel format of `LayerFrame.planes`."""
    return {"rgba": 255, "rgba64le": 65535, "yuva444p10le": 1023}[pixels]


class LayerResult(NamedTuple):
    """Result frame of which only what was drawn is written.

    Attributes:
        frame: the result in 8 bits.
        before: the source in 8 bits.
        original: the source with all of its bits; None where it has 8.
        masks: with which mouths were blended.
    """

    frame: YuvFrame
    before: YuvFrame
    original: DeepFrame | None
    masks: Sequence[Mask]

    def layer(self, shown: YuvFrame, levels: int) -> LayerFrame:
        """The layer that turns the source into `shown`.

        Args:
            shown: `frame`, with a label if there is one.
            levels: see `alpha_levels`.
        """
        box, size = _drawn_box(self.before, shown, self.masks), (shown.width, shown.height)
        color_space = (self.original or shown).color_space
        if not box.width:
            nothing = np.zeros((0, 0), np.float32)
            return LayerFrame(*size, box, np.zeros((0, 0, 3), np.float32), nothing, color_space)
        if self.original is None:
            before, after = (np.float32(1 / 255) * one.to_rgb(box) for one in (self.before, shown))
        else:
            changed = self.original.with_changes(self.before, shown)
            before, after = (np.float32(1 / 65535) * one.to_rgb(box) for one in (self.original, changed))
        rgb, alpha = straight_layer(before, after, _joined(self.masks, box), levels)
        return LayerFrame(*size, box, rgb, alpha, color_space)


def straight_layer(
    before: FloatArray, after: FloatArray, mask: FloatArray, levels: int
) -> tuple[FloatArray, FloatArray]:
    """Colour and alpha that turn one picture into another when laid over it.

    Args:
        before, after: float32 (h, w, 3) in [0, 1].
        mask: float32 (h, w) in [0, 1], the alpha where the colour stays in range with it.
        levels: steps of alpha, which is rounded up to one of them.

    Returns:
        float32 (h, w, 3), the colour, that of `after` where the alpha is 0; and float32 (h, w), the alpha.
    """
    difference = after - before
    room = np.maximum(np.where(difference > 0, 1 - before, before), np.float32(1e-6))
    needed = (np.abs(difference) / room).max(axis=2, initial=0)
    outside = (needed > 0) & (mask == 0)
    near = cv2.dilate((mask > 0).view(np.uint8), np.ones((2 * _MARGIN + 1,) * 2, np.uint8)) > 0
    soft = np.abs(difference).max(axis=2, initial=0) * np.float32(_EDGE_GAIN)
    alpha = np.where(outside, np.where(near, np.minimum(soft, 1), 1), mask)
    alpha = np.maximum(alpha, needed)
    alpha = np.minimum(np.ceil(alpha * levels - np.float32(1e-3)) / levels, 1).astype(np.float32)
    rgb = before + difference / np.maximum(alpha, np.float32(1 / levels))[..., None]
    return np.clip(rgb, 0, 1).astype(np.float32), alpha


def _drawn_box(before: YuvFrame, after: YuvFrame, masks: Sequence[Mask]) -> PixelBox:
    """The rectangle around all that was drawn, in whole blocks; an empty one for nothing."""
    boxes = [PixelBox(one.x, one.y, one.x + one.alpha.shape[1], one.y + one.alpha.shape[0]) for one in masks]
    if after is not before:
        for scale, old, new in ((1, before.y, after.y), (2, before.u, after.u), (2, before.v, after.v)):
            x, y, width, height = cv2.boundingRect(np.not_equal(old, new).view(np.uint8))
            if width:
                boxes.append(PixelBox(x * scale, y * scale, (x + width) * scale, (y + height) * scale))
    if not boxes:
        return PixelBox(0, 0, 0, 0)
    x1, y1, x2, y2 = (
        edge(values) for edge, values in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
    )
    left, top = (max(0, (low - _MARGIN) // _BLOCK * _BLOCK) for low in (x1, y1))
    right, bottom = (-(-(high + _MARGIN) // _BLOCK) * _BLOCK for high in (x2, y2))
    return PixelBox(left, top, min(after.width, right), min(after.height, bottom))


def _joined(masks: Sequence[Mask], box: PixelBox) -> FloatArray:
    """The masks in a rectangle of the frame as one."""
    whole = np.zeros((box.height, box.width), np.float32)
    for mask in masks:
        top, left = max(0, box.y1 - mask.y), max(0, box.x1 - mask.x)
        part = mask.alpha[top : box.y2 - mask.y, left : box.x2 - mask.x]
        y, x = mask.y + top - box.y1, mask.x + left - box.x1
        region = whole[y : y + part.shape[0], x : x + part.shape[1]]
        np.maximum(region, part, out=region)
    return whole
