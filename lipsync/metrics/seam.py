"""Seam: an edge where the generated mouth meets the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.metrics.lip_base import MIN_FRAMES, LipMetricSpec, LipObservation
from lipsync.types import Bools, FloatArray, Frame, Mask, PixelBox

_BORDER, _BAND = 0.02, 0.08
"""Half widths of the border and of the band around it, in widths of the box."""
_SECTORS = 12
_MAX = 255.0


class SeamVisibility:
    """Gradient that the blend adds along the mask's border, the median over frames.

    The value of the worst of 12 sectors: a seam at the chin counts, however good the cheeks are. The source's
    own edges there cancel out, and so does what is added beside the border, such as a chin that moves. Ours;
    after the boundary error of matting (Rhemann et al., CVPR 2009).
    """

    spec = LipMetricSpec(
        "seam",
        "Seam",
        "",
        "lower",
        ideal=0.0,
        bounds=(-_MAX, _MAX),
        what="edge that the blend adds where mouth and frame meet, grey levels per pixel",
        paper="doi 10.1109/CVPR.2009.5206503",
        needs_source=True,
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        known = observed.seam[~np.isnan(observed.seam)]
        return float(np.median(known)) if len(known) >= MIN_FRAMES else float("nan")


@dataclass(frozen=True)
class Edge:
    """The border of a mask in a window of the frame.

    Attributes:
        window: the box with a margin.
        depth: float32 (h, w), pixels inside the border; negative outside.
        unit: width of the box, pixels.
    """

    window: PixelBox
    depth: FloatArray
    unit: int

    @classmethod
    def of(cls, mask: Mask, box: PixelBox, frame: Frame) -> Edge:
        """The contour where the mask is half transparent."""
        unit = box.width
        window = expand_box(box, round(_BAND * unit) + 2, frame)
        x1, y1, x2, y2 = window
        inside = np.zeros((y2 - y1, x2 - x1), np.uint8)
        height, width = mask.alpha.shape
        inside[mask.y - y1 :, mask.x - x1 :][:height, :width] = mask.alpha > 0.5
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(
            1 - inside, cv2.DIST_L2, 5
        )
        return cls(window, np.asarray(depth, np.float32), unit)

    def between(self, low: float, high: float) -> Bools:
        """Pixels whose depth is in this range, in widths of the box."""
        return np.asarray((self.depth >= low * self.unit) & (self.depth <= high * self.unit))

    def sectors(self) -> npt.NDArray[np.int64]:
        """Sector of every pixel around the centre of the mask, int64 (h, w)."""
        rows, columns = np.nonzero(self.depth > 0)
        y, x = np.indices(self.depth.shape)
        angle = np.arctan2(y - rows.mean(), x - columns.mean()) / (2 * np.pi) + 0.5
        return np.asarray((angle * _SECTORS).astype(np.int64).clip(0, _SECTORS - 1))

    def crop(self, frame: Frame) -> Frame:
        """The window of a frame."""
        x1, y1, x2, y2 = self.window
        return frame[y1:y2, x1:x2]


def expand_box(box: PixelBox, margin: int, frame: Frame) -> PixelBox:
    """The box with a margin, clipped to the frame."""
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = box
    return PixelBox(
        max(0, x1 - margin), max(0, y1 - margin), min(width, x2 + margin), min(height, y2 + margin)
    )


def seam(result: Frame, source: Frame, edge: Edge) -> float:
    """Added gradient across the border, less that in the band around it, in grey levels per pixel.

    The value of the worst sector; NaN where the border has no pixels.
    """
    added = np.maximum(_gradient(edge.crop(result), edge) - _gradient(edge.crop(source), edge), 0)
    sectors = edge.sectors()
    border = edge.between(-_BORDER, _BORDER)
    band = edge.between(-_BAND, _BAND) & ~border
    found = []
    for sector in range(_SECTORS):
        on, off = border & (sectors == sector), band & (sectors == sector)
        if on.any() and off.any():
            found.append(float(added[on].mean() - added[off].mean()))
    return max(found, default=float("nan"))


def _gradient(frame: Frame, edge: Edge) -> FloatArray:
    """Gradient magnitude normal to the border, (h, w), grey levels per pixel."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    down, right = np.gradient(edge.depth)
    grey_down, grey_right = np.gradient(grey)
    across = np.abs(grey_down * down + grey_right * right) / np.maximum(np.hypot(down, right), 1e-6)
    return np.asarray(across, np.float32)
