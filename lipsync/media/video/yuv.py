"""8-bit YUV 4:2:0 frames.

A full-size frame stays YUV between decoder and encoder, and only the part that a stage works on becomes
RGB. That saves two colour conversions of every pixel and half of the memory traffic, and pixels that no
stage changes keep exactly the values that were read. Together with batches on every core it took 10 s of
1080x1920 with the official network from 26 to 16 seconds of CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray, Frame, PixelBox

Plane: TypeAlias = npt.NDArray[np.uint8]
Number = TypeVar("Number", np.uint8, np.float32)
_NEUTRAL_CHROMA = 128.0
_TONED_RESIDUAL = 1.5
"""Levels (RMS) by which chroma may differ from a line over luma in a black-and-white or toned picture; in
faces in colour it is 3 and more, in real clips."""


@dataclass(frozen=True)
class YuvColorSpace:
    """Y'CbCr matrix and range, as in ITU-T H.273.

    Attributes:
        kr, kb: luma coefficients of red and blue.
        full_range: luma is 0..255 rather than 16..235.
    """

    kr: float
    kb: float
    full_range: bool = False

    @property
    def rgb_to_yuv(self) -> FloatArray:
        """float32 (3, 4): maps (R, G, B, 1) to (Y, Cb, Cr), all of them 0..255."""
        kr, kg, kb = self.kr, 1 - self.kr - self.kb, self.kb
        rows = np.array(
            [
                [kr, kg, kb],
                [-kr / 2 / (1 - kb), -kg / 2 / (1 - kb), 0.5],
                [0.5, -kg / 2 / (1 - kr), -kb / 2 / (1 - kr)],
            ]
        )
        scale, black = (np.ones(3), 0.0) if self.full_range else (np.array([219, 224, 224]) / 255, 16.0)
        offsets = [black, _NEUTRAL_CHROMA, _NEUTRAL_CHROMA]
        return np.column_stack([rows * scale[:, None], offsets]).astype(np.float32)

    @property
    def yuv_to_rgb(self) -> FloatArray:
        """float32 (3, 4): maps (Y, Cb, Cr, 1) to (R, G, B), all of them 0..255."""
        forward = self.rgb_to_yuv.astype(np.float64)
        inverse = np.linalg.inv(forward[:, :3])
        return np.column_stack([inverse, -inverse @ forward[:, 3]]).astype(np.float32)


@dataclass(frozen=True)
class Toning:
    """Chroma of a toned picture: a line over luma for each of Cb and Cr.

    Attributes:
        u, v: slope, and value at luma 0.
    """

    u: tuple[float, float]
    v: tuple[float, float]


@dataclass(frozen=True, eq=False)
class YuvFrame:
    """Immutable 8-bit YUV 4:2:0 frame of any size.

    Repeated frames may share one object. A chroma sample lies in the middle of its 2x2 pixels, which is
    what swscale assumes for files without a chroma location.

    Attributes:
        y: uint8 (H, W) luma.
        u, v: uint8 (H / 2, W / 2), rounded up: chroma Cb and Cr.
        color_space: matrix and range of the values.
    """

    y: Plane
    u: Plane
    v: Plane
    color_space: YuvColorSpace

    @classmethod
    def from_bytes(
        cls, data: bytes | bytearray, width: int, height: int, color_space: YuvColorSpace
    ) -> YuvFrame:
        """A frame of ffmpeg's rawvideo in pixel format yuv420p, as views on `data`."""
        rows, columns = half(height), half(width)
        luma, chroma = width * height, rows * columns
        values = np.frombuffer(data, np.uint8)
        u, v = values[luma : luma + chroma], values[luma + chroma :]
        return cls(
            values[:luma].reshape(height, width),
            u.reshape(rows, columns),
            v.reshape(rows, columns),
            color_space,
        )

    @classmethod
    def from_rgb(cls, frame: Frame, color_space: YuvColorSpace) -> YuvFrame:
        """Convert RGB uint8 (H, W, 3)."""
        values, matrix = frame.astype(np.float32), color_space.rgb_to_yuv
        size = (half(frame.shape[1]), half(frame.shape[0]))
        halved = cv2.resize(even(values), size, interpolation=cv2.INTER_AREA)
        y, u, v = (
            _to_uint8(cv2.transform(source, matrix[row : row + 1]))
            for row, source in enumerate((values, halved, halved))
        )
        return cls(y, u, v, color_space)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.y.shape[0])

    def to_rgb(self, box: PixelBox | None = None) -> Frame:
        """The frame, or the part of it in `box`, as RGB uint8 (height, width, 3).

        A part has the same values as the same rectangle of the whole frame.
        """
        x1, y1, x2, y2 = box or PixelBox(0, 0, self.width, self.height)
        # Bicubic upsampling of chroma reads two samples more on each side.
        left, top, right, bottom = max(0, x1 // 2 - 2), max(0, y1 // 2 - 2), half(x2) + 2, half(y2) + 2
        inside = (slice(y1 - 2 * top, y2 - 2 * top), slice(x1 - 2 * left, x2 - 2 * left))
        u, v = (_upsample(plane[top:bottom, left:right])[inside] for plane in (self.u, self.v))
        values = cv2.merge([self.y[y1:y2, x1:x2], u, v]).astype(np.float32)
        return _to_uint8(cv2.transform(values, self.color_space.yuv_to_rgb))

    def aligned_box(self, box: PixelBox) -> PixelBox:
        """The box enlarged by two or three pixels to even edges, clipped to the frame."""
        x1, y1, x2, y2 = box
        left, top = max(0, x1 // 2 * 2 - 2), max(0, y1 // 2 * 2 - 2)
        return PixelBox(left, top, min(self.width, half(x2) * 2 + 2), min(self.height, half(y2) * 2 + 2))

    def toning(self, box: PixelBox) -> Toning | None:
        """How the part of the frame in `box`, from `aligned_box`, is toned; None if it has colours."""
        rows, columns = slice(box.y1 // 2, half(box.y2)), slice(box.x1 // 2, half(box.x2))
        y = _halved(self.y[box.y1 : box.y2, box.x1 : box.x2]).astype(np.float64)
        lines = [_line(y, plane[rows, columns].astype(np.float64)) for plane in (self.u, self.v)]
        if max(residual for _, _, residual in lines) > _TONED_RESIDUAL:
            return None
        (u, u0, _), (v, v0, _) = lines
        return Toning((u, u0), (v, v0))

    def toned(self, toning: Toning) -> YuvFrame:
        """The frame with the chroma that `toning` gives to its luma."""
        y = _halved(self.y).astype(np.float32)
        u, v = (_to_uint8(slope * y + zero) for slope, zero in (toning.u, toning.v))
        return YuvFrame(self.y, u, v, self.color_space)

    def with_region(self, box: PixelBox, before: Frame, after: Frame) -> YuvFrame:
        """A copy with one rectangle redrawn; all other pixels keep their values.

        Where the rectangle is black-and-white or toned, what is drawn is too: generators know only colour.

        Args:
            box: the rectangle, from `aligned_box`.
            before: RGB uint8 (h, w, 3), `to_rgb(box)`.
            after: of the same shape; only pixels that differ from `before` are written.
        """
        same = cv2.inRange(cv2.absdiff(before, after), (0, 0, 0), (0, 0, 0))
        differs = np.asarray(cv2.bitwise_not(same), np.uint8)
        left, top, width, height = cv2.boundingRect(differs)
        if not width:
            return self
        # In whole 2x2 blocks: the box starts at even pixels, and ends at even ones or with the frame.
        rows, columns = (
            slice(top // 2 * 2, half(top + height) * 2),
            slice(left // 2 * 2, half(left + width) * 2),
        )
        drawn = YuvFrame.from_rgb(after[rows, columns], self.color_space)
        if toning := self.toning(box):
            drawn = drawn.toned(toning)
        mask = differs[rows, columns]
        x, y = box.x1 + columns.start, box.y1 + rows.start
        return YuvFrame(
            _paste(self.y, x, y, drawn.y, mask),
            _paste(self.u, x // 2, y // 2, drawn.u, chroma_mask := _any_of_four(mask)),
            _paste(self.v, x // 2, y // 2, drawn.v, chroma_mask),
            self.color_space,
        )

    def cropped(self, width: int, height: int) -> YuvFrame:
        """The upper left `width` x `height` pixels, as views."""
        rows, columns = half(height), half(width)
        return YuvFrame(
            self.y[:height, :width], self.u[:rows, :columns], self.v[:rows, :columns], self.color_space
        )

    def resized(self, width: int, height: int) -> YuvFrame:
        """The frame at a smaller size, by area averaging."""
        halves = (half(width), half(height))
        return YuvFrame(
            _average(self.y, (width, height)),
            _average(self.u, halves),
            _average(self.v, halves),
            self.color_space,
        )


def half(side: int) -> int:
    """Chroma samples along a side of `side` pixels: half, rounded up."""
    return -(-side // 2)


def even(plane: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Pad a plane (H, W) or frame (H, W, C) to even sides by repeating its edge."""
    rows, columns = plane.shape[0] % 2, plane.shape[1] % 2
    if not rows and not columns:
        return plane
    return np.pad(plane, ((0, rows), (0, columns), (0, 0))[: plane.ndim], mode="edge")


def _halved(plane: Plane) -> Plane:
    """Averages of 2x2 blocks."""
    return _average(even(plane), (half(plane.shape[1]), half(plane.shape[0])))


def _line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """The line y = slope * x + zero of least squares: slope, zero, and RMS of what it leaves."""
    x_mean, y_mean = x.mean(), y.mean()
    slope = ((x - x_mean) * (y - y_mean)).mean() / max(x.var(), 1e-6)
    zero = y_mean - slope * x_mean
    return float(slope), float(zero), float(np.sqrt(np.square(y - slope * x - zero).mean()))


def _to_uint8(values: cv2.typing.MatLike) -> Plane:
    """Rounded to nearest and clipped to 0..255."""
    return np.asarray(cv2.addWeighted(values, 1, values, 0, 0, dtype=cv2.CV_8U), np.uint8)


def _upsample(plane: Plane) -> Plane:
    size = (2 * plane.shape[1], 2 * plane.shape[0])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _any_of_four(mask: Plane) -> Plane:
    """Maximum of every 2x2 block."""
    whole = even(mask)
    rows = cv2.max(whole[::2], whole[1::2])
    return np.asarray(cv2.max(rows[:, ::2], rows[:, 1::2]), np.uint8)


def _average(plane: Plane, size: tuple[int, int]) -> Plane:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _paste(plane: Plane, x: int, y: int, part: Plane, mask: Plane) -> Plane:
    """A copy of `plane` with `part` pasted at x, y where `mask` is not 0."""
    copy = plane.copy()
    cv2.copyTo(part, mask, copy[y : y + part.shape[0], x : x + part.shape[1]])
    return copy
