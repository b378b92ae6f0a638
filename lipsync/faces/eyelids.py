"""Blinks in a still picture: eyes are found, and lids closed by warping skin.

A lid is the skin above the eye pulled down with its lashes; nothing is painted. Coordinates of an eye have
x along the line of the eyes and y down, in distances between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from lipsync.types import FloatArray, Frame, PixelBox

_SCALE = 100
"""Pixels per distance between the eyes in the images in which eyes are sought."""
_REACH = 50
"""Pixels of such an image to each side of its middle."""
_MIN_PIXELS = 20.0
"""Distance between the eyes, in pixels of the frame, below which there is nothing to move."""
_SOUGHT = (0.25, 0.16)
"""How far beside the detector's point, and above and below it, an iris is sought; brows lie higher."""
_MIN_CONTRAST = 0.15
"""Of a dark iris against its sides, in ranges of brightness around the eye."""
_MIN_LID = 0.2
"""Of the iris against the skin above it: the lid is not to be cut out of a brow or a shadow."""
_GLASSES = 0.115
"""Edges on the bridge of the nose above this are glasses: 0.03 to 0.11 without, 0.13 to 0.24 with."""
_UPPER, _LOWER = (0.075, 0.045), (0.06, 0.04)
"""Usual distance of the lids' edges from the middle of the iris, and its standard deviation."""
_NARROWEST, _WIDEST = 0.07, 0.25
"""Openings outside of this are no open eye."""
_HALF_WIDTH = 0.25
"""From the middle of an eye to its corners."""
_LASH_LINE, _LASHES = 0.02, 0.04
"""Height of the dark line at the edge of the lid, and of the part that moves with it unstretched."""
_BOX = 0.45
"""Half the side of what changes."""
_OVERLAP = 0.015
"""By which a closed lid covers the edge of the lower one."""
_SKIN = (0.05, 0.12)
"""Least and greatest height of the skin that is stretched."""
_BROW = 0.12
"""By how much a brow is darker than the skin below it, in ranges of brightness above and below the eye."""


@dataclass(frozen=True)
class Eye:
    """An open eye.

    Attributes:
        middle: (x, y) of the iris, pixels of the frame.
        axis: (x, y) from the left to the right eye of the frame, pixels.
        upper, lower: y of the lids' edges, relative to the middle.
        skin: height of the skin from the lashes to the brow, which is stretched.
    """

    middle: tuple[float, float]
    axis: tuple[float, float]
    upper: float
    lower: float
    skin: float

    def shifted(self, x: int, y: int) -> Eye:
        """The same eye in a picture that begins `x` and `y` pixels earlier."""
        return replace(self, middle=(self.middle[0] + x, self.middle[1] + y))


class _Found(NamedTuple):
    """An eye in an image of `_patch`: pixels, and contrasts to trust it by."""

    x: int
    y: int
    upper: int
    lower: int
    skin: int
    contrast: float
    lid: float


def find_eyes(frame: Frame, points: FloatArray) -> tuple[Eye, ...]:
    """Both eyes of a face, if they can blink; else none.

    They cannot where they are closed, behind glasses, small, or not seen well.

    Args:
        frame: RGB uint8 (H, W, 3).
        points: float32 (5, 2) as in `Face`, pixels of the frame.
    """
    axis = points[1] - points[0]
    if not np.linalg.norm(axis) >= _MIN_PIXELS or _wears_glasses(frame, points):
        return ()
    eyes = [_find_eye(_patch(frame, point, axis)) for point in points[:2]]
    above, below = (
        float(np.mean(v)) for v in zip(*((e.y - e.upper, e.lower - e.y) for e in eyes), strict=True)
    )
    opening = (above + below) / _SCALE
    sure = all(eye.contrast >= _MIN_CONTRAST and eye.lid >= _MIN_LID for eye in eyes)
    if not sure or not _NARROWEST < opening < _WIDEST:
        return ()
    skin = float(np.clip(min(eye.skin for eye in eyes) / _SCALE, *_SKIN))
    right, down = axis / _SCALE, np.array([-axis[1], axis[0]]) / _SCALE
    middles = [
        point + (eye.x - _REACH) / 2 * right + (eye.y - _REACH) * down  # a gaze may go to the side
        for eye, point in zip(eyes, points, strict=False)
    ]
    shape = ((float(axis[0]), float(axis[1])), -above / _SCALE, below / _SCALE, skin)
    return tuple(Eye((float(x), float(y)), *shape) for x, y in middles)


