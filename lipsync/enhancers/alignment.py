"""Face alignment to the FFHQ template of 512 x 512 pixels.

Face restoration networks are trained on it. The arithmetic is that of facexlib
(`utils/face_restoration_helper.py`), which GFPGAN's own program uses: a similarity transform brings five
landmarks onto the template.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray, Frame, PixelBox

FACE_SIZE = 512
"""Side of the aligned face, pixels."""
TEMPLATE = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""(5, 2): eyes, nose tip and mouth corners of FFHQ's faces, in pixels of the aligned face."""
_BORDER_COLOR = (132, 133, 135)  # facexlib's grey, in RGB

# Shares of the box height: a tight face box with the default pad at the chin, measured on CenterFace.
_EYES_Y, _MOUTH_Y = 0.35, 0.69

Matrix = npt.NDArray[np.float64]
"""Similarity transform (2, 3) from pixels of the frame to pixels of the aligned face."""


def estimate_alignment(points: FloatArray, box: PixelBox) -> Matrix:
    """Transform that brings a face onto the template.

    Args:
        points: float32 (5, 2) as in `Face`, pixels of the frame. Where one is NaN, or they are
            implausible for the box, the box's proportions are used instead.
        box: of the face.
    """
    if np.isfinite(points).all():
        matrix = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)[0]
        if matrix is not None and _is_plausible(np.asarray(matrix, np.float64), points, box):
            return np.asarray(matrix, np.float64)
    return _default_alignment(box)


def scale_of(matrix: Matrix) -> float:
    """Pixels of the aligned face per pixel of the frame."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def shifted(matrix: Matrix, x: int, y: int) -> Matrix:
    """The transform for the part of the frame whose upper left corner is at `x`, `y`."""
    result = matrix.copy()
    result[:, 2] += matrix[:, :2] @ (x, y)
    return result


def covered_box(matrix: Matrix, frame_size: tuple[int, int]) -> PixelBox:
    """Bounding box of the aligned face in a frame (width, height); may be empty."""
    corners = np.array([(0, 0), (FACE_SIZE, 0), (FACE_SIZE, FACE_SIZE), (0, FACE_SIZE)], np.float64)
    inverse = cv2.invertAffineTransform(matrix)
    in_frame = corners @ inverse[:, :2].T + inverse[:, 2]
    (x1, y1), (x2, y2) = np.floor(in_frame.min(axis=0)) - 1, np.ceil(in_frame.max(axis=0)) + 2
    width, height = frame_size
    return PixelBox(
        int(np.clip(x1, 0, width)),
        int(np.clip(y1, 0, height)),
        int(np.clip(x2, 0, width)),
        int(np.clip(y2, 0, height)),
    )


def warp_to_template(frame: Frame, matrix: Matrix) -> npt.NDArray[np.uint8]:
    """Aligned face, RGB uint8 (512, 512, 3); grey beyond the frame.

    A face that is larger than this is low-pass filtered first, which facexlib leaves out: without it
    the face would alias and flicker from frame to frame.
    """
    shrink = 1 / scale_of(matrix)
    if shrink > 1:
        height, width = frame.shape[:2]
        x1, y1, x2, y2 = covered_box(matrix, (width, height))
        smooth = _low_pass(frame[y1:y2, x1:x2].astype(np.float32), shrink)
        frame, matrix = (smooth + np.float32(0.5)).astype(np.uint8), shifted(matrix, x1, y1)
    warped = cv2.warpAffine(
        frame, matrix, (FACE_SIZE, FACE_SIZE), borderMode=cv2.BORDER_CONSTANT, borderValue=_BORDER_COLOR
    )
    return np.asarray(warped, np.uint8)


def warp_to_frame(change: FloatArray, matrix: Matrix, part: PixelBox) -> FloatArray:
    """Inverse of `warp_to_template` for a difference image.

    Args:
        change: float32 (512, 512, ...).
        matrix: the transform that `warp_to_template` got.
        part: the pixels of the frame to fill.

    Returns:
        float32 (h, w, ...) of `part`; 0 outside the aligned face.
    """
    smooth = _low_pass(change, scale_of(matrix))
    warped = cv2.warpAffine(
        smooth,
        shifted(matrix, part.x1, part.y1),
        (part.width, part.height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
    )
    return np.asarray(warped, np.float32)


def _low_pass(image: FloatArray, shrink: float) -> FloatArray:
    """Antialiasing filter for an image that is to be reduced by `shrink`."""
    sigma = min((shrink - 1) / 2, 32.0)  # as scikit-image's `resize` chooses it
    if sigma < 0.1 or not image.size:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _is_plausible(matrix: Matrix, points: FloatArray, box: PixelBox) -> bool:
    """Whether the mouth lies in the box and the face is about as large as it."""
    (x, y), (x1, y1, x2, y2) = points[3:].mean(axis=0), box
    eyes_to_mouth = _template_eyes_to_mouth() / max(scale_of(matrix), 1e-6)
    size = max(box.width, box.height)
    return bool(x1 <= x <= x2 and y1 <= y <= y2 and 0.12 * size < eyes_to_mouth < 0.7 * size)


def _default_alignment(box: PixelBox) -> Matrix:
    """Transform for an upright face that fills the box."""
    scale = _template_eyes_to_mouth() / ((_MOUTH_Y - _EYES_Y) * box.height)
    mouth = np.array([(box.x1 + box.x2 - 1) / 2, box.y1 + _MOUTH_Y * box.height])
    shift = TEMPLATE[3:].mean(axis=0) - scale * mouth
    return np.array([(scale, 0, shift[0]), (0, scale, shift[1])])


def _template_eyes_to_mouth() -> float:
    """Height of the eyes' midpoint above the mouth's in the template, pixels."""
    return float(TEMPLATE[3:, 1].mean() - TEMPLATE[:2, 1].mean())
