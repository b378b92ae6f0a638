"""The landmarks that the built-in model learns from; MediaPipe, needed for preparing a set only."""

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


class FaceLandmarker(Protocol):
    """Finds the landmarks of one face in pictures that show little else."""

    def __call__(self, pictures: Iterable[Frame]) -> FloatArray:
        """Float32 (T, 478, 3) x, y, z in pixels; NaN where no face was seen.

        Args:
            pictures: (H, W, 3) RGB uint8, consecutive frames at 25 fps.
        """
        ...


class MediaPipeLandmarker:
    """MediaPipe's face landmarker (Apache-2.0), following one face through a clip.

    Args:
        model: the file `face_landmarker.task`, which MediaPipe's pages offer.

    Raises:
        ToolError: the mediapipe package is not installed, or the model is not there.
    """

    def __init__(self, model: Path) -> None:
        try:
            mediapipe: Any = importlib.import_module("mediapipe")
            vision: Any = importlib.import_module("mediapipe.tasks.python.vision")
        except ImportError as error:
            hint = "Install it with: pip install mediapipe."
            raise ToolError("Preparing a training set needs the mediapipe package", hint=hint) from error
        if not model.exists():
            raise ToolError("The face landmarker's model is not there", given=model)
        self._mediapipe, self._vision = mediapipe, vision
        self._options: Any = vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=1,
        )

    def __call__(self, pictures: Iterable[Frame]) -> FloatArray:
        """See `FaceLandmarker`."""
        rows = []
        with self._vision.FaceLandmarker.create_from_options(self._options) as landmarker:
            for number, picture in enumerate(pictures):
                image = self._mediapipe.Image(
                    image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
                )
                found = landmarker.detect_for_video(image, number * 40).face_landmarks
                rows.append(_pixels(found[0], picture) if found else np.full((LANDMARKS, 3), np.nan))
        return np.asarray(rows, np.float32).reshape(-1, LANDMARKS, 3)


def _pixels(landmarks: Any, picture: Frame) -> FloatArray:
    height, width = picture.shape[:2]
    points = np.array([[point.x, point.y, point.z] for point in landmarks], np.float32)
    return np.asarray(points * np.array([width, height, width], np.float32), np.float32)


def whole_head(frame: Frame, box: FloatArray, side: int = 256) -> tuple[Frame, FloatArray]:
    """A square around a face box with half as much again on every side, and how to get back.

    Returns:
        (side, side, 3) picture, and float32 (3,): x, y of its corner in the frame and pixels of the
        frame per pixel.
    """
    centre = (box[:2] + box[2:]) / 2
    reach = float(max(box[2] - box[0], box[3] - box[1]))
    corner, scale = centre - reach, 2 * reach / side
    matrix = np.array([[1 / scale, 0, -corner[0] / scale], [0, 1 / scale, -corner[1] / scale]])
    small: npt.NDArray[Any] = frame
    if scale > 1.5:  # warpAffine looks at four pixels only; reduce by area first
        small = cv2.resize(frame, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
        factor = np.array([small.shape[1] / frame.shape[1], small.shape[0] / frame.shape[0]])
        matrix = np.array(
            [[1 / scale / factor[0], 0, -corner[0] / scale], [0, 1 / scale / factor[1], -corner[1] / scale]]
        )
    picture = cv2.warpAffine(small, matrix, (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(picture, np.uint8), np.array([*corner, scale], np.float32)
