"""Sharpening the synced face in frames: out of the frame, through the network, back again.

What is put back is not the network's picture but what it changed. So a pixel that the network
leaves alone stays exactly as it was, however often the face had to be resized, and detail of a
face larger than the network's picture is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from lipsync.enhancers.alignment import SIZE, Matrix, align, alignment, put_back, reach
from lipsync.enhancers.base import Enhancer
from lipsync.options import EnhanceOptions
from lipsync.progress import CancelToken
from lipsync.types import FloatArray, Frame, Mask, PixelBox

# The face in the aligned picture, from the hairline to the chin, as an ellipse: middle and half
# axes in pixels; and the share of it that the soft edge takes.
_FACE_X, _FACE_Y, _FACE_HALF_WIDTH, _FACE_HALF_HEIGHT = 256, 288, 165, 205
_FACE_EDGE = 0.35
_PICTURE_EDGE = 24
"""Pixels over which the change fades out at the aligned picture's edges."""
_MASK_EDGE = 0.06
"""How wide the edge of a mask is at least, as a share of the mask."""
_SMALL = 64
"""Side of the picture that colours are compared in."""
_REGION = 3 / 16
"""Standard deviation of what counts as a region's colour, as a share of the aligned picture: more
than a mouth, so that teeth may get brighter, and less than a face."""


