"""Metrics of a blended mouth: seam, colour shift, sharpness, relative motion.

All of them compare with the source frame, so that properties of the frame itself (the edge of a beard, blur,
a turning head) cancel out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray, Frame, Mask, PixelBox

Bools = npt.NDArray[np.bool_]
_BORDER, _BAND = 0.02, 0.08
"""Half widths of the border and of the band around it, in widths of the box."""
_SECTORS = 12
_FLOW_WIDTH = 192
"""Width of the box in pixels at which motion is measured."""


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

    The value of the worst of 12 sectors: a seam at the chin counts, however good the cheeks are.
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
    return max(found)


def _gradient(frame: Frame, edge: Edge) -> FloatArray:
    """Gradient magnitude normal to the border, (h, w), grey levels per pixel."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    down, right = np.gradient(edge.depth)
    grey_down, grey_right = np.gradient(grey)
    across = np.abs(grey_down * down + grey_right * right) / np.maximum(np.hypot(down, right), 1e-6)
    return np.asarray(across, np.float32)


def color_shift(result: Frame, source: Frame, edge: Edge) -> float:
    """Colour difference to the source just inside the border, CIELAB; mean over sectors.

    Colours are averaged over each of 12 sectors first, so that texture does not count.
    """
    ring = edge.between(0, _BAND)
    sectors = edge.sectors()[ring]
    lab = [
        cv2.cvtColor(edge.crop(frame).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[ring]
        for frame in (result, source)
    ]
    shifts = [np.hypot.reduce((lab[0] - lab[1])[sectors == n].mean(axis=0)) for n in np.unique(sectors)]
    return float(np.mean(shifts))


def sharpness(result: Frame, source: Frame, area: Mask) -> float:
    """Variance of the Laplacian where `area` exceeds 0.5, relative to the source's."""
    height, width = area.alpha.shape
    part = slice(area.y, area.y + height), slice(area.x, area.x + width)
    found = [
        float(cv2.Laplacian(cv2.cvtColor(f[part], cv2.COLOR_RGB2GRAY), cv2.CV_32F)[area.alpha > 0.5].var())
        for f in (result, source)
    ]
    return found[0] / max(found[1], 1e-6)


@dataclass(frozen=True)
class Movement:
    """Motion of the mouth relative to the head, in % of the box's width.

    Attributes:
        drift: float32 (2,), median over the mouth's pixels, right and down.
        change: mean length of the motion of its pixels relative to each other.
    """

    drift: FloatArray
    change: float


class MotionMeter:
    """Motion of the mouth relative to the head, by dense optical flow in the face box."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def movement(
        self, sources: Sequence[Frame], results: Sequence[Frame], box: PixelBox, area: Mask
    ) -> Movement:
        """Motion between two frames: head from eyes and nose of the source, mouth from the result.

        Args:
            sources, results: two consecutive frames each.
            box, area: the box of the first one and the mouth mask.
        """
        scale = _FLOW_WIDTH / box.width
        whole = np.zeros(sources[0].shape[:2], np.float32)
        whole[area.y :, area.x :][: area.alpha.shape[0], : area.alpha.shape[1]] = area.alpha
        mouth = _window(whole, box, scale)
        head_flow = self._between(sources, box, scale)
        rows, columns = np.mgrid[: mouth.shape[0], : mouth.shape[1]].astype(np.float32)
        top = int(np.flatnonzero(mouth.max(axis=1) > 0)[0])
        head = (mouth == 0) & (rows < top) & (rows > 0.15 * len(mouth))
        head &= np.abs(columns / mouth.shape[1] - 0.5) < 0.35
        area_flow, inside = self._between(results, box, scale), mouth > 0.9
        drift = np.median((area_flow - _similarity(head_flow, head))[inside], axis=0)
        residual = (area_flow - _similarity(area_flow, inside))[inside]
        unit = np.float32(100 / _FLOW_WIDTH)
        return Movement(drift * unit, float(np.hypot(residual[:, 0], residual[:, 1]).mean() * unit))

    def _between(self, frames: Sequence[Frame], box: PixelBox, scale: float) -> FloatArray:
        grey = [
            _window(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), box, scale).astype(np.uint8)
            for frame in frames
        ]
        flow = np.zeros((*grey[0].shape, 2), np.float32)
        return np.asarray(self._flow.calc(grey[0], grey[1], flow), np.float32)


def _window(image: FloatArray, box: PixelBox, scale: float) -> FloatArray:
    x1, y1, x2, y2 = box
    size = round(box.width * scale), round(box.height * scale)
    return np.asarray(cv2.resize(image[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA), np.float32)


def _similarity(flow: FloatArray, where: Bools) -> FloatArray:
    """Least-squares similarity transform of `flow` at the given pixels, as a flow over all pixels."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)

    def design(x: FloatArray, y: FloatArray) -> FloatArray:
        one, zero = np.ones_like(x), np.zeros_like(x)
        return np.concatenate([np.stack([one, zero, x, -y], -1), np.stack([zero, one, y, x], -1)])

    x, y, moved = columns[where][::7], rows[where][::7], flow[where][::7]
    keep = np.ones(len(x), bool)
    fit = np.zeros(4, np.float32)
    for _ in range(2):  # a second fit without outliers such as blinking eyes
        target = np.concatenate([moved[keep, 0], moved[keep, 1]])
        fit = np.linalg.lstsq(design(x[keep], y[keep]), target, rcond=None)[0].astype(np.float32)
        error = (design(x, y) @ fit).reshape(2, -1).T - moved
        off = np.hypot(error[:, 0], error[:, 1])
        keep = off <= np.quantile(off, 0.8)
    everywhere = design(columns.ravel(), rows.ravel()) @ fit
    return np.asarray(everywhere.reshape(2, *flow.shape[:2]).transpose(1, 2, 0), np.float32)


def jitter(movements: Sequence[Movement]) -> float:
    """RMS of the mouth's drift from frame to frame, % of the box's width.

    Motion slower than five frames is removed: on a turning head the mouth moves unlike the nose.
    """
    drift = np.stack([movement.drift for movement in movements])
    if len(drift) < 5:
        return float("nan")
    kernel = np.ones(5) / 5
    slow = np.stack([np.convolve(column, kernel, mode="valid") for column in drift.T], axis=1)
    fast = drift[2:-2] - slow
    return float(np.sqrt(np.square(fast).sum(axis=1).mean()))
