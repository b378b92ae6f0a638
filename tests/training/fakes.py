"""A detector and a landmarker that know where the head is; in a module, so that workers find them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from lipsync.training.data.clip_extraction import FaceTools
from lipsync.training.data.landmarks import LANDMARKS
from lipsync.training.data.mouth_shapes import MOUTH, RIGID
from lipsync.training.data.prepare import PrepareOptions
from lipsync.types import Face, Frame

FACE_BOX = np.array([100, 60, 200, 190], np.float32)


class FixedDetector:
    batch_size = 8

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        return [[Face(FACE_BOX * frame.shape[1] / 320, 0.9)] for frame in frames]


class KilledAtNarrowFrames(FixedDetector):
    """Ends its process, as a system that runs out of memory does, at frames taller than wide."""

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        if frames[0].shape[0] > frames[0].shape[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().detect(frames)


class DrawnLandmarker:
    """Landmarks of a rigid head whose lower lip goes up and down."""

    def __call__(self, frames: Iterable[Frame]) -> npt.NDArray[np.float32]:
        base = np.random.default_rng(0).uniform(60, 200, (LANDMARKS, 3))
        base[[33, 263]] = [(90, 100, 0), (170, 100, 0)]
        lower = [index for index in MOUTH[20:31] if index not in RIGID]
        rows = []
        for number, _ in enumerate(frames):
            face = base.copy()
            face[lower, 1] += 10 * np.sin(number / 3) ** 2
            rows.append(face)
        return np.asarray(rows, np.float32)


def fake_tools(_: PrepareOptions) -> FaceTools:
    return FaceTools(FixedDetector(), DrawnLandmarker())


def no_landmarks(_: PrepareOptions) -> FaceTools:
    return FaceTools(FixedDetector())


def deadly_tools(_: PrepareOptions) -> FaceTools:
    return FaceTools(KilledAtNarrowFrames())
