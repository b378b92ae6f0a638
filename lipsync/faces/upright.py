"""Upright view of a tilted face: the part of a frame around it, rotated, and back.

Generators, masks and sync experts know upright faces only. A tilted face is rotated upright about the
middle of its box, drawn there as any other, and only what changed is rotated back into the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.faces.crops import AnyBox, pixel_box
from lipsync.types import FloatArray, Frame, Mask, PixelBox

Float64Array = npt.NDArray[np.float64]

_UPRIGHT, TILTED = np.radians(10.0), np.radians(20.0)
"""Roll up to which a face counts as upright, and from which on it is rotated by all of its roll. In between
the rotation grows steadily, so that no crop jumps as a head begins to tilt."""
_MARGIN = 4
"""Pixels around the box: the mask fades out towards the edges of the box, but not where a frame ends."""


def roll(points: npt.NDArray[np.floating]) -> Float64Array:
    """In-plane rotation of faces, radians clockwise: 0 upright, pi upside down.

    The sum of the eye line, the mouth line and the eye-mouth line turned by 90 degrees gives the direction:
    in profile the first two shrink.

    Args:
        points: (..., 5, 2) as in `Face`; NaN where unknown.

    Returns:
        float64 (...), in [-pi, pi]; NaN where points are.
    """
    points = np.asarray(points, np.float64)
    down = points[..., 3:, :].mean(axis=-2) - points[..., :2, :].mean(axis=-2)
    across = np.stack([down[..., 1], -down[..., 0]], axis=-1)
    lines = points[..., 1, :] - points[..., 0, :] + points[..., 4, :] - points[..., 3, :]
    same_way = (lines * across).sum(axis=-1, keepdims=True) > 0
    x_axis = across + np.where(same_way, lines, -lines)
    return np.asarray(np.arctan2(x_axis[..., 1], x_axis[..., 0]))


def upright_rotation(points: npt.NDArray[np.floating]) -> Float64Array:
    """Rotation that crops of faces are taken with, radians clockwise; 0 for upright and unknown ones.

    Args:
        points: (..., 5, 2) as in `Face`; NaN where unknown.

    Returns:
        float64 (...).
    """
    angle = np.nan_to_num(roll(points))
    share = np.clip((np.abs(angle) - _UPRIGHT) / (TILTED - _UPRIGHT), 0, 1)
    return np.asarray(np.where(share == 1, angle, np.sign(angle) * share * TILTED))


def rotation_matrix(angle: float) -> Float64Array:
    """Matrix (2, 2) that turns a vector of the frame by `angle` radians anticlockwise, into the view."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


@dataclass(frozen=True, eq=False)
class UprightView:
    """Part of a frame, rotated so that the face in it is upright.

    Attributes:
        matrix: float64 (2, 3), from pixels of the frame to pixels of the view: rotation and shift.
        box: the face in the view; a few pixels lie around it.
        bounds: the smallest rectangle of the frame that holds the view, clipped to the frame.
    """

    matrix: Float64Array
    box: PixelBox
    bounds: PixelBox

    @classmethod
    def of(cls, box: AnyBox, points: FloatArray, frame_size: tuple[int, int]) -> UprightView | None:
        """The view of a tilted face; None for an upright one, and for one without points.

        Args:
            box: (4,) x1, y1, x2, y2, pixels of the frame: where the face's box would be if the face were
                rotated upright about the box's middle; it may reach beyond the frame.
            points: (5, 2) as in `Face`, pixels of the frame; NaN where unknown.
            frame_size: width, height in pixels.
        """
        angle = float(upright_rotation(points))
        if angle == 0 or not np.isfinite(box).all():
            return None
        x1, y1, x2, y2 = (float(edge) for edge in box)
        width, height = max(1, round(x2 - x1)), max(1, round(y2 - y1))
        in_view = PixelBox(_MARGIN, _MARGIN, _MARGIN + width, _MARGIN + height)
        rotation = rotation_matrix(angle)
        # A pixel's middle has whole coordinates here, an edge between pixels has in a box.
        middle = np.array([x1 + x2 - 1, y1 + y2 - 1]) / 2
        middle_in_view = np.array([width - 1, height - 1]) / 2 + _MARGIN
        matrix = np.column_stack([rotation, middle_in_view - rotation @ middle])
        half = np.abs(rotation.T) @ (np.array([width, height]) / 2 + _MARGIN)
        low, high = np.floor(middle - half), np.ceil(middle + half) + 1
        return cls(matrix, in_view, pixel_box((*low, *high), *frame_size))

    @property
    def size(self) -> tuple[int, int]:
        """Width, height in pixels."""
        return self.box.x2 + _MARGIN, self.box.y2 + _MARGIN

    def points(self, points: FloatArray) -> FloatArray:
        """Points (..., 2) of the frame in pixels of the view, float32."""
        return (points @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)

    def read(self, part: Frame, corner: tuple[int, int]) -> Frame:
        """The view, RGB uint8 (h, w, 3); beyond the part, its border pixels are repeated.

        Args:
            part: RGB uint8, at least `bounds` of the frame.
            corner: x, y of the part's upper left corner in the frame.
        """
        view = cv2.warpAffine(
            part,
            self._for_part(corner),
            self.size,
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(view, np.uint8)

    def crop(self, part: Frame, corner: tuple[int, int]) -> Frame:
        """The face's box in the view, as `read`."""
        x1, y1, x2, y2 = self.box
        return self.read(part, corner)[y1:y2, x1:x2]

    def write(self, part: Frame, corner: tuple[int, int], before: Frame, after: Frame, mask: Mask) -> Frame:
        """A copy of a part of the frame with what was changed in the view.

        Not the view but its change is added, so that nothing is lost by rotating to and fro.

        Args:
            part, corner: as for `read`.
            before, after: RGB uint8 (h, w, 3), the view as it was read, and as it is to be.
            mask: in pixels of the frame, from `mask_in_frame`; other pixels are kept.
        """
        change = after.astype(np.float32) - before
        size = (part.shape[1], part.shape[0])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        result = part + cv2.warpAffine(change, self._for_part(corner), size, flags=flags)
        rows, columns = mask.alpha.shape
        left, top = mask.x - corner[0], mask.y - corner[1]
        inside = np.s_[top : top + rows, left : left + columns]
        changed = part.copy()
        rounded = np.clip(result[inside] + np.float32(0.5), 0, 255).astype(np.uint8)
        changed[inside] = np.where(mask.alpha[..., None] > 0, rounded, part[inside])
        return changed

    def mask_in_frame(self, mask: Mask) -> Mask:
        """A mask of the view, rotated back: alpha as large as `bounds`."""
        alpha = np.zeros(self.size[::-1], np.float32)
        rows, columns = mask.alpha.shape
        alpha[mask.y : mask.y + rows, mask.x : mask.x + columns] = mask.alpha
        x, y, width, height = self.bounds.x1, self.bounds.y1, self.bounds.width, self.bounds.height
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        rotated = cv2.warpAffine(alpha, self._for_part((x, y)), (width, height), flags=flags)
        return Mask(x, y, np.asarray(rotated, np.float32))

    def _for_part(self, corner: tuple[int, int]) -> Float64Array:
        """The matrix for a part of the frame whose upper left corner is at `corner`."""
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ corner
        return matrix