def _wears_glasses(frame: Frame, points: FloatArray) -> bool:
    """Whether there are strong edges on the bridge of the nose."""
    patch = _patch(frame, (points[0] + points[1]) / 2, points[1] - points[0])
    bridge = cv2.GaussianBlur(patch[_REACH - 10 : _REACH + 20, _REACH - 18 : _REACH + 19], (0, 0), 1.0)
    edges = np.hypot(cv2.Sobel(bridge, cv2.CV_32F, 1, 0), cv2.Sobel(bridge, cv2.CV_32F, 0, 1)) / 8
    return float(np.percentile(edges, 97)) > _GLASSES * _contrast(patch)


def _contrast(patch: FloatArray) -> float:
    low, high = np.percentile(patch, [5, 95])
    return float(high - low) + 1e-3


def _patch(frame: Frame, point: FloatArray, axis: FloatArray) -> FloatArray:
    """Brightness around a point, the eyes' line horizontal; float32 (101, 101)."""
    distance = float(np.linalg.norm(axis))
    reach = int(np.ceil(1.5 * distance * _REACH / _SCALE)) + 2
    left, top = (max(0, int(value) - reach) for value in point)
    part = frame[top : max(1, int(point[1]) + reach), left : max(1, int(point[0]) + reach)]
    gray = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY).astype(np.float32)
    if distance > 1.5 * _SCALE:  # warpAffine interpolates between four pixels only
        gray = np.asarray(cv2.GaussianBlur(gray, (0, 0), 0.5 * distance / _SCALE), np.float32)
    back = np.array([axis, [-axis[1], axis[0]]], np.float64).T / _SCALE
    shift = point - (left, top) - back @ np.full(2, float(_REACH))
    flags, side = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, 2 * _REACH + 1
    matrix = np.hstack([back, shift[:, None]])
    warped = cv2.warpAffine(gray, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _find_eye(patch: FloatArray) -> _Found:
    """The iris as a dark disk between brighter sides, and the lids above and below it."""
    offsets = np.arange(-_REACH, _REACH + 1) / _SCALE
    distance = offsets[None] ** 2 + offsets[:, None] ** 2
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15)).astype(np.float32)
    dull = cv2.morphologyEx(
        patch, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8)
    )  # without reflections in the iris
    dark = cv2.filter2D(patch, -1, disk / disk.sum(), borderType=cv2.BORDER_REPLICATE)
    sides = [_moved(_blurred(patch, 9, 9), dx, 0) for dx in (15, -15)]
    below = _moved(_blurred(patch, 17, 7), 0, -14)
    bright = 0.5 * np.minimum(*sides) + 0.2 * np.maximum(*sides) + 0.3 * below
    contrast = (bright - dark) / _contrast(patch)
    far = (np.abs(offsets)[:, None] > _SOUGHT[1]) | (np.abs(offsets) > _SOUGHT[0])
    likely = np.where(far, -9.0, contrast - 10.5 * distance)
    y, x = (int(value) for value in np.unravel_index(likely.argmax(), likely.shape))
    column = cv2.GaussianBlur(dull[:, max(0, x - 5) : x + 6].mean(1)[:, None], (1, 5), 1)[:, 0]
    upper, lower = _edge(column, y, -1, _UPPER), _edge(column, y, 1, _LOWER)
    skin, lid = _skin(column, upper), column[max(0, upper - 9) : max(1, upper - 3)].mean()
    brightness = (lid - column[y - 3 : y + 4].mean()) / _contrast(patch)
    return _Found(x, y, upper, lower, skin, float(contrast[y, x]), float(brightness))


