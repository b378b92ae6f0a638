"""Small pictures of faces, turned and sized so that eyes and mouth lie in the same places in all."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.errors import MediaError
from lipsync.types import Face, FloatArray, Frame

SIDE = 184
"""Pixels. The middle 112 of them are what face recognition networks take; around are hair and chin."""
NETWORK_SIDE = 112
# Eyes, nose and corners of the mouth in the middle 112x112: the places that InsightFace's networks,
# and SFace after them, are trained with.
_PLACES = (
    np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    + (SIDE - NETWORK_SIDE) / 2
)
# The same in shares of a face's box, for detectors that give no points: medians over 1100 faces.
_IN_BOX = np.array([[0.27, 0.385], [0.73, 0.38], [0.495, 0.575], [0.3, 0.74], [0.69, 0.735]])
_JPEG_QUALITY = 90


def align_face(frame: Frame, face: Face) -> bytes:
    """The face in `frame` as a JPEG file of `SIDE` x `SIDE` pixels."""
    portrait = align(frame, face)
    written, data = cv2.imencode(
        ".jpg", cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return data.tobytes() if written else b""


def decode_aligned_face(portrait: bytes) -> Frame:
    """RGB uint8 (SIDE, SIDE, 3).

    Raises:
        MediaError: it is no picture.
    """
    picture = cv2.imdecode(np.frombuffer(portrait, np.uint8), cv2.IMREAD_COLOR) if portrait else None
    if picture is None or picture.shape != (SIDE, SIDE, 3):
        raise MediaError("A portrait cannot be read")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def align(frame: Frame, face: Face) -> Frame:
    """The face turned upright and brought to size, RGB uint8 (SIDE, SIDE, 3); edges are repeated."""
    moved = cv2.warpAffine(
        frame,
        _similarity(_points(face), _PLACES),
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.uint8)


def _points(face: Face) -> FloatArray:
    if face.points is not None:
        return face.points
    corner, extent = face.box[:2], face.box[2:] - face.box[:2]
    return np.asarray(corner + _IN_BOX * extent, np.float32)


def _similarity(points: FloatArray, places: npt.NDArray[np.float64]) -> FloatArray:
    """The turn, scale and shift (2, 3) that bring `points` (n, 2) nearest to `places`.

    In the complex plane that is a line fitted by least squares: w = a z + b.
    """
    z, w = points @ np.array([1, 1j]), places @ np.array([1, 1j])
    away = z - z.mean()
    a = np.vdot(away, w - w.mean()) / max(1e-6, np.vdot(away, away).real)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]], np.float32)
