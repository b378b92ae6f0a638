"""Detected faces, face tracks, boxes and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lipsync.types.media import FloatArray


class PixelBox(NamedTuple):
    """Rectangle in whole pixels of the frame, the right and lower edges excluded."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def width(self) -> int:
        """Pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> int:
        """Pixels."""
        return self.y2 - self.y1


@dataclass(frozen=True, repr=False)
class Face:
    """One detected face.

    Attributes:
        box: float32 (4,) x1, y1, x2, y2 in pixels of the frame.
        score: the detector's confidence, 0..1.
        points: float32 (5, 2) x, y of five landmarks: the eye on the left of the frame, the eye on
            the right, nose tip, mouth corner on the left, mouth corner on the right; None where the
            detector gives none.
    """

    box: FloatArray
    score: float
    points: FloatArray | None = None

    @property
    def area(self) -> float:
        """Square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    def __repr__(self) -> str:
        return f"Face(box={np.round(self.box, 1).tolist()}, score={self.score:.2f})"


@dataclass(frozen=True, repr=False)
class FaceTrack:
    """Track of the selected face over T frames.

    Attributes:
        boxes: float32 (T, 4) x1, y1, x2, y2, after smoothing and pads; NaN where there is none.
        points: float32 (T, 5, 2) as in `Face`, smoothed like the boxes; NaN where unknown.
        scores: float32 (T,) confidence, interpolated between detections; 0 where no face.
    """

    boxes: FloatArray
    points: FloatArray
    scores: FloatArray

    def __post_init__(self) -> None:
        count = len(self.boxes)
        shapes = (self.boxes.shape, self.points.shape, self.scores.shape)
        if shapes != ((count, 4), (count, 5, 2), (count,)):
            raise ValueError(f"boxes, points and scores do not fit together: {shapes}")

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """bool (T,): frames that have a face; the others pass through unchanged."""
        return ~np.isnan(self.boxes[:, 0])

    def __repr__(self) -> str:
        return f"FaceTrack({len(self)} frames, {int(self.present.sum())} with a face)"


@dataclass(frozen=True, repr=False)
class Mask:
    """Alpha mask of the generated mouth, inside one rectangle of a frame.

    Attributes:
        x, y: upper left corner of the rectangle in the frame, pixels.
        alpha: float32 (h, w) in [0, 1]; 0 keeps the source pixel.
    """

    x: int
    y: int
    alpha: FloatArray

    def __repr__(self) -> str:
        return f"Mask(x={self.x}, y={self.y}, alpha {self.alpha.shape})"


@dataclass(frozen=True)
class FaceCandidate:
    """Face in the previewed shot that can be selected as the speaker's.

    Attributes:
        box: median of the detections, without pads.
        x, y: centre of the box as fractions of width and height: what `face_x` and `face_y` mean.
        selected: this is the speaker's.
    """

    box: PixelBox
    x: float
    y: float
    selected: bool
