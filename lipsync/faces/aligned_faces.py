"""Aligned face crops for recognition, kept as JPEG.

A similarity transform brings eyes, nose tip and mouth corners to fixed positions, so that crops of
any two frames can be compared.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.errors import MediaError
from lipsync.types import Face, FloatArray, Frame

ALIGNED_SIZE = 184
"""Side of an aligned crop, pixels: the recognition networks' 112 and a margin of hair and chin."""
RECOGNITION_SIZE = 112
"""Side of the centre crop that face recognition networks take, pixels."""
_TEMPLATE = (
    np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    + (ALIGNED_SIZE - RECOGNITION_SIZE) / 2
)
"""(5, 2): InsightFace's template, which SFace is trained with too."""
_TEMPLATE_IN_BOX = np.array([[0.27, 0.385], [0.73, 0.38], [0.495, 0.575], [0.3, 0.74], [0.69, 0.735]])
"""(5, 2): landmarks as shares of the box, medians of 1100 faces; for detectors without landmarks."""
_JPEG_QUALITY = 90


def encode_aligned_face(frame: Frame, face: Face) -> bytes:
    """Aligned crop of a face as a JPEG file of `ALIGNED_SIZE` x `ALIGNED_SIZE` pixels."""
    crop = align_face(frame, face)
    written, data = cv2.imencode(
        ".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return data.tobytes() if written else b""


def decode_aligned_face(data: bytes) -> Frame:
    """Decode an aligned crop, RGB uint8 (ALIGNED_SIZE, ALIGNED_SIZE, 3).

    Args:
        data: from `encode_aligned_face`.

    Raises:
        MediaError: the data is no image of that size.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None or image.shape != (ALIGNED_SIZE, ALIGNED_SIZE, 3):
        raise MediaError("The stored image of a face cannot be read")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def align_face(frame: Frame, face: Face) -> Frame:
    """Aligned crop of a face, RGB uint8 (ALIGNED_SIZE, ALIGNED_SIZE, 3).

    Beyond the frame, its edge pixels are repeated.
    """
    aligned = cv2.warpAffine(
        frame,
        _similarity_transform(_landmarks(face), _TEMPLATE),
        (ALIGNED_SIZE, ALIGNED_SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(aligned, np.uint8)


def _landmarks(face: Face) -> FloatArray:
    """(5, 2): the face's landmarks, or those that its box makes likely."""
    if face.points is not None:
        return face.points
    corner, extent = face.box[:2], face.box[2:] - face.box[:2]
    return np.asarray(corner + _TEMPLATE_IN_BOX * extent, np.float32)


def _similarity_transform(points: FloatArray, template: npt.NDArray[np.float64]) -> FloatArray:
    """Least-squares similarity transform (2, 3) from `points` to `template`, (n, 2).

    Rotation, scale and translation: in the complex plane, the linear fit w = a z + b.
    """
    z, w = points @ np.array([1, 1j]), template @ np.array([1, 1j])
    centred = z - z.mean()
    a = np.vdot(centred, w - w.mean()) / max(1e-6, np.vdot(centred, centred).real)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]], np.float32)
