"""Small head movements in a still picture, by a smooth warp around one face.

The head is taken for an ellipsoid: turning and nodding move its front more than its outline. The rest of
the movement fades over neck and background, and is nothing at the edges of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray, PixelBox

_GRID = 8
"""Pixels from node to node of the warp, which is smooth; at least, and for a face of `_GRID_FACE` pixels."""
_GRID_FACE = 200
_HEAD = (0.72, 0.78)
"""Half axes of the head, in widths and heights of the face's box."""
_FADE = (1.2, 2.1)
"""Where the movement begins to fade, and where it ends, in half axes of the head."""
_NECK = 0.8
"""Reach downwards, over neck and shoulders, as a share of that to the other sides."""
_BORDER = 0.25
"""Distance from the edge of the picture at which the movement is whole, in widths of the face."""


class HeadPose(NamedTuple):
    """Movement of a head from where the picture shows it.

    Attributes:
        x, y: shift of the whole head, in widths of the face.
        roll: rotation about the neck, radians clockwise.
        yaw, pitch: shift of the front of the face against the outline, in widths of the face.
    """

    x: float
    y: float
    roll: float
    yaw: float
    pitch: float


@dataclass(frozen=True, eq=False)
class HeadWarp:
    """The warp of a picture around one face.

    Attributes:
        bounds: the part of the picture that moves, with even edges.
        width: of the face, pixels.
        neck: (x, y) about which the head rolls, pixels of the picture.
        grid: pixels from node to node.
        x, y: float32 (h, w) of the nodes, pixels of the picture.
        share: float32 (h, w) in [0, 1], how much of the movement of the whole head is made there.
        depth: float32 (h, w) in [0, 1], how far in front the head is.
    """

    bounds: PixelBox
    width: float
    neck: tuple[float, float]
    grid: int
    x: FloatArray
    y: FloatArray
    share: FloatArray
    depth: FloatArray

    def maps(self, pose: HeadPose) -> tuple[FloatArray, FloatArray]:
        """For each pixel of `bounds`, the x and y in the picture that it shows; float32 (h, w)."""
        movement = np.stack(self._movement(pose, self.x, self.y, self.share, self.depth), axis=2)
        matrix = np.array([[1 / self.grid, 0, 0], [0, 1 / self.grid, 0]])
        size, flags = (self.bounds.width, self.bounds.height), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        full = cv2.warpAffine(movement, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        x = np.arange(self.bounds.x1, self.bounds.x2, dtype=np.float32) - full[..., 0]
        y = np.arange(self.bounds.y1, self.bounds.y2, dtype=np.float32)[:, None] - full[..., 1]
        return np.asarray(x, np.float32), np.asarray(y, np.float32)

    def moved(self, points: FloatArray, pose: HeadPose) -> FloatArray:
        """Points (..., 2) of the picture where the warp takes them; NaN stays NaN."""
        flat = points.reshape(-1, 2).astype(np.float32)
        at = (flat - (self.bounds.x1, self.bounds.y1)) / self.grid
        column, row = (np.ascontiguousarray(np.nan_to_num(at[:, [i]], nan=-9), np.float32) for i in (0, 1))
        share, depth = (
            np.asarray(cv2.remap(values, column, row, cv2.INTER_LINEAR)[:, 0], np.float32)
            for values in (self.share, self.depth)
        )
        dx, dy = self._movement(pose, flat[:, 0], flat[:, 1], share, depth)
        return np.asarray((flat + np.stack([dx, dy], axis=1)).reshape(points.shape), np.float32)

    def _movement(
        self, pose: HeadPose, x: FloatArray, y: FloatArray, share: FloatArray, depth: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        rolled_x, rolled_y = -pose.roll * (y - self.neck[1]), pose.roll * (x - self.neck[0])
        dx = share * (pose.x * self.width + rolled_x + pose.yaw * self.width * depth)
        dy = share * (pose.y * self.width + rolled_y + pose.pitch * self.width * depth)
        return np.asarray(dx, np.float32), np.asarray(dy, np.float32)


def head_warp(box: FloatArray, size: tuple[int, int]) -> HeadWarp:
    """The warp for a face in a picture.

    Args:
        box: (4,) of the face, x1, y1, x2, y2 in pixels, without pads.
        size: width and height of the picture.
    """
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    half = (_HEAD[0] * width, _HEAD[1] * height)
    bounds = _bounds(middle, half, size)
    grid = max(_GRID, round(_GRID * width / _GRID_FACE))
    x, y = np.meshgrid(
        np.arange(bounds.x1, bounds.x2 + grid, grid, dtype=np.float32),
        np.arange(bounds.y1, bounds.y2 + grid, grid, dtype=np.float32),
    )
    u, v = (x - middle[0]) / half[0], (y - middle[1]) / half[1]
    from_middle = np.hypot(u, v)
    share = _smooth((_FADE[1] - np.hypot(u, np.where(v > 0, v / _NECK, v))) / (_FADE[1] - _FADE[0]))
    edges = np.minimum(np.minimum(x, size[0] - 1 - x), np.minimum(y, size[1] - 1 - y))
    share = np.asarray(share * _smooth(edges / (_BORDER * width)), np.float32)
    depth = np.square(np.clip(1 - np.square(from_middle), 0, 1))
    neck = (float(middle[0]), float(middle[1] + 1.1 * height))
    values = (np.asarray(one, np.float32) for one in (x, y, share, depth))
    return HeadWarp(bounds, width, neck, grid, *values)


def _bounds(middle: tuple[float, float], half: tuple[float, float], size: tuple[int, int]) -> PixelBox:
    x1, x2 = middle[0] - _FADE[1] * half[0], middle[0] + _FADE[1] * half[0]
    y1, y2 = middle[1] - _FADE[1] * half[1], middle[1] + _FADE[1] * _NECK * half[1]
    return PixelBox(
        max(0, int(x1) // 2 * 2),
        max(0, int(y1) // 2 * 2),
        min(size[0], int(np.ceil(x2 / 2)) * 2),
        min(size[1], int(np.ceil(y2 / 2)) * 2),
    )


def _smooth(values: npt.NDArray[np.floating]) -> FloatArray:
    """0 below 0, 1 above 1, and smooth between."""
    clipped = np.clip(values, 0, 1)
    return np.asarray(clipped * clipped * (3 - 2 * clipped), np.float32)
