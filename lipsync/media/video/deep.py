"""Frames with more than 8 bits, and HDR, in which only what was drawn is changed.

Stages look at and draw on 8-bit frames in standard range. What they changed is added to the source's own
frame: as a difference of code values, or, in HDR, as a difference of light (ITU-R BT.2100, with 203 cd/m²
as diffuse white, BT.2408). All other samples stay as they were read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.media.video.yuv import Plane, YuvColorSpace, YuvFrame, even, half
from lipsync.types import FloatArray, PixelBox

DeepPlane: TypeAlias = npt.NDArray[np.uint16]
BITS = 10
"""Bits of a sample."""
_STEP, _MOST = 1 << (BITS - 8), (1 << BITS) - 1
_DISPLAY_GAMMA = 2.4  # BT.1886, by which HDR was converted for the stages
_KNEE, _PEAK = 0.3, 10.0  # of the conversion's tone mapping
_WHITE_NITS, _PQ_NITS, _HLG_NITS, _HLG_GAMMA = 203.0, 10_000.0, 1000.0, 1.2
_PQ = (2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32)
_HLG = (0.17883277, 0.28466892, 0.55991073)
_FROM_709 = np.array(  # linear BT.709 to BT.2020, BT.2087
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32
)


@dataclass(frozen=True, eq=False)
class DeepFrame:
    """Frame of 10-bit samples.

    Attributes:
        y: uint16 (H, W) luma, 0 to 1023.
        u, v: chroma; smaller than luma by 1 or 2 in each direction.
        color_space: matrix and range of the values.
        transfer: ffmpeg's name of an HDR transfer; "" in standard range.
    """

    y: DeepPlane
    u: DeepPlane
    v: DeepPlane
    color_space: YuvColorSpace
    transfer: str = ""

    @classmethod
    def from_bytes(
        cls, data: bytes | bytearray, size: tuple[int, int], chroma: str, color: tuple[YuvColorSpace, str]
    ) -> DeepFrame:
        """A frame of ffmpeg's rawvideo in a pixel format such as yuv422p10le, as views on `data`.

        Args:
            size: width and height.
            chroma: "420", "422" or "444".
            color: matrix and range, and the transfer.
        """
        width, height = size
        columns, rows = chroma_size(width, height, chroma)
        values = np.frombuffer(data, np.dtype("<u2"))
        luma, part = width * height, columns * rows
        planes = values[:luma], values[luma : luma + part], values[luma + part : luma + 2 * part]
        shapes = ((height, width), (rows, columns), (rows, columns))
        y, u, v = (plane.reshape(shape) for plane, shape in zip(planes, shapes, strict=True))
        return cls(y, u, v, *color)

    @property
    def planes(self) -> tuple[DeepPlane, ...]:
        """Y, U and V."""
        return self.y, self.u, self.v

    def to_rgb(self, box: PixelBox | None = None) -> npt.NDArray[np.uint16]:
        """The frame, or the part of it in `box`, as RGB uint16 (h, w, 3), 65535 being the most.

        A part has the same values as the same rectangle of the whole frame. The values are the file's: of HDR
        those of its transfer function.
        """
        height, width = self.y.shape
        x1, y1, x2, y2 = box or PixelBox(0, 0, width, height)
        parts: list[npt.NDArray[np.uint16]] = []
        for plane in self.planes:
            down, across = self._steps(plane)
            # Bicubic upsampling reads two samples more on each side.
            top, left = max(0, y1 // down - 2), max(0, x1 // across - 2)
            part = plane[top : -(-y2 // down) + 2, left : -(-x2 // across) + 2]
            if down * across > 1:
                size = (part.shape[1] * across, part.shape[0] * down)
                part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_CUBIC), np.uint16)
            y, x = y1 - top * down, x1 - left * across
            parts.append(part[y : y + y2 - y1, x : x + x2 - x1])
        matrix = self.color_space.yuv_to_rgb.copy()
        matrix[:, 3] *= 65535 / 255
        matrix[:, :3] *= 65535 / 255 / self._scale
        rgb = cv2.transform(cv2.merge(parts).astype(np.float32), matrix)
        return np.asarray(np.clip(np.rint(rgb), 0, 65535), np.uint16)

    def with_changes(self, before: YuvFrame, after: YuvFrame) -> DeepFrame:
        """The frame with what differs between two 8-bit frames, the first of which shows this one.

        Samples at which these are equal keep their values.
        """
        if after is before:
            return self
        if self.transfer:
            return self._with_light(before, after)
        y, u, v = (
            _added(plane, old, new)
            for plane, old, new in zip(
                self.planes, (before.y, before.u, before.v), (after.y, after.u, after.v), strict=True
            )
        )
        return replace(self, y=y, u=u, v=v)

    def _with_light(self, before: YuvFrame, after: YuvFrame) -> DeepFrame:
        changed = np.not_equal(before.y, after.y)
        for old, new in ((before.u, after.u), (before.v, after.v)):
            both = np.repeat(np.repeat(np.not_equal(old, new), 2, 0), 2, 1)
            changed |= both[: changed.shape[0], : changed.shape[1]]
        left, top, width, height = cv2.boundingRect(changed.view(np.uint8))
        if not width:
            return self
        box = before.aligned_box(PixelBox(left, top, left + width, top + height))
        added = np.asarray((_light(after, box) - _light(before, box)) @ _FROM_709.T, np.float32)
        light: FloatArray = self._linear(box) + added
        encoded = _to_pq(light) if self.transfer == "smpte2084" else _to_hlg(light)
        yuv = cv2.transform(encoded * 255, self.color_space.rgb_to_yuv)
        mask = np.ascontiguousarray(changed[box.y1 : box.y2, box.x1 : box.x2]).view(np.uint8)
        drawn = np.asarray(yuv, np.float32) * np.float32(self._scale)
        y, u, v = (
            _pasted(plane, self._steps(plane), box, drawn[..., number], mask)
            for number, plane in enumerate(self.planes)
        )
        return replace(self, y=y, u=u, v=v)

    @property
    def _scale(self) -> float:
        """Code values of this frame for one of 8 bits."""
        return _MOST / 255 if self.color_space.full_range else float(_STEP)

    def _steps(self, plane: DeepPlane) -> tuple[int, int]:
        """Rows and columns of luma for one of the plane."""
        return 1 + (plane.shape[0] < self.y.shape[0]), 1 + (plane.shape[1] < self.y.shape[1])

    def _linear(self, box: PixelBox) -> FloatArray:
        """Light in the box, float32 (h, w, 3) in BT.2020, 1 being diffuse white."""
        x1, y1, x2, y2 = box
        size = (x2 - x1, y2 - y1)
        parts = list[FloatArray]()
        for plane in self.planes:
            down, across = self._steps(plane)
            part = plane[y1 // down : -(-y2 // down), x1 // across : -(-x2 // across)].astype(np.float32)
            whole = part if part.shape[::-1] == size else cv2.resize(part, size)
            parts.append(np.asarray(whole, np.float32) / np.float32(self._scale))
        rgb = cv2.transform(cv2.merge(parts), self.color_space.yuv_to_rgb)
        values = np.clip(np.asarray(rgb, np.float32) / np.float32(255), 0, 1)
        return _from_pq(values) if self.transfer == "smpte2084" else _from_hlg(values)


class DeepResult(NamedTuple):
    """Result frame of a source with more than 8 bits.

    Attributes:
        frame: the result in 8 bits.
        before: the source in 8 bits.
        original: the source as it is.
    """

    frame: YuvFrame
    before: YuvFrame
    original: DeepFrame


def chroma_size(width: int, height: int, chroma: str) -> tuple[int, int]:
    """Columns and rows of a chroma plane."""
    return (width if chroma == "444" else half(width)), (half(height) if chroma == "420" else height)


def _added(deep: DeepPlane, before: Plane, after: Plane) -> DeepPlane:
    """A plane plus the difference of two 8-bit ones, which may have half of its rows or columns."""
    difference = cv2.subtract(after, before, dtype=cv2.CV_16S)
    if not difference.any():
        return deep
    for axis in (0, 1):
        if difference.shape[axis] < deep.shape[axis]:
            difference = np.repeat(difference, 2, axis)
    difference = difference[: deep.shape[0], : deep.shape[1]]
    changed = np.clip(deep.astype(np.int16) + difference * _STEP, 0, _MOST)
    return np.asarray(changed, np.uint16)


def _pasted(
    plane: DeepPlane, steps: tuple[int, int], box: PixelBox, part: FloatArray, mask: Plane
) -> DeepPlane:
    """A copy of a plane with `part` of the box where `mask` is not 0; both have the size of the box in luma.

    Args:
        steps: rows and columns of luma for one of the plane.
    """
    down, across = steps
    rows, columns = even(part).shape if max(steps) > 1 else part.shape
    size = (columns // across, rows // down)
    if max(steps) > 1:
        part = cv2.resize(even(part), size, interpolation=cv2.INTER_AREA).astype(np.float32)
        padded = even(mask)
        mask = padded.reshape(size[1], down, size[0], across).max(axis=(1, 3))
    copy = plane.copy()
    y, x = box.y1 // down, box.x1 // across
    region = copy[y : y + size[1], x : x + size[0]]
    part, mask = part[: region.shape[0], : region.shape[1]], mask[: region.shape[0], : region.shape[1]]
    region[mask > 0] = np.clip(np.rint(part), 0, _MOST).astype(np.uint16)[mask > 0]
    return copy


def _light(frame: YuvFrame, box: PixelBox) -> FloatArray:
    """Light of a frame in standard range, float32 (h, w, 3) in BT.709, 1 being diffuse white.

    Highlights are as they were before `conversion_filters` rolled them off: the curve is ffmpeg's "mobius" of
    the brightest component, with the peak that it assumes.
    """
    light = np.power(frame.to_rgb(box) / 255.0, _DISPLAY_GAMMA)
    knee, peak = _KNEE, _PEAK
    a = -(knee**2) * (peak - 1) / (knee**2 - 2 * knee + peak)
    b = (knee**2 - 2 * knee * peak + peak) / (peak - 1)
    scale = (b**2 + 2 * b * knee + knee**2) / (b - a)
    signal = light.max(axis=2, keepdims=True)
    original = (scale * a - signal * b) / np.minimum(signal - scale, -1e-6)
    light *= np.where(signal > knee, original / np.maximum(signal, knee), 1.0)
    return np.asarray(light, np.float32)


def _from_pq(values: FloatArray) -> FloatArray:
    m1, m2, c1, c2, c3 = _PQ
    powered = np.power(values, np.float32(1 / m2))
    light = np.power(np.maximum(powered - c1, 0) / (c2 - c3 * powered), np.float32(1 / m1))
    return np.asarray(light * (_PQ_NITS / _WHITE_NITS), np.float32)


def _to_pq(light: FloatArray) -> FloatArray:
    m1, m2, c1, c2, c3 = _PQ
    powered = np.power(np.clip(light * (_WHITE_NITS / _PQ_NITS), 0, 1), np.float32(m1))
    return np.asarray(np.power((c1 + c2 * powered) / (1 + c3 * powered), m2), np.float32)


def _from_hlg(values: FloatArray) -> FloatArray:
    """Light of HLG, with the system gamma for each component, as zscale approximates it for the stages."""
    a, b, c = _HLG
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    return np.asarray(np.power(scene, _HLG_GAMMA) * (_HLG_NITS / _WHITE_NITS), np.float32)


def _to_hlg(light: FloatArray) -> FloatArray:
    a, b, c = _HLG
    scene = np.power(np.clip(light * (_WHITE_NITS / _HLG_NITS), 0, 1), 1 / _HLG_GAMMA)
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high), np.float32)
