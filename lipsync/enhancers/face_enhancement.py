"""Face enhancement: aligned crops, restored and added back into the frames.

Not the network's output but its change is added to the frame. So a pixel that the network leaves
alone stays exactly as it was, however often the face had to be resized, and a face larger than the
aligned crop keeps its detail.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from lipsync.enhancers.alignment import (
    FACE_SIZE,
    Matrix,
    covered_box,
    estimate_alignment,
    warp_to_frame,
    warp_to_template,
)
from lipsync.enhancers.base import Enhancer
from lipsync.options import EnhanceOptions
from lipsync.progress import CancelToken
from lipsync.types import FloatArray, Frame, Mask, PixelBox

# The face in the aligned crop, from the hairline to the chin, as an ellipse: centre and half axes in
# pixels; and the share of it that the soft edge takes.
_FACE_X, _FACE_Y, _FACE_HALF_WIDTH, _FACE_HALF_HEIGHT = 256, 288, 165, 205
_FACE_EDGE = 0.35
_BORDER_FADE = 24
"""Pixels over which the change fades out at the aligned crop's border."""
_MIN_MASK_EDGE = 0.06
"""Least width of a mask's edge, as a share of the mask."""
_TINT_SIZE = 64
"""Side of the image that colours are compared in."""
_TINT_SIGMA = 3 / 16
"""Standard deviation of the region that tint is averaged over, as a share of the aligned crop: more than
a mouth, so that teeth may get brighter, and less than a face."""


class FaceEnhancement:
    """Enhances the synced face in frames.

    Args:
        enhancer: restores an aligned face.
        options: `enhance_strength` and `enhance_area` are used.
    """

    def __init__(self, enhancer: Enhancer, options: EnhanceOptions) -> None:
        self._enhancer = enhancer
        self._options = options
        self._face = face_ellipse()
        self._fade = _border_fade()

    def apply(
        self,
        frames: Sequence[Frame],
        boxes: Sequence[PixelBox | None],
        points: FloatArray,
        masks: Sequence[Mask | None],
        cancel: CancelToken | None = None,
    ) -> list[Frame]:
        """Enhance the face of every frame that has both a box and a mask.

        Args:
            frames: n of (H, W, 3) RGB uint8, with the mouth blended in; not changed.
            boxes: n of the face, inside the frame; None without a face.
            points: float32 (n, 5, 2) as in `Face`, pixels of the frame; NaN where unknown.
            masks: n of the blended mouth, inside the frame; None without one.

        Returns:
            n frames. One without box or mask is the same array; in the others only pixels of the
            mask, or with `enhance_area="face"` of the face too, may differ.

        Raises:
            Cancelled: the user stopped the job.
        """
        results = list(frames)
        if self._options.enhance_strength == 0:
            return results
        todo = [
            (number, box, mask)
            for number, (box, mask) in enumerate(zip(boxes, masks, strict=True))
            if box is not None and mask is not None and mask.alpha.any()
        ]
        while todo:
            batch, todo = todo[: self._enhancer.batch_size], todo[self._enhancer.batch_size :]
            matrices = [estimate_alignment(points[number], box) for number, box, _ in batch]
            before = np.stack(
                [
                    warp_to_template(frames[one[0]], matrix)
                    for one, matrix in zip(batch, matrices, strict=True)
                ]
            )
            after = self._enhancer.enhance(before, self._options.enhance_strength, cancel)
            changes = after.astype(np.float32) - before
            for (number, _, mask), matrix, change in zip(batch, matrices, changes, strict=True):
                results[number] = self._add_change(frames[number], change, matrix, mask)
        return results

    def _add_change(self, frame: Frame, change: FloatArray, matrix: Matrix, mask: Mask) -> Frame:
        """Add the change (512, 512, 3) of the aligned face, less its tint, to the frame."""
        height, width = frame.shape[:2]
        change = change - _regional_tint(change, self._face, matrix, (width, height))
        part, weights = self._weights(mask, matrix, (width, height))
        x1, y1, x2, y2 = part
        result = frame.copy()
        if not weights.size:
            return result
        in_frame = warp_to_frame(change * self._fade, matrix, part)
        region = result[y1:y2, x1:x2]
        enhanced = region + weights[..., None] * in_frame
        region[:] = (np.clip(enhanced, 0, 255) + np.float32(0.5)).astype(np.uint8)
        return result

    def _weights(
        self, mask: Mask, matrix: Matrix, frame_size: tuple[int, int]
    ) -> tuple[PixelBox, FloatArray]:
        """Part of the frame that may change, and weights of the change, (h, w) in [0, 1]."""
        mouth = soften_edge(mask, frame_size)
        height, width = mouth.shape
        own = PixelBox(mask.x, mask.y, mask.x + width, mask.y + height)
        if self._options.enhance_area == "mouth":
            return own, mouth
        face = covered_box(matrix, frame_size)
        part = PixelBox(
            min(face.x1, own.x1), min(face.y1, own.y1), max(face.x2, own.x2), max(face.y2, own.y2)
        )
        weights = np.clip(warp_to_frame(self._face, matrix, part), 0, 1)
        in_mask = weights[own.y1 - part.y1 :, own.x1 - part.x1 :][:height, :width]
        np.maximum(in_mask, mouth, out=in_mask)
        return part, weights


