"""Blending masks: mouth and chin with a soft edge, or the whole box.

A mask is data, so that the preview shows the same one that the run uses.

The shape scales with the distance between the midpoints of eyes and mouth, which does not change as
the head turns sideways; the distance between the eyes does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Frame, IntArray, Mask, PixelBox

# In units of the eye-mouth distance, from the mouth's centre.
_HALF_WIDTH = 0.94  # cheeks; the corners of a wide open mouth are at 0.5
_BELOW = 1.15  # the chin is at 0.75, with an open jaw at 1.1
_ABOVE = (-0.56, -0.40)  # the nose tip, limited to this range
_CORNER_RADIUS = 0.85  # in half-heights

# Shares of the box height: a tight face box with the default pad at the chin, measured on CenterFace.
_EYES_Y, _MOUTH_Y = 0.35, 0.69


@dataclass(frozen=True)
class _HeadPose:
    """In-plane pose of a head.

    Attributes:
        mouth: (2,) centre of the mouth, pixels.
        x_axis: (2,) unit vector from the left of the face to its right.
        scale: eye-mouth distance, pixels.
        top: upper edge of the mask, relative to the mouth, in units of `scale`.
    """

    mouth: FloatArray
    x_axis: FloatArray
    scale: float
    top: float


def make_mask(frame: Frame, box: PixelBox, points: FloatArray, options: BlendOptions) -> Mask:
    """Mask of the kind set by `options.mask`; arguments as for `lower_face_mask`."""
    height, width = frame.shape[:2]
    return box_mask(box) if options.mask == "box" else lower_face_mask(points, box, (width, height), options)


def box_mask(box: PixelBox) -> Mask:
    """Mask of the whole box with hard edges, as Wav2Lip pastes."""
    return Mask(box.x1, box.y1, np.ones((box.height, box.width), np.float32))


def lower_face_mask(
    points: FloatArray, box: PixelBox, frame_size: tuple[int, int], options: BlendOptions
) -> Mask:
    """Mask of mouth, chin and adjacent cheeks, rotated with the head.

    It begins below the nose and fades to 0 at the box's edges, where the generated crop ends; but not
    where the box is clipped by the frame, since there is nothing to fade into.

    Args:
        points: float32 (5, 2) as in `Face`, pixels of the frame. Where one is NaN, or they are
            implausible for the box, the box's proportions are used instead.
        box: of the face, inside the frame.
        frame_size: width, height in pixels.
        options: `mask_size` and `feather` are used.

    Returns:
        The mask, as large as the part of the box that the shape covers.
    """
    head = _head_pose(points, box)
    middle, half_width, half_height, part = _shape(head, box, options)
    # Pixel centres relative to the mouth, then along the head's axes.
    x = np.arange(part.x1, part.x2, dtype=np.float32) - head.mouth[0]
    y = np.arange(part.y1, part.y2, dtype=np.float32)[:, None] - head.mouth[1]
    axis_x, axis_y = head.x_axis
    depth = _depth_in_rounded_rectangle(
        axis_x * x + axis_y * y,
        axis_x * y - axis_y * x - np.float32(middle),
        half_width,
        half_height,
        _CORNER_RADIUS * half_height,
    )
    feather = max(options.feather / 100 * max(box.width, box.height), 1e-3)
    # Half as wide at the box's edge: the chin is close to it, and should be the generated one.
    depth = np.minimum(depth, 2 * _depth_in_box(box, frame_size, part))
    ramp: FloatArray = np.clip(depth / np.float32(feather), np.float32(0), np.float32(1))
    alpha = np.float32(3) - np.float32(2) * ramp
    alpha *= ramp
    alpha *= ramp
    return Mask(part.x1, part.y1, alpha)


def mask_top(points: FloatArray, box: PixelBox, options: BlendOptions) -> int:
    """Row of the frame that the mask of `make_mask` begins with."""
    return box.y1 if options.mask == "box" else _shape(_head_pose(points, box), box, options)[-1].y1


def sample_mask(mask: Mask, box: PixelBox, size: tuple[int, int]) -> FloatArray:
    """Sample a mask on a regular grid over the whole box.

    Args:
        size: width, height of the grid.

    Returns:
        float32 (height, width) in [0, 1].
    """
    columns = _centres(box.x1, box.x2, size[0]) - mask.x
    rows = _centres(box.y1, box.y2, size[1]) - mask.y
    height, width = mask.alpha.shape
    in_width, in_height = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
    alpha = np.zeros(size[::-1], np.float32)
    alpha[np.ix_(in_height, in_width)] = mask.alpha[np.ix_(rows[in_height], columns[in_width])]
    return alpha


def _centres(low: int, high: int, count: int) -> IntArray:
    """Pixels that hold the centres of `count` equal parts of [low, high), (count,)."""
    return ((np.arange(count) + 0.5) * ((high - low) / count)).astype(np.int64) + low


def _shape(head: _HeadPose, box: PixelBox, options: BlendOptions) -> tuple[float, float, float, PixelBox]:
    """The rounded rectangle of a mask: its middle below the mouth, half its sides, and its bounds."""
    size = head.scale * options.mask_size
    middle, half_height = (head.top + _BELOW) / 2 * size, (_BELOW - head.top) / 2 * size
    half_width = _HALF_WIDTH * size
    return middle, half_width, half_height, _bounds(head, middle, half_width, half_height, box)


def _bounds(head: _HeadPose, middle: float, half_width: float, half_height: float, box: PixelBox) -> PixelBox:
    """Bounding box of the rotated shape inside `box`; at least one pixel."""
    cosine, sine = np.abs(head.x_axis)
    centre = head.mouth + middle * np.array([-head.x_axis[1], head.x_axis[0]])
    extent = (cosine * half_width + sine * half_height, sine * half_width + cosine * half_height)
    x1, y1 = (int(max(low, c - r)) for c, r, low in zip(centre, extent, box[:2], strict=True))
    x2, y2 = (int(min(high, c + r + 2)) for c, r, high in zip(centre, extent, box[2:], strict=True))
    return PixelBox(x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))


def _head_pose(points: FloatArray, box: PixelBox) -> _HeadPose:
    """Pose from the landmarks, or from the box where they are missing or implausible."""
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - eyes
    # The x axis is the sum of the eye line, the mouth line, and the eye-mouth line turned by 90 degrees,
    # normalised: in profile the first two shrink.
    across_from_down = np.array([down[1], -down[0]])
    lines = points[1] - points[0] + points[4] - points[3]
    x_axis = across_from_down + (lines if lines @ across_from_down > 0 else -lines)
    x_axis = (x_axis / max(float(np.hypot(*x_axis)), 1e-6)).astype(np.float32)
    y_axis = np.array([-x_axis[1], x_axis[0]])
    scale = float(down @ y_axis)
    if np.isnan(points).any() or not _is_plausible(mouth, scale, box):
        return _default_pose(box)
    nose = float((points[2] - mouth) @ y_axis) / scale
    return _HeadPose(mouth, x_axis, scale, float(np.clip(nose, *_ABOVE)))


def _is_plausible(mouth: FloatArray, scale: float, box: PixelBox) -> bool:
    """Whether the mouth lies in the box and the face is about as large as it."""
    x1, y1, x2, y2 = box
    size = max(box.width, box.height)
    return bool(x1 <= mouth[0] <= x2 and y1 <= mouth[1] <= y2 and 0.12 * size < scale < 0.7 * size)


def _default_pose(box: PixelBox) -> _HeadPose:
    """An upright face that fills the box."""
    mouth = np.array([(box.x1 + box.x2 - 1) / 2, box.y1 + _MOUTH_Y * box.height], np.float32)
    scale = (_MOUTH_Y - _EYES_Y) * box.height
    return _HeadPose(mouth, np.array([1, 0], np.float32), scale, sum(_ABOVE) / 2)


def _depth_in_rounded_rectangle(
    x: FloatArray, y: FloatArray, half_width: float, half_height: float, radius: float
) -> FloatArray:
    """Distance of each pixel from the edge of a rounded rectangle; negative outside."""
    over_x, over_y = np.abs(x), np.abs(y)
    over_x -= np.float32(half_width - radius)
    over_y -= np.float32(half_height - radius)
    depth: FloatArray = np.minimum(np.maximum(over_x, over_y), 0)
    np.maximum(over_x, 0, out=over_x)
    np.maximum(over_y, 0, out=over_y)
    depth += cv2.magnitude(over_x, over_y)
    np.subtract(np.float32(radius), depth, out=depth)
    return depth


def _depth_in_box(box: PixelBox, frame_size: tuple[int, int], part: PixelBox) -> FloatArray:
    """Distance of each pixel of `part` from the box's edge; the frame's edge is none."""
    (x1, y1, x2, y2), (width, height) = box, frame_size
    x, y = np.arange(part.x1, part.x2, dtype=np.float32), np.arange(part.y1, part.y2, dtype=np.float32)
    no_edge = np.float32(np.inf)
    across = np.minimum(x - x1 + (0 if x1 > 0 else no_edge), x2 - 1 - x + (0 if x2 < width else no_edge))
    down = np.minimum(y - y1 + (0 if y1 > 0 else no_edge), y2 - 1 - y + (0 if y2 < height else no_edge))
    distance: FloatArray = np.minimum(across, down[:, None])
    return distance
