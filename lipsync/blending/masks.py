"""Where the generated mouth shows: soft around mouth and chin, or the whole box.

A mask is data, so that the preview draws the same one that the run uses.

Lengths here are in units of the distance from the eyes' middle to the mouth's, which turning the
head does not change, as it does the distance between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Frame, IntArray, Mask, PixelBox

_HALF_WIDTH = 0.94  # cheeks: the corners of a wide open mouth are at 0.5
_BELOW = 1.15  # the chin is at 0.75, with an open jaw at 1.1
_ABOVE = (-0.56, -0.40)  # the nose tip, kept within these
_ROUNDNESS = 0.85  # radius of the corners in half-heights

# A tight face box with the default pad at the chin, measured on CenterFace's boxes.
_EYES_DOWN, _MOUTH_DOWN = 0.35, 0.69


@dataclass(frozen=True)
class _Head:
    """Mouth centre, the head's own x axis in the picture (unit vector), scale, top of the mask."""

    mouth: FloatArray
    across: FloatArray
    scale: float
    top: float


def make_mask(frame: Frame, box: PixelBox, points: FloatArray, options: BlendOptions) -> Mask:
    """The mask that `options` ask for; arguments as for `lower_face_mask`."""
    height, width = frame.shape[:2]
    return box_mask(box) if options.mask == "box" else lower_face_mask(points, box, (width, height), options)


def box_mask(box: PixelBox) -> Mask:
    """All of the box, hard edges: what Wav2Lip pastes."""
    return Mask(box.x1, box.y1, np.ones((box.height, box.width), np.float32))


def lower_face_mask(
    points: FloatArray, box: PixelBox, frame_size: tuple[int, int], options: BlendOptions
) -> Mask:
    """Mouth, chin and the cheeks beside them, turned with the head, with a soft edge.

    It begins below the nose and fades to 0 at the box's edges, where the generated picture ends;
    not where the box was cut off by the frame, since there is nothing to fade into.

    Args:
        points: float32 (5, 2) as in `Face`, pixels of the frame. Where one is NaN, or they make
            no face that fits the box, the box's own proportions serve instead.
        box: inside the frame.
        frame_size: width, height.
        options: `mask_size` and `feather` are used.

    Returns:
        The part of the box that the shape covers.
    """
    head = _head(points, box)
    size = head.scale * options.mask_size
    middle, half_height = (head.top + _BELOW) / 2 * size, (_BELOW - head.top) / 2 * size
    half_width = _HALF_WIDTH * size
    part = _bounds(head, middle, half_width, half_height, box)
    # Pixel centres, from the mouth's middle, along the head's axes.
    x = np.arange(part.x1, part.x2, dtype=np.float32) - head.mouth[0]
    y = np.arange(part.y1, part.y2, dtype=np.float32)[:, None] - head.mouth[1]
    along_x, along_y = head.across
    inside = _inside_rounded_box(
        along_x * x + along_y * y,
        along_x * y - along_y * x - np.float32(middle),
        half_width,
        half_height,
        _ROUNDNESS * half_height,
    )
    feather = max(options.feather / 100 * max(box.width, box.height), 1e-3)
    # Half as wide at the box's edge: the chin is close to it, and should be the generated one.
    depth = np.minimum(inside, 2 * _inside_box(box, frame_size, part))
    ramp: FloatArray = np.clip(depth / np.float32(feather), np.float32(0), np.float32(1))
    alpha = np.float32(3) - np.float32(2) * ramp
    alpha *= ramp
    alpha *= ramp
    return Mask(part.x1, part.y1, alpha)


def sample(mask: Mask, box: PixelBox, size: tuple[int, int]) -> FloatArray:
    """The mask over the whole box, at the centres of `size` (width, height) pixels; (height, width)."""
    columns = _centres(box.x1, box.x2, size[0]) - mask.x
    rows = _centres(box.y1, box.y2, size[1]) - mask.y
    height, width = mask.alpha.shape
    across, down = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
    alpha = np.zeros(size[::-1], np.float32)
    alpha[np.ix_(down, across)] = mask.alpha[np.ix_(rows[down], columns[across])]
    return alpha


