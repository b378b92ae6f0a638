"""Interface of face detectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from lipsync.types import Face, FloatArray, Frame


class FaceDetector(Protocol):
    """Face detector for single frames.

    `tests/contracts/test_detectors.py` tests every member. A member is made by
    `DETECTORS.create(name, device=None, weights=None, min_score=0.05)`:

    - `device`: the torch.device to run on, None for the best there is; a member that cannot use
      it runs on the CPU.
    - `weights`: a file to use instead of the member's own, or None.
    - `min_score`: faces below this confidence, 0..1, are left out. The default keeps all that the
      setting of the same name can ask for; `detect_faces` applies that setting.

    Attributes:
        batch_size: recommended number of frames per call. More are accepted, but a cancel is only
            checked between calls.
        weights: the file with the network.
    """

    batch_size: int
    weights: Path

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Detect the faces in each frame.

        Args:
            frames: (H, W, 3) RGB uint8, of any sizes from 1x1 up.

        Returns:
            One list per frame, best score first. Boxes lie inside the frame, are not empty, and are in
            its pixels; points, where the detector gives them, may lie outside. The result for a frame
            does not depend on the other frames.
        """
        ...


@runtime_checkable
class CoarseDetector(Protocol):
    """A detector with a faster coarse pass, for the frames between two full passes."""

    def detect_coarse(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """As `detect`, in less time; small faces next to large ones may be missed.

        A face that both passes find is the same in both.
        """
        ...


def clipped_faces(
    boxes: FloatArray, scores: FloatArray, points: FloatArray | None, frame: Frame
) -> list[Face]:
    """Make faces from arrays and clip their boxes; drop those outside the frame.

    Args:
        boxes: (N, 4); scores: (N,); points: (N, 5, 2) or None. Best first.
        frame: (H, W, 3).
    """
    height, width = frame.shape[:2]
    inside = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    not_empty = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    return [
        Face(inside[row], float(scores[row]), None if points is None else points[row])
        for row in np.flatnonzero(not_empty)
    ]
