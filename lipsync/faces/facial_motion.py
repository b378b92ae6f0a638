"""Facial motion, which tells people from posters and portraits.

Two aligned crops of a picture are equal up to an affine transform, wherever the camera moved in between;
of a living face, lips, eyes or the direction of the head have changed. The crops are registered by the
enhanced correlation coefficient (Evangelidis and Psarakis, PAMI 2008), and what is left is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from lipsync.faces.aligned_faces import decode_aligned_face
from lipsync.faces.boxes import centre, mean_side
from lipsync.faces.detection_schedule import Detection
from lipsync.types import FloatArray

_SIDE = 92
"""Side that aligned crops are compared at, pixels."""
_INNER = np.s_[18:74, 22:70]
"""The face in it, from the brows to the chin."""
_CELLS = (12, 14)  # width, height
_MOST_CHANGED = 25
"""Cells that are averaged, out of 168: a mouth or two eyes."""
_MAX_PAIRS = 8
_MIN_CONTRAST = 6.0
"""Grey levels (standard deviation); below, noise would count as motion."""
_STILL, _STILL_WHILE_MOVING = 0.1, 0.25
"""Motion below which a face is a picture, where it stays in its place and where it moves in the frame. Of 30
people in clips of 3 s one, who listens, has 0.02; the others have 0.2 and more, those who move 0.3. Pictures
have up to 0.05, moved, rotated and noisy ones up to 0.22."""
_IN_PLACE = 0.01
"""Mean motion of the box between detections, in sides of the face, up to which it stays in its place."""
_RATIO = 3.0
"""Ratio of another face's motion to that of a picture."""


def facial_motion(detections: Sequence[Detection]) -> float:
    """Largest change of a face between two of its aligned crops; NaN with fewer than two.

    The mean of the most changed cells, in standard deviations of the crop.

    Args:
        detections: of one identity, in order of time.
    """
    aligned = [one for one in detections if one.aligned_face]
    if len(aligned) < 2:
        return float("nan")
    indices = np.unique(np.linspace(0, len(aligned) - 1, min(_MAX_PAIRS + 1, len(aligned))).round())
    crops = [_smooth_crop(aligned[index].aligned_face) for index in indices.astype(int).tolist()]
    return max(_residual(one, other) for one, other in pairwise(crops))


def pictures(identities: Sequence[Sequence[Detection]]) -> list[bool]:
    """Which faces of one shot are pictures: they do not move, and another face does.

    Args:
        identities: detections of each face.
    """
    motion = [facial_motion(one) for one in identities]
    most = max((value for value in motion if not np.isnan(value)), default=0.0)
    return [
        bool(value < _still_below(one) and most > _RATIO * value and most > _STILL)
        for value, one in zip(motion, identities, strict=True)
    ]


def _still_below(detections: Sequence[Detection]) -> float:
    boxes = np.stack([one.face.box for one in detections])
    steps = np.linalg.norm(np.diff(centre(boxes), axis=0), axis=1) / mean_side(boxes[1:])
    return _STILL if not len(steps) or float(steps.mean()) <= _IN_PLACE else _STILL_WHILE_MOVING


def _smooth_crop(data: bytes) -> FloatArray:
    grey = cv2.cvtColor(decode_aligned_face(data), cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1), np.float32)


def _residual(one: FloatArray, other: FloatArray) -> float:
    """Change between two crops after registration; inf where they cannot be registered."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, matrix = cv2.findTransformECC(one, other, start, cv2.MOTION_AFFINE, criteria, None, 3)  # type: ignore[call-overload]
    except cv2.error:  # it did not converge: the crops are too different
        return float("inf")
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    registered = cv2.warpAffine(other, matrix, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    change = np.abs(_normalised(one[_INNER]) - _normalised(np.asarray(registered[_INNER], np.float32)))
    cells = np.sort(cv2.resize(change, _CELLS, interpolation=cv2.INTER_AREA), axis=None)
    return float(cells[-_MOST_CHANGED:].mean())


def _normalised(crop: FloatArray) -> FloatArray:
    return np.asarray((crop - crop.mean()) / max(float(crop.std()), _MIN_CONTRAST), np.float32)
