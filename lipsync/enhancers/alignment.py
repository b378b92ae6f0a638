"""Where a face stands in the picture that face networks were trained on: FFHQ's, 512 x 512.

The arithmetic is that of facexlib (`utils/face_restoration_helper.py`), which GFPGAN's own program
uses: five points are brought onto a template by turning, scaling and shifting.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray, Frame, PixelBox

SIZE = 512
TEMPLATE = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""Where the eyes, nose tip and mouth corners of FFHQ's faces are, reduced to 512 x 512."""
_OUTSIDE = (132, 133, 135)  # facexlib's grey, in RGB

# A tight face box with the default pad at the chin, measured on CenterFace's boxes.
_EYES_DOWN, _MOUTH_DOWN = 0.35, 0.69

Matrix = npt.NDArray[np.float64]
"""(2, 3): pixels of the frame to pixels of the aligned picture."""


def alignment(points: FloatArray, box: PixelBox) -> Matrix:
    """The matrix that brings a face onto the template.

    Args:
        points: float32 (5, 2) as in `Face`, pixels of the frame. Where one is NaN, or they make no
            face that fits the box, the box's own proportions serve instead.
        box: of the face.
    """
    if np.isfinite(points).all():
        matrix = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)[0]
        if matrix is not None and _fits(np.asarray(matrix, np.float64), points, box):
            return np.asarray(matrix, np.float64)
    return _of_box(box)


def scale_of(matrix: Matrix) -> float:
    """Pixels of the aligned picture per pixel of the frame."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def moved(matrix: Matrix, x: int, y: int) -> Matrix:
    """The matrix for the part of the frame that begins at `x`, `y`."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (x, y)
    return shifted


def reach(matrix: Matrix, frame_size: tuple[int, int]) -> PixelBox:
    """The whole pixels of a frame (width, height) that the aligned picture covers; may be empty."""
    corners = np.array([(0, 0), (SIZE, 0), (SIZE, SIZE), (0, SIZE)], np.float64)
    inverse = cv2.invertAffineTransform(matrix)
    placed = corners @ inverse[:, :2].T + inverse[:, 2]
    (x1, y1), (x2, y2) = np.floor(placed.min(axis=0)) - 1, np.ceil(placed.max(axis=0)) + 2
    width, height = frame_size
    return PixelBox(
        int(np.clip(x1, 0, width)),
        int(np.clip(y1, 0, height)),
        int(np.clip(x2, 0, width)),
        int(np.clip(y2, 0, height)),
    )


def align(frame: Frame, matrix: Matrix) -> npt.NDArray[np.uint8]:
    """The aligned picture, (512, 512, 3) uint8 RGB; grey where it shows what is not in the frame.

    A face that is larger than this is smoothed first, which facexlib leaves out: single pixels
    picked from it would flicker from frame to frame.
    """
    shrink = 1 / scale_of(matrix)
    if shrink > 1:
        height, width = frame.shape[:2]
        x1, y1, x2, y2 = reach(matrix, (width, height))
        smooth = _smoothed(frame[y1:y2, x1:x2].astype(np.float32), shrink)
        frame, matrix = (smooth + np.float32(0.5)).astype(np.uint8), moved(matrix, x1, y1)
    warped = cv2.warpAffine(frame, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_CONSTANT, borderValue=_OUTSIDE)
    return np.asarray(warped, np.uint8)


def put_back(change: FloatArray, matrix: Matrix, part: PixelBox) -> FloatArray:
    """What `align` did, undone, for a difference: (512, 512, ...) to (h, w, ...) of `part`; 0 outside."""
    x1, y1, x2, y2 = part
    smooth = _smoothed(change, scale_of(matrix))
    placed = cv2.warpAffine(
        smooth, moved(matrix, x1, y1), (x2 - x1, y2 - y1), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(placed, np.float32)


def _smoothed(picture: FloatArray, shrink: float) -> FloatArray:
    """Without what would be too fine to be seen after shrinking."""
    sigma = min((shrink - 1) / 2, 32.0)  # as scikit-image's `resize` chooses it
    if sigma < 0.1 or not picture.size:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def _fits(matrix: Matrix, points: FloatArray, box: PixelBox) -> bool:
    """Whether the mouth is in the box and the face about as large as it."""
    (x, y), (x1, y1, x2, y2) = points[3:].mean(axis=0), box
    eyes_to_mouth = _template_height() / max(scale_of(matrix), 1e-6)
    size = max(x2 - x1, y2 - y1)
    return bool(x1 <= x <= x2 and y1 <= y <= y2 and 0.12 * size < eyes_to_mouth < 0.7 * size)


def _of_box(box: PixelBox) -> Matrix:
    """An upright face that fills the box."""
    x1, y1, x2, y2 = box
    scale = _template_height() / ((_MOUTH_DOWN - _EYES_DOWN) * (y2 - y1))
    mouth = np.array([(x1 + x2 - 1) / 2, y1 + _MOUTH_DOWN * (y2 - y1)])
    shift = TEMPLATE[3:].mean(axis=0) - scale * mouth
    return np.array([(scale, 0, shift[0]), (0, scale, shift[1])])


def _template_height() -> float:
    """From the eyes' middle to the mouth's, pixels."""
    return float(TEMPLATE[3:, 1].mean() - TEMPLATE[:2, 1].mean())