def _skin(column: FloatArray, upper: int) -> int:
    """Pixels from the lashes up to the brow, or as far as it is sought."""
    lashes = upper - round((_LASHES - _LASH_LINE) * _SCALE)
    above = column[max(0, lashes - round(_SKIN[1] * _SCALE)) : max(1, lashes)][::-1]
    darker = np.maximum.accumulate(above) - above > _BROW * np.ptp(column)
    return int(np.argmax(darker)) if darker.any() else len(above)


def _blurred(image: FloatArray, width: int, height: int) -> FloatArray:
    return np.asarray(cv2.blur(image, (width, height)), np.float32)


def _moved(image: FloatArray, dx: int, dy: int) -> FloatArray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _edge(column: FloatArray, start: int, direction: int, usual: tuple[float, float]) -> int:
    """Where brightness rises most on the way from the iris to the skin, near the usual place."""
    steps = np.arange(3, 18)
    rows = np.clip(start + direction * steps, 2, len(column) - 3)
    rise = direction * (column[rows + 2] - column[rows - 2])
    prior = np.exp(-0.5 * ((steps / _SCALE - usual[0]) / usual[1]) ** 2)
    return int(rows[np.argmax(np.maximum(rise, 1e-3) * prior)])


def eye_box(eye: Eye, size: tuple[int, int]) -> PixelBox:
    """The part of a picture of (width, height) pixels that a blink of this eye changes."""
    reach = _BOX * float(np.hypot(*eye.axis))
    (x, y), (width, height) = eye.middle, size
    return PixelBox(
        min(width - 1, max(0, int(x - reach))),
        min(height - 1, max(0, int(y - reach))),
        max(1, min(width, int(x + reach) + 2)),
        max(1, min(height, int(y + reach) + 2)),
    )


def close_lid(part: Frame, eye: Eye, closure: float) -> Frame:
    """Part of a picture with the lid of an eye in it lowered.

    Args:
        part: RGB uint8 (h, w, 3).
        eye: in pixels of the part.
        closure: 0 leaves the eye open, 1 closes it.
    """
    if closure <= 0:
        return part
    axis = np.array(eye.axis)
    distance = float(np.linalg.norm(axis))
    right = axis / distance
    x, y = np.meshgrid(np.arange(part.shape[1], dtype=np.float64), np.arange(part.shape[0], dtype=np.float64))
    across, down = x - eye.middle[0], y - eye.middle[1]
    u = (across * right[0] + down * right[1]) / distance
    v = (down * right[0] - across * right[1]) / distance
    edge, source = _lid(u, v, eye, closure)
    shift = (source - v) * distance
    map_x, map_y = (x - shift * right[1]).astype(np.float32), (y + shift * right[0]).astype(np.float32)
    moved = cv2.remap(part, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    lid = np.clip((edge - v) * distance + 0.5, 0, 1)[..., None]
    return np.asarray(np.rint(part + lid * (moved.astype(np.float32) - part)), np.uint8)


def _lid(u: FloatArray, v: FloatArray, eye: Eye, closure: float) -> tuple[FloatArray, FloatArray]:
    """Edge of the lowered lid at each place, and the y that each place of the lid shows."""
    arch = np.maximum(1 - (u / _HALF_WIDTH) ** 2, 0)
    corner = 0.5 * eye.lower
    upper = corner + (eye.upper + _LASH_LINE - corner) * arch
    lower = corner + (eye.lower - corner) * arch
    drop = closure * np.maximum(lower + _OVERLAP * arch - upper, 0)
    low, high = upper - eye.skin - _LASHES, upper.copy()
    for _ in range(14):  # where the skin that is now at v came from: it moves down the more the lower it is
        middle = (low + high) / 2
        q = np.clip((upper - _LASHES - middle) / eye.skin, 0, 1)
        beyond = middle + drop * (1 - q * q * (3 - 2 * q)) > v
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    source = np.where(v < upper - eye.skin - _LASHES, v, (low + high) / 2)
    return np.where(drop > 0, upper + drop, -np.inf), source
