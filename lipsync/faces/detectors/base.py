"""What every face detector promises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from lipsync.types import Face, FloatArray, Frame


class FaceDetector(Protocol):
    """Finds all faces in single pictures. `tests/contracts/test_detectors.py` holds members to this.

    A member is made by `DETECTORS.create(name, device=None, weights=None, min_score=0.05)`:

    - `device`: the torch.device to run on, None for the best there is; a member that cannot use
      it runs on the CPU.
    - `weights`: a file to use instead of the member's own, or None.
    - `min_score`: faces below this confidence, 0..1, are left out. The default keeps all that the
      setting of the same name can ask for; `detect_faces` applies that setting.

    Attributes:
        batch_size: frames that one call should hold at most. More are accepted, but a cancel is
            only looked for between calls.
        weights: the file that it runs.
    """

    batch_size: int
    weights: Path

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Faces of each frame, best score first; an empty list for a frame without any.

        Args:
            frames: (H, W, 3) RGB uint8, of any sizes from 1x1 up.

        Returns:
            One list a frame. Boxes lie inside the frame, are not empty, and are in its pixels;
            points, where the detector gives them, may lie outside. What is found in a frame does
            not depend on the frames beside it.
        """
        ...


@runtime_checkable
class BriefDetector(Protocol):
    """A detector that can also look more briefly, for the frames between two that it looks at closely."""

    def detect_briefly(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """As `detect`, in less time; small faces beside large ones may be left out.

        A face that both find is the same in both.
        """
        ...


def clipped_faces(
    boxes: FloatArray, scores: FloatArray, points: FloatArray | None, frame: Frame
) -> list[Face]:
    """Rows as faces, boxes cut at the borders of `frame`; a face wholly outside is dropped.

    Args:
        boxes: (N, 4); scores: (N,); points: (N, 5, 2) or None. Best first.
    """
    height, width = frame.shape[:2]
    inside = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    filled = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    return [
        Face(inside[row], float(scores[row]), None if points is None else points[row])
        for row in np.flatnonzero(filled)
    ]
