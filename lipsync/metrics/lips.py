"""Lips over time: outlines of a mouth in every frame, and how far it is open.

    frames -> a mouth locator -> LipTrack -> the metrics of lips

Any locator that gives the 49 points of `lipsync.generators.builtin.mouth_outline` will do: the built-in
model's own (`lipsync.metrics.lip_locator`), or MediaPipe's, which took no part in what it measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsync.types import FloatArray

POINTS = 49
_MIDDLE = ((24, 36), (25, 35), (26, 34))
"""Lower and upper points of the inner lips around the middle of the mouth."""
CLOSED, OPEN = 0.02, 0.04
"""Openings in distances between the eyes' outer corners (about 9 cm): at most `CLOSED` the lips touch, from
`OPEN` on a viewer sees the mouth open. Between them neither is claimed."""


@dataclass(frozen=True, repr=False)
class LipTrack:
    """Mouth of one face over T frames.

    Attributes:
        outlines: float32 (T, 49, 2), lips and chin in pixels; NaN where no mouth was found.
        unit: float32 (T,), pixels per distance between the outer corners of the eyes, as if the face
            looked into the camera; NaN where unknown.
    """

    outlines: FloatArray
    unit: FloatArray

    def __post_init__(self) -> None:
        if self.outlines.shape != (len(self.unit), POINTS, 2):
            raise ValueError(f"outlines {self.outlines.shape} and units {self.unit.shape} do not fit")

    def __len__(self) -> int:
        return len(self.unit)

    def __repr__(self) -> str:
        return f"LipTrack({len(self)} frames)"

    @property
    def opening(self) -> FloatArray:
        """Gap of the inner lips, float32 (T,), in distances between the eyes; NaN where unknown."""
        gaps = [np.linalg.norm(self.outlines[:, a] - self.outlines[:, b], axis=-1) for a, b in _MIDDLE]
        return np.asarray(np.mean(gaps, axis=0) / self.unit, np.float32)

    @classmethod
    def join(cls, tracks: Sequence[LipTrack]) -> LipTrack:
        """The frames of several clips, one after another."""
        return cls(
            np.concatenate([one.outlines for one in tracks]), np.concatenate([one.unit for one in tracks])
        )


def correlation(a: FloatArray, b: FloatArray) -> float:
    """Pearson's r where both are known; NaN for less than five values, or where one is constant."""
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 5 or min(np.std(a[known]), np.std(b[known])) < 1e-6:
        return float("nan")
    return float(np.corrcoef(a[known], b[known])[0, 1])
