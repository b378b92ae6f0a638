"""One mouth after another put back into the frames of one video, in order of time."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from lipsync.blending.color import ColorMatch
from lipsync.blending.compositing import (
    Picture,
    covered,
    cut,
    lay,
    levels,
    paste_box,
    three,
    to_box,
    trim,
)
from lipsync.blending.masks import box_mask, make_mask, sample
from lipsync.blending.multiband import multiband
from lipsync.blending.occlusion import OcclusionFinder
from lipsync.blending.skin_detail import DetailKeeper
from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Frame, Mask, PixelBox

_BANDS = 4
"""Halvings in multi-band blending: the coarsest band fades over some 32 pixels."""
_STEEPER = 3.0
"""Times that the finest band fades faster than the plain mask."""
_FADE = 6.0
"""Part of the mask's edge, as a divisor, over which a multi-band mix fades to the frame."""


class Blender:
    """Puts drawn mouths into the frames of one video; remembers what is smoothed over time.

    Args:
        options: how.
        fps: frames per second of the result.
    """

    def __init__(self, options: BlendOptions, fps: float) -> None:
        self._options = options
        self._color = ColorMatch(fps)
        self._detail = DetailKeeper(fps)
        self._occlusion = OcclusionFinder(fps)

    def blend(
        self,
        frame: Frame,
        mouth: FloatArray,
        box: PixelBox,
        points: FloatArray,
        *,
        weight: float = 1.0,
        discontinuity: bool = False,
        crop: Frame | None = None,
    ) -> tuple[Frame, Mask | None]:
        """The frame with the drawn mouth in it.

        Args:
            frame: (H, W, 3) uint8, not changed.
            mouth: (3, h, w) float32 in [0, 1], the drawn picture of the whole box.
            box: the pixels that were cropped.
            points: float32 (5, 2) as in `Face`; NaN where unknown.
            weight: how strongly the mouth shows, 0..1.
            fresh: this frame does not follow the one before (the first one, a cut, a jump): forget
                what was learned and smoothed over time.
            crop: (h, w, 3) uint8, what the mouth was drawn from, where that is the box averaged
                down; saves doing it again.

        Returns:
            The new frame, equal to `frame` wherever the mask is 0, and the mask. Where nothing of
            the mouth shows, `frame` itself and None.
        """
        if self._options.mask == "box":
            return _blend_box(frame, mouth, box, weight) if weight > 0 else (frame, None)
        if discontinuity:
            self._color.forget()
            self._detail.forget()
            self._occlusion.forget()
        crop = _fitting(crop, frame, mouth, box)
        if self._options.occlusion:
            weight *= self._occlusion.look(crop)
        if weight <= 0:
            return frame, None
        mask = trim(make_mask(frame, box, points, self._options))
        if not mask.alpha.size:
            return frame, None
        picture = self._picture(frame, levels(mouth), box, mask, crop)
        if self._options.blend == "multiband":
            picture, mask = _in_bands(frame, picture, mask)
        if weight < 1:
            mask = replace(mask, alpha=mask.alpha * np.float32(weight))
        return lay(frame, picture, mask), mask

    def _picture(self, frame: Frame, drawn: FloatArray, box: PixelBox, mask: Mask, crop: Frame) -> Picture:
        """What is laid under the mask: `drawn` (h, w, 3) at the frame's size, in its colours and detail."""
        options, size = self._options, (drawn.shape[1], drawn.shape[0])
        source = crop.astype(np.float32)
        if options.color_match:
            offsets = self._color.offsets(drawn, source, sample(mask, box, size))
            drawn += np.float32(options.color_match) * offsets
        picture: Picture = cut(to_box(drawn, box), box, mask)
        width, height = box.width, box.height
        if options.keep_detail and width > size[0] and height > size[1]:
            share = np.float32(options.keep_detail) * self._detail.share(drawn, source)
            shown = cut(np.asarray(cv2.resize(share, (width, height)), np.float32), box, mask)
            detail = cv2.subtract(covered(frame, mask), cut(to_box(crop, box), box, mask), dtype=cv2.CV_32F)
            cv2.multiply(detail, three(shown), dst=detail)
            picture = np.asarray(cv2.add(picture, detail, dtype=cv2.CV_32F), np.float32)
        return picture


def blend(frame: Frame, mouth: FloatArray, box: PixelBox, points: FloatArray, options: BlendOptions) -> Frame:
    """One frame by itself, as if no other had been seen; arguments as for `Blender.blend`."""
    return Blender(options, fps=1).blend(frame, mouth, box, points)[0]


def _fitting(crop: Frame | None, frame: Frame, mouth: FloatArray, box: PixelBox) -> Frame:
    """The box averaged down to the mouth's size (h, w, 3), made unless it is there."""
    height, width = mouth.shape[1:]
    if crop is not None and crop.shape == (height, width, 3):
        return crop
    x1, y1, x2, y2 = box
    return np.asarray(
        cv2.resize(frame[y1:y2, x1:x2], (width, height), interpolation=cv2.INTER_AREA), np.uint8
    )


def _in_bands(frame: Frame, picture: Picture, mask: Mask) -> tuple[Picture, Mask]:
    """Picture and frame mixed band by band under the mask, and the mask to lay that with.

    Coarse bands reach farther than the mask; its outermost pixels fade to the frame.
    """
    under = covered(frame, mask).astype(np.float32)
    steep = np.clip((mask.alpha - 0.5) * _STEEPER + 0.5, 0, 1).astype(np.float32)
    mixed = multiband(under, np.asarray(picture, np.float32), steep, _BANDS)
    return mixed, replace(mask, alpha=np.minimum(mask.alpha * np.float32(_FADE), np.float32(1)))


def _blend_box(frame: Frame, mouth: FloatArray, box: PixelBox, weight: float) -> tuple[Frame, Mask]:
    """Wav2Lip's own paste; with less weight, mixed with the frame."""
    pasted, mask = paste_box(frame, mouth, box), box_mask(box)
    if weight >= 1:
        return pasted, mask
    mask = replace(mask, alpha=mask.alpha * np.float32(weight))
    x1, y1, x2, y2 = box
    return lay(frame, pasted[y1:y2, x1:x2], mask), mask
