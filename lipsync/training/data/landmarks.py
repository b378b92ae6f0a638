"""Face landmarks by MediaPipe, needed to prepare a set for the built-in model."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.errors import ToolError
from lipsync.types import FloatArray, Frame

LANDMARKS = 478
"""Points of MediaPipe's face mesh."""
_FRAME_MS = 40  # at 25 fps


class FaceLandmarker(Protocol):
    """Landmark detector for crops of one head."""

    def __call__(self, frames: Iterable[Frame]) -> FloatArray:
        """Landmarks in pixels, float32 (T, 478, 3) x, y, z; NaN where not detected.

        Args:
            frames: T consecutive frames at 25 fps, uint8 (H, W, 3) RGB.
        """
        ...


class MediaPipeLandmarker:
    """MediaPipe's face landmarker (Apache-2.0), tracking one face through a clip.

    Args:
        model: the file `face_landmarker.task` from MediaPipe's model page.

    Raises:
        ToolError: the mediapipe package is not installed, or the model file is missing.
    """

    def __init__(self, model: Path) -> None:
        try:
            mediapipe: Any = importlib.import_module("mediapipe")
            vision: Any = importlib.import_module("mediapipe.tasks.python.vision")
        except ImportError as error:
            hint = "Install it with: pip install mediapipe."
            raise ToolError("Face landmarks need the mediapipe package", hint=hint) from error
        if not model.exists():
            hint = "Download face_landmarker.task from MediaPipe's page on face landmark detection."
            raise ToolError("The face landmarker's model is missing", given=model, hint=hint)
        self._mediapipe, self._vision = mediapipe, vision
        self._options: Any = vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=1,
        )

    def __call__(self, frames: Iterable[Frame]) -> FloatArray:
        """See `FaceLandmarker`."""
        rows = []
        with self._vision.FaceLandmarker.create_from_options(self._options) as landmarker:
            for number, frame in enumerate(frames):
                image = self._mediapipe.Image(
                    image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame)
                )
                found = landmarker.detect_for_video(image, number * _FRAME_MS).face_landmarks
                rows.append(_to_pixels(found[0], frame) if found else np.full((LANDMARKS, 3), np.nan))
        return np.asarray(rows, np.float32).reshape(-1, LANDMARKS, 3)


def _to_pixels(landmarks: Any, frame: Frame) -> FloatArray:
    """Normalised landmarks in pixels; z is scaled as x, as MediaPipe defines it."""
    height, width = frame.shape[:2]
    points = np.array([[point.x, point.y, point.z] for point in landmarks], np.float32)
    return np.asarray(points * np.array([width, height, width], np.float32), np.float32)


def crop_head(frame: Frame, box: FloatArray, side: int = 256) -> tuple[Frame, FloatArray]:
    """A square crop of the head, twice as wide as the face box, and the way back.

    Args:
        frame: uint8 (H, W, 3) RGB.
        box: (4,) x1, y1, x2, y2 in pixels.

    Returns:
        The crop, uint8 (side, side, 3), and float32 (3,): x and y of its top left corner in the
        frame, and pixels of the frame per pixel of the crop.
    """
    centre = (box[:2] + box[2:]) / 2
    reach = float(max(box[2] - box[0], box[3] - box[1]))
    corner, scale = centre - reach, 2 * reach / side
    matrix = np.array([[1 / scale, 0, -corner[0] / scale], [0, 1 / scale, -corner[1] / scale]])
    reduced: npt.NDArray[Any] = frame
    if scale > 1.5:  # warpAffine interpolates between four pixels only; average areas first
        reduced = cv2.resize(frame, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
        factor = np.array([reduced.shape[1] / frame.shape[1], reduced.shape[0] / frame.shape[0]])
        matrix = np.array(
            [[1 / scale / factor[0], 0, -corner[0] / scale], [0, 1 / scale / factor[1], -corner[1] / scale]]
        )
    crop = cv2.warpAffine(reduced, matrix, (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8), np.array([*corner, scale], np.float32)