class FaceEnhancement:
    """The stage: frames in, the same frames with a sharper face out.

    Args:
        enhancer: what sharpens an aligned face.
        options: `enhance_strength` and `enhance_area` are used.
    """

    def __init__(self, enhancer: Enhancer, options: EnhanceOptions) -> None:
        self._enhancer = enhancer
        self._options = options
        self._face = face_shape()
        self._fade = _fade_to_the_edge()

    def apply(
        self,
        frames: Sequence[Frame],
        boxes: Sequence[PixelBox | None],
        points: FloatArray,
        masks: Sequence[Mask | None],
        cancel: CancelToken | None = None,
    ) -> list[Frame]:
        """Sharpen the face of every frame that has both a box and a mask.

        Args:
            frames: n of (H, W, 3) uint8 RGB, with the mouth drawn; not changed.
            boxes: of the face, inside the frame.
            points: float32 (n, 5, 2) as in `Face`, pixels of the frame; NaN where unknown.
            masks: where the mouth was drawn, inside the frame.

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
            matrices = [alignment(points[number], box) for number, box, _ in batch]
            before = np.stack(
                [align(frames[one[0]], matrix) for one, matrix in zip(batch, matrices, strict=True)]
            )
            after = self._enhancer.enhance(before, self._options.enhance_strength, cancel)
            changes = after.astype(np.float32) - before
            for (number, _, mask), matrix, change in zip(batch, matrices, changes, strict=True):
                results[number] = self._put_back(frames[number], change, matrix, mask)
        return results

    def _put_back(self, frame: Frame, change: FloatArray, matrix: Matrix, mask: Mask) -> Frame:
        height, width = frame.shape[:2]
        change = change - _of_regions(change, self._face, matrix, (width, height))
        part, shown = self._shown(mask, matrix, (width, height))
        x1, y1, x2, y2 = part
        result = frame.copy()
        if not shown.size:
            return result
        placed = put_back(change * self._fade, matrix, part)
        under = result[y1:y2, x1:x2]
        mixed = under + shown[..., None] * placed
        under[:] = (np.clip(mixed, 0, 255) + np.float32(0.5)).astype(np.uint8)
        return result

    def _shown(self, mask: Mask, matrix: Matrix, frame_size: tuple[int, int]) -> tuple[PixelBox, FloatArray]:
        """Part of the frame that may change, and float32 (h, w) in [0, 1]: how strongly."""
        mouth = soft_edge(mask, frame_size)
        height, width = mouth.shape
        own = PixelBox(mask.x, mask.y, mask.x + width, mask.y + height)
        if self._options.enhance_area == "mouth":
            return own, mouth
        face = reach(matrix, frame_size)
        part = PixelBox(
            min(face.x1, own.x1), min(face.y1, own.y1), max(face.x2, own.x2), max(face.y2, own.y2)
        )
        shown = np.clip(put_back(self._face, matrix, part), 0, 1)
        drawn = shown[own.y1 - part.y1 :, own.x1 - part.x1 :][:height, :width]
        np.maximum(drawn, mouth, out=drawn)
        return part, shown


def face_shape() -> FloatArray:
    """Float32 (512, 512): 1 in the face of an aligned picture, falling softly to 0 at its outline."""
    x = (np.arange(SIZE, dtype=np.float32) - _FACE_X) / _FACE_HALF_WIDTH
    y = (np.arange(SIZE, dtype=np.float32) - _FACE_Y) / _FACE_HALF_HEIGHT
    return _smooth_step(((1 - np.hypot(x, y[:, None])) / _FACE_EDGE).astype(np.float32))


def soft_edge(mask: Mask, frame_size: tuple[int, int]) -> FloatArray:
    """The mask's alpha, made to begin softly: one with hard edges would show where sharpening ends.

    Args:
        frame_size: width, height. Where the mask ends with the frame there is no edge.
    """
    height, width = mask.alpha.shape
    sides = (
        (mask.y <= 0, mask.y + height >= frame_size[1]),
        (mask.x <= 0, mask.x + width >= frame_size[0]),
    )
    covered = (mask.alpha > 0).astype(np.uint8)
    for axis, (begins, ends) in enumerate(sides):
        margins = [(0, 0), (0, 0)]
        margins[axis] = (1, 1)
        covered = np.pad(covered, margins, mode="edge")
        first, last = (covered[0], covered[-1]) if axis == 0 else (covered[:, 0], covered[:, -1])
        first[...] *= np.uint8(begins)
        last[...] *= np.uint8(ends)
    depth = cv2.distanceTransform(covered, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    ramp = depth / np.float32(1 + _MASK_EDGE * max(height, width))
    return np.minimum(mask.alpha, _smooth_step(np.asarray(ramp, np.float32)))


def _of_regions(
    change: FloatArray, face: FloatArray, matrix: Matrix, frame_size: tuple[int, int]
) -> FloatArray:
    """The part of the change that is a shift of colour over a whole region of the face.

    Face networks give skin a tone of their own; taken off the change, the tone before is kept.
    Only the face counts, and of it what is in the frame.
    """
    cell = SIZE / _SMALL
    centres = (np.arange(_SMALL) + 0.5) * cell - 0.5
    grid = np.stack(np.meshgrid(centres, centres), axis=-1)
    inverse = cv2.invertAffineTransform(matrix)
    places = grid @ inverse[:, :2].T + inverse[:, 2]
    inside = ((places >= 0) & (places <= np.subtract(frame_size, 1))).all(axis=-1)
    weight = cv2.resize(face, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA) * inside.astype(np.float32)
    small = cv2.resize(change, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    sigma = _REGION * _SMALL
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    mean = cv2.GaussianBlur(small * weight[..., None], (0, 0), sigma) / np.maximum(total, 1e-6)
    return np.asarray(cv2.resize(mean, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def _fade_to_the_edge() -> FloatArray:
    """Float32 (512, 512, 1): 0 at the outermost pixels, 1 further in."""
    place = np.arange(SIZE, dtype=np.float32)
    along = _smooth_step(np.asarray(np.minimum(place, place[::-1]) / _PICTURE_EDGE, np.float32))
    fade: FloatArray = (along * along[:, None])[..., None]
    return fade


def _smooth_step(ramp: FloatArray) -> FloatArray:
    """0 below 0, 1 above 1, and without a corner in between."""
    held = np.clip(ramp, np.float32(0), np.float32(1))
    smooth: FloatArray = held * held * (3 - 2 * held)
    return smooth