def face_ellipse() -> FloatArray:
    """Soft ellipse of the face in an aligned crop, float32 (512, 512) in [0, 1]."""
    x = (np.arange(FACE_SIZE, dtype=np.float32) - _FACE_X) / _FACE_HALF_WIDTH
    y = (np.arange(FACE_SIZE, dtype=np.float32) - _FACE_Y) / _FACE_HALF_HEIGHT
    return _smooth_step(((1 - np.hypot(x, y[:, None])) / _FACE_EDGE).astype(np.float32))


def soften_edge(mask: Mask, frame_size: tuple[int, int]) -> FloatArray:
    """Soften the edge of a mask; enhancement that ends at a hard edge would show.

    Args:
        frame_size: width, height. Where the mask ends with the frame there is no edge.

    Returns:
        float32 (h, w) in [0, 1], as large as the mask's alpha and nowhere above it.
    """
    height, width = mask.alpha.shape
    at_frame_border = (
        (mask.y <= 0, mask.y + height >= frame_size[1]),
        (mask.x <= 0, mask.x + width >= frame_size[0]),
    )
    covered = (mask.alpha > 0).astype(np.uint8)
    for axis, (starts, ends) in enumerate(at_frame_border):
        margins = [(0, 0), (0, 0)]
        margins[axis] = (1, 1)
        covered = np.pad(covered, margins, mode="edge")
        first, last = (covered[0], covered[-1]) if axis == 0 else (covered[:, 0], covered[:, -1])
        first[...] *= np.uint8(starts)
        last[...] *= np.uint8(ends)
    depth = cv2.distanceTransform(covered, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    ramp = depth / np.float32(1 + _MIN_MASK_EDGE * max(height, width))
    return np.minimum(mask.alpha, _smooth_step(np.asarray(ramp, np.float32)))


def _regional_tint(
    change: FloatArray, face: FloatArray, matrix: Matrix, frame_size: tuple[int, int]
) -> FloatArray:
    """Low-frequency part of the change, (512, 512, 3).

    That is a shift of colour over a whole region of the face.

    Restoration networks give skin a tone of their own; subtracted from the change, the original tone
    is kept. Only the visible part of the face counts.
    """
    cell = FACE_SIZE / _TINT_SIZE
    centres = (np.arange(_TINT_SIZE) + 0.5) * cell - 0.5
    grid = np.stack(np.meshgrid(centres, centres), axis=-1)
    inverse = cv2.invertAffineTransform(matrix)
    in_frame = grid @ inverse[:, :2].T + inverse[:, 2]
    inside = ((in_frame >= 0) & (in_frame <= np.subtract(frame_size, 1))).all(axis=-1)
    weight = cv2.resize(face, (_TINT_SIZE, _TINT_SIZE), interpolation=cv2.INTER_AREA)
    weight = weight * inside.astype(np.float32)
    small = cv2.resize(change, (_TINT_SIZE, _TINT_SIZE), interpolation=cv2.INTER_AREA)
    sigma = _TINT_SIGMA * _TINT_SIZE
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    mean = cv2.GaussianBlur(small * weight[..., None], (0, 0), sigma) / np.maximum(total, 1e-6)
    return np.asarray(cv2.resize(mean, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def _border_fade() -> FloatArray:
    """Float32 (512, 512, 1): 0 at the outermost pixels, 1 further in."""
    index = np.arange(FACE_SIZE, dtype=np.float32)
    along = _smooth_step(np.asarray(np.minimum(index, index[::-1]) / _BORDER_FADE, np.float32))
    fade: FloatArray = (along * along[:, None])[..., None]
    return fade


def _smooth_step(ramp: FloatArray) -> FloatArray:
    """Cubic smoothstep: 0 below 0, 1 above 1."""
    clipped = np.clip(ramp, np.float32(0), np.float32(1))
    smooth: FloatArray = clipped * clipped * (3 - 2 * clipped)
    return smooth
