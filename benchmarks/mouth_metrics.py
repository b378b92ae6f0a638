"""Metrics of a blended mouth: seam, colour shift, sharpness, relative motion.

All of them compare with the source frame, so that properties of the frame itself (the edge of a beard, blur,
a turning head) cancel out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.metrics.seam import Edge
from lipsync.types import Bools, FloatArray, Frame, Mask, PixelBox

_BAND = 0.08
"""Width of the band inside the border, in widths of the box."""
_FLOW_WIDTH = 192
"""Width of the box in pixels at which motion is measured."""


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