def _centres(low: int, high: int, count: int) -> IntArray:
    """The whole pixels of the frame in which the centres of `count` equal parts lie."""
    return ((np.arange(count) + 0.5) * ((high - low) / count)).astype(np.int64) + low


def _bounds(head: _Head, middle: float, half_width: float, half_height: float, box: PixelBox) -> PixelBox:
    """The whole pixels that the turned shape covers in the box; at least one."""
    along_x, along_y = np.abs(head.across)
    centre = head.mouth + middle * np.array([-head.across[1], head.across[0]])
    reach = (
        along_x * half_width + along_y * half_height,
        along_y * half_width + along_x * half_height,
    )
    x1, y1 = (int(max(low, c - r)) for c, r, low in zip(centre, reach, box[:2], strict=True))
    x2, y2 = (int(min(high, c + r + 2)) for c, r, high in zip(centre, reach, box[2:], strict=True))
    return PixelBox(x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))


def _head(points: FloatArray, box: PixelBox) -> _Head:
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - eyes
    # Both lines across, and the line down turned by 90 degrees: in profile the first two shrink.
    across_from_down = np.array([down[1], -down[0]])
    lines = points[1] - points[0] + points[4] - points[3]
    across = across_from_down + (lines if lines @ across_from_down > 0 else -lines)
    across = (across / max(float(np.hypot(*across)), 1e-6)).astype(np.float32)
    down_axis = np.array([-across[1], across[0]])
    scale = float(down @ down_axis)
    if np.isnan(points).any() or not _plausible(mouth, scale, box):
        return _head_of_box(box)
    nose = float((points[2] - mouth) @ down_axis) / scale
    return _Head(mouth, across, scale, float(np.clip(nose, *_ABOVE)))


def _plausible(mouth: FloatArray, scale: float, box: PixelBox) -> bool:
    """Whether the mouth is in the box and the face about as large as it."""
    x1, y1, x2, y2 = box
    size = max(box.width, box.height)
    return bool(x1 <= mouth[0] <= x2 and y1 <= mouth[1] <= y2 and 0.12 * size < scale < 0.7 * size)


def _head_of_box(box: PixelBox) -> _Head:
    mouth = np.array([(box.x1 + box.x2 - 1) / 2, box.y1 + _MOUTH_DOWN * box.height], np.float32)
    scale = (_MOUTH_DOWN - _EYES_DOWN) * box.height
    return _Head(mouth, np.array([1, 0], np.float32), scale, sum(_ABOVE) / 2)


def _inside_rounded_box(
    x: FloatArray, y: FloatArray, half_width: float, half_height: float, radius: float
) -> FloatArray:
    """How far each pixel is inside a rectangle with round corners, pixels; negative outside."""
    over_x, over_y = np.abs(x), np.abs(y)
    over_x -= np.float32(half_width - radius)
    over_y -= np.float32(half_height - radius)
    inside: FloatArray = np.minimum(np.maximum(over_x, over_y), 0)
    np.maximum(over_x, 0, out=over_x)
    np.maximum(over_y, 0, out=over_y)
    inside += cv2.magnitude(over_x, over_y)
    np.subtract(np.float32(radius), inside, out=inside)
    return inside


def _inside_box(box: PixelBox, frame_size: tuple[int, int], part: PixelBox) -> FloatArray:
    """How far each pixel of `part` is from the box's outermost pixels; an edge of the frame is no edge."""
    (x1, y1, x2, y2), (width, height) = box, frame_size
    x, y = np.arange(part.x1, part.x2, dtype=np.float32), np.arange(part.y1, part.y2, dtype=np.float32)
    no_edge = np.float32(np.inf)
    across = np.minimum(x - x1 + (0 if x1 > 0 else no_edge), x2 - 1 - x + (0 if x2 < width else no_edge))
    down = np.minimum(y - y1 + (0 if y1 > 0 else no_edge), y2 - 1 - y + (0 if y2 < height else no_edge))
    distance: FloatArray = np.minimum(across, down[:, None])
    return distance
