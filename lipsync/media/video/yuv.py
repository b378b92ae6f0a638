"""Pictures as videos hold them: brightness for every pixel, colour for every two by two of them.

Between decoder and encoder a full-size frame stays as it is, and only the part that a stage looks at
becomes RGB. That saves two conversions of every pixel, half of the memory, and what is not drawn on
comes out with the very numbers that were read.
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
_MIDDLE = 128.0
"""Of a colour difference: no colour."""


@dataclass(frozen=True)
class YuvColors:
    """What the numbers mean: Y'CbCr of a matrix and a range, ITU-T H.273.

    Attributes:
        red, blue: shares of red and of blue in the brightness, Kr and Kb.
        full_range: brightness from 0 to 255 rather than from 16 to 235.
    """

    red: float
    blue: float
    full_range: bool = False

    @property
    def to_yuv(self) -> FloatArray:
        """(3, 4): Y, Cb, Cr are this times (R, G, B, 1), all of them 0 to 255."""
        red, green, blue = self.red, 1 - self.red - self.blue, self.blue
        rows = np.array(
            [
                [red, green, blue],
                [-red / 2 / (1 - blue), -green / 2 / (1 - blue), 0.5],
                [0.5, -green / 2 / (1 - red), -blue / 2 / (1 - red)],
            ]
        )
        scale, low = (np.ones(3), 0.0) if self.full_range else (np.array([219, 224, 224]) / 255, 16.0)
        return np.column_stack([rows * scale[:, None], [low, _MIDDLE, _MIDDLE]]).astype(np.float32)

    @property
    def to_rgb(self) -> FloatArray:
        """(3, 4): R, G, B are this times (Y, Cb, Cr, 1)."""
        forward = self.to_yuv.astype(np.float64)
        back = np.linalg.inv(forward[:, :3])
        return np.column_stack([back, -back @ forward[:, 3]]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class YuvFrame:
    """One picture, 8 bits, 4:2:0, of any size; never changed, so that it may be shown again.

    Each number of `u` and `v` stands in the middle of its two by two pixels, as swscale takes it
    where a file does not say.

    Attributes:
        y: (H, W) brightness.
        u, v: (H / 2, W / 2), rounded up: the colour differences Cb and Cr.
        colors: what they mean.
    """

    y: Plane
    u: Plane
    v: Plane
    colors: YuvColors

    @classmethod
    def from_bytes(cls, data: bytes | bytearray, width: int, height: int, colors: YuvColors) -> YuvFrame:
        """A frame in ffmpeg's rawvideo of pixel format yuv420p; nothing is copied."""
        rows, columns = half(height), half(width)
        luma, chroma = width * height, rows * columns
        numbers = np.frombuffer(data, np.uint8)
        u, v = numbers[luma : luma + chroma], numbers[luma + chroma :]
        return cls(
            numbers[:luma].reshape(height, width),
            u.reshape(rows, columns),
            v.reshape(rows, columns),
            colors,
        )

    @classmethod
    def from_rgb(cls, frame: Frame, colors: YuvColors) -> YuvFrame:
        """RGB uint8 (H, W, 3) in these colours."""
        numbers, matrix = frame.astype(np.float32), colors.to_yuv
        size = (half(frame.shape[1]), half(frame.shape[0]))
        halved = cv2.resize(even(numbers), size, interpolation=cv2.INTER_AREA)
        y, u, v = (
            _rounded(cv2.transform(source, matrix[row : row + 1]))
            for row, source in enumerate((numbers, halved, halved))
        )
        return cls(y, u, v, colors)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.y.shape[0])

    def rgb(self, box: PixelBox | None = None) -> Frame:
        """The picture, or the part of it in `box`, RGB uint8 (height, width, 3).

        A part has the same numbers as if it were cut out of the whole.
        """
        x1, y1, x2, y2 = box or PixelBox(0, 0, self.width, self.height)
        # Colours are mixed with those beside them, so two more of them on each side are read.
        left, top, right, bottom = max(0, x1 // 2 - 2), max(0, y1 // 2 - 2), half(x2) + 2, half(y2) + 2
        inside = (slice(y1 - 2 * top, y2 - 2 * top), slice(x1 - 2 * left, x2 - 2 * left))
        u, v = (_doubled(plane[top:bottom, left:right])[inside] for plane in (self.u, self.v))
        numbers = cv2.merge([self.y[y1:y2, x1:x2], u, v]).astype(np.float32)
        return _rounded(cv2.transform(numbers, self.colors.to_rgb))

    def around(self, box: PixelBox) -> PixelBox:
        """The box with two or three pixels more on each side that has them, in whole two by two."""
        x1, y1, x2, y2 = box
        left, top = max(0, x1 // 2 * 2 - 2), max(0, y1 // 2 * 2 - 2)
        return PixelBox(left, top, min(self.width, half(x2) * 2 + 2), min(self.height, half(y2) * 2 + 2))

    def changed(self, box: PixelBox, before: Frame, after: Frame) -> YuvFrame:
        """This picture with a part of it drawn anew; all else keeps its numbers.

        Args:
            box: the part, from `around`.
            before: what `rgb` gives for it.
            after: the same size; only pixels that differ from `before` are written.
        """
        same = cv2.inRange(cv2.absdiff(before, after), (0, 0, 0), (0, 0, 0))
        differs = np.asarray(cv2.bitwise_not(same), np.uint8)
        left, top, width, height = cv2.boundingRect(differs)
        if not width:
            return self
        # In whole two by two; the box begins with such and ends with such, or with the picture.
        rows, columns = (
            slice(top // 2 * 2, half(top + height) * 2),
            slice(left // 2 * 2, half(left + width) * 2),
        )
        drawn = YuvFrame.from_rgb(after[rows, columns], self.colors)
        where = differs[rows, columns]
        x, y = box.x1 + columns.start, box.y1 + rows.start
        return YuvFrame(
            _laid(self.y, x, y, drawn.y, where),
            _laid(self.u, x // 2, y // 2, drawn.u, some := _any_of_four(where)),
            _laid(self.v, x // 2, y // 2, drawn.v, some),
            self.colors,
        )

    def cut(self, width: int, height: int) -> YuvFrame:
        """The upper left part of this size."""
        rows, columns = half(height), half(width)
        return YuvFrame(
            self.y[:height, :width], self.u[:rows, :columns], self.v[:rows, :columns], self.colors
        )

    def resized(self, width: int, height: int) -> YuvFrame:
        """The whole picture at a smaller size, averaged."""
        halves = (half(width), half(height))
        return YuvFrame(
            _averaged(self.y, (width, height)),
            _averaged(self.u, halves),
            _averaged(self.v, halves),
            self.colors,
        )


def half(side: int) -> int:
    """How many two by two cover a side."""
    return -(-side // 2)


def _rounded(values: cv2.typing.MatLike) -> Plane:
    """To the nearest of 0 to 255."""
    return np.asarray(cv2.addWeighted(values, 1, values, 0, 0, dtype=cv2.CV_8U), np.uint8)


def _doubled(plane: Plane) -> Plane:
    size = (2 * plane.shape[1], 2 * plane.shape[0])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def even(plane: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The plane, or picture, with its last row or column twice where their number is odd."""
    rows, columns = plane.shape[0] % 2, plane.shape[1] % 2
    if not rows and not columns:
        return plane
    return np.pad(plane, ((0, rows), (0, columns), (0, 0))[: plane.ndim], mode="edge")


def _any_of_four(where: Plane) -> Plane:
    """For every two by two the greatest number in it."""
    whole = even(where)
    upper = cv2.max(whole[::2], whole[1::2])
    return np.asarray(cv2.max(upper[:, ::2], upper[:, 1::2]), np.uint8)


def _averaged(plane: Plane, size: tuple[int, int]) -> Plane:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _laid(plane: Plane, x: int, y: int, part: Plane, where: Plane) -> Plane:
    """A copy of the plane with the part laid over it at x, y, where that is to be."""
    new = plane.copy()
    under = new[y : y + part.shape[0], x : x + part.shape[1]]
    cv2.copyTo(part, where, under)
    return new
