"""Sampling between the window that the networks see and the crop at its own size.

The networks work on a window of a crop of fixed size. What they predict is applied to the crop at the size
that the video has, so that skin, beard and lips keep the source's pixels. Pixel centres lie at whole
numbers in both; a pixel covers half a unit to either side of its centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

MAX_STEP = 1.6
"""Pixels from sample to sample above which an image is halved first: bilinear sampling sees four pixels."""


@dataclass(frozen=True)
class Region:
    """Pixels of a crop of any size that the window covers.

    Attributes:
        rows, columns: of the crop.
        scale: (x, y) pixels of the crop per pixel of the window.
        corner: (x, y) of the region's first pixel centre, in pixels of the window.
    """

    rows: slice
    columns: slice
    scale: tuple[float, float]
    corner: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the crop."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def part(self, bounds: tuple[float, float, float, float]) -> Region:
        """The pixels of it in which bilinear samples of something within `bounds` are not 0.

        Args:
            bounds: left, top, right and bottom, in pixels of the window.

        Returns:
            Whole groups of four pixels, so that what is halved in it comes out as in the whole; everything
            where `bounds` lie outside.
        """
        left, top, right, bottom = bounds
        height, width = self.size
        columns = _covered(left - self.corner[0], right - self.corner[0], self.scale[0], width)
        rows = _covered(top - self.corner[1], bottom - self.corner[1], self.scale[1], height)
        if columns.stop <= columns.start or rows.stop <= rows.start:
            return self
        return Region(
            slice(self.rows.start + rows.start, self.rows.start + rows.stop),
            slice(self.columns.start + columns.start, self.columns.start + columns.stop),
            self.scale,
            (self.corner[0] + columns.start / self.scale[0], self.corner[1] + rows.start / self.scale[1]),
        )


def _covered(first: float, last: float, scale: float, size: int) -> slice:
    """Groups of 4 pixels of 0 .. size-1 less than a pixel of the window away from `first` .. `last`."""
    start, stop = math.floor((first - 1) * scale / 4), math.ceil(((last + 1) * scale + 1) / 4)
    return slice(max(0, 4 * start), min(size, 4 * stop))


@dataclass(frozen=True)
class Window:
    """Part of a crop of `crop` x `crop` pixels that the networks see.

    Attributes:
        crop: side of the crop, pixels.
        top, left, height, width: of the window, pixels.
    """

    crop: int
    top: int
    left: int
    height: int
    width: int


def window_region(size: tuple[int, int], window: Window) -> Region:
    """The window's region of a crop of (height, width) pixels, in whole pixels."""
    height, width = size
    x, y = width / window.crop, height / window.crop
    rows = slice(int(window.top * y), min(height, -int(-(window.top + window.height) * y // 1)))
    columns = slice(int(window.left * x), min(width, -int(-(window.left + window.width) * x // 1)))
    corner = ((columns.start + 0.5) / x - 0.5 - window.left, (rows.start + 0.5) / y - 0.5 - window.top)
    return Region(rows, columns, (x, y), corner)


def region_grid(region: Region, like: Tensor) -> Tensor:
    """Pixel centres of a region in pixels of the window; (1, H, W, 2) x and y."""
    height, width = region.size
    x = torch.arange(width, device=like.device, dtype=torch.float32) / region.scale[0] + region.corner[0]
    y = torch.arange(height, device=like.device, dtype=torch.float32) / region.scale[1] + region.corner[1]
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], dim=2).unsqueeze(0)


def to_region(points: Tensor, region: Region) -> Tensor:
    """Points (..., 2) in pixels of the window, in pixels of the region."""
    return (points - points.new_tensor(region.corner)) * points.new_tensor(region.scale)


def sample(image: Tensor, positions: Tensor, padding: str = "border") -> Tensor:
    """Bilinear samples of an image.

    Args:
        image: (B, C, h, w).
        positions: (B or 1, H, W, 2) x and y in pixels of the image.
        padding: "border" repeats the edge, "zeros" continues with 0.

    Returns:
        (B, C, H, W).
    """
    size = positions.new_tensor([image.shape[3], image.shape[2]])
    grid = (positions * 2 + 1) / size - 1
    return F.grid_sample(
        image, grid.expand(len(image), -1, -1, -1), mode="bilinear", padding_mode=padding, align_corners=False
    )


def box_grid(boxes: Tensor, height: int, width: int) -> Tensor:
    """Centres of `height` x `width` cells of boxes; (B, height, width, 2).

    Args:
        boxes: (B, 4) x and y of the top left corner, width and height.
    """
    x = (torch.arange(width, device=boxes.device, dtype=boxes.dtype) + 0.5) / width
    y = (torch.arange(height, device=boxes.device, dtype=boxes.dtype) + 0.5) / height
    columns = (boxes[:, 0:1] + boxes[:, 2:3] * x).unsqueeze(1).expand(-1, height, -1)
    rows = (boxes[:, 1:2] + boxes[:, 3:4] * y).unsqueeze(2).expand(-1, -1, width)
    return torch.stack([columns, rows], dim=3)


def sample_box(image: Tensor, positions: Tensor) -> Tensor:
    """Samples of an image at `positions` as `sample`, without aliasing where they lie far apart."""
    with torch.no_grad():
        step = float((positions[:, 0, 1, 0] - positions[:, 0, 0, 0]).min())
    while step > MAX_STEP and min(image.shape[2:]) > 2:
        image, positions, step = F.avg_pool2d(image, 2), (positions - 0.5) / 2, step / 2
    return sample(image, positions)
