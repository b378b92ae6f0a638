"""Compiled transforms of Winograd's F(4 x 4, 3 x 3), over channels-last images.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv 1509.09308, section 4.3.
A tile of 4 x 4 outputs needs 6 x 6 inputs; tiles of one image overlap by two pixels. Both transforms are sums
of a few values for each channel, so memory decides: each tile is transformed down its rows and then along
them in `CHANNELS` channels at a time, which stay in the first cache.

Arrays are flat and indices unsigned: numba then neither tests for negative indices nor computes strides, and
LLVM turns the innermost loops into vector instructions. That makes them 2.5 times as fast. Importing this
module imports numba (0.3 s); the compiled code is kept beside this file or in the user's cache folder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np

from lipsync.types import FloatArray

F = TypeVar("F", bound=Callable[..., Any])
Index: TypeAlias = Any
"""uint64, as numba sees it; NumPy's own types would make a float of some of the sums."""

CHANNELS = 32
"""Channels of one block: 6 x 6 x 32 numbers are 4.6 kB."""

# Typed constants: a plain integer beside an unsigned one would make numba compute in float64.
_0, _1, _2, _3, _4, _5, _6 = (np.uint64(number) for number in range(7))
_BLOCK = np.uint64(CHANNELS)
_COLUMN1, _COLUMN2, _COLUMN3, _COLUMN4, _COLUMN5 = (np.uint64(k * CHANNELS) for k in range(1, 6))
_ROW1, _ROW2, _ROW3, _ROW4, _ROW5 = (np.uint64(6 * k * CHANNELS) for k in range(1, 6))
_F0, _F2, _F4, _F5, _F8 = (np.float32(number) for number in (0, 2, 4, 5, 8))


def _compiled(inline: str = "never") -> Callable[[F], F]:
    """Compile a function when it is first called; the result is kept on disk where there is a place."""
    njit: Any = numba.njit
    options = {"nogil": True, "fastmath": True, "error_model": "numpy", "inline": inline}

    def compile_lazily(function: F) -> F:
        try:
            compiled: F = njit(cache=inline == "never", **options)(function)
        except RuntimeError:  # no folder for compiled code can be written
            compiled = njit(**options)(function)
        return compiled

    return compile_lazily


@_compiled(inline="always")
def _transform_rows(
    x: FloatArray,
    p0: Index,
    p1: Index,
    p2: Index,
    p3: Index,
    p4: Index,
    p5: Index,
    tile: FloatArray,
    column: Index,
) -> None:
    """B^T d for one column of a tile, whose six pixels begin at p0 to p5 of `x`."""
    for c in range(_BLOCK):
        d0, d1, d2, d3, d4, d5 = x[p0 + c], x[p1 + c], x[p2 + c], x[p3 + c], x[p4 + c], x[p5 + c]
        even, odd = d4 - _F4 * d2, d3 - _F4 * d1
        even2, odd2 = d4 - d2, _F2 * (d3 - d1)
        tile[column + c] = _F4 * d0 - _F5 * d2 + d4
        tile[column + _ROW1 + c] = even + odd
        tile[column + _ROW2 + c] = even - odd
        tile[column + _ROW3 + c] = even2 + odd2
        tile[column + _ROW4 + c] = even2 - odd2
        tile[column + _ROW5 + c] = _F4 * d1 - _F5 * d3 + d5


@_compiled(inline="always")
def _transform_columns(tile: FloatArray, row: Index, out: FloatArray, p0: Index, step: Index) -> None:
    """One row of a tile times B, into six planes of `out` that lie `step` apart."""
    p1, p2, p3, p4, p5 = p0 + step, p0 + _2 * step, p0 + _3 * step, p0 + _4 * step, p0 + _5 * step
    # A loop for each plane: with one for all LLVM finds too many pairs of addresses to tell apart.
    for c in range(_BLOCK):
        out[p0 + c] = _F4 * tile[row + c] - _F5 * tile[row + _COLUMN2 + c] + tile[row + _COLUMN4 + c]
    for c in range(_BLOCK):
        even = tile[row + _COLUMN4 + c] - _F4 * tile[row + _COLUMN2 + c]
        out[p1 + c] = even + (tile[row + _COLUMN3 + c] - _F4 * tile[row + _COLUMN1 + c])
    for c in range(_BLOCK):
        even = tile[row + _COLUMN4 + c] - _F4 * tile[row + _COLUMN2 + c]
        out[p2 + c] = even - (tile[row + _COLUMN3 + c] - _F4 * tile[row + _COLUMN1 + c])
    for c in range(_BLOCK):
        even = tile[row + _COLUMN4 + c] - tile[row + _COLUMN2 + c]
        out[p3 + c] = even + _F2 * (tile[row + _COLUMN3 + c] - tile[row + _COLUMN1 + c])
    for c in range(_BLOCK):
        even = tile[row + _COLUMN4 + c] - tile[row + _COLUMN2 + c]
        out[p4 + c] = even - _F2 * (tile[row + _COLUMN3 + c] - tile[row + _COLUMN1 + c])
    for c in range(_BLOCK):
        out[p5 + c] = (
            _F4 * tile[row + _COLUMN1 + c] - _F5 * tile[row + _COLUMN3 + c] + tile[row + _COLUMN5 + c]
        )


@_compiled()
def transform_input(
    x: FloatArray,
    out: FloatArray,
    height: Index,
    width: Index,
    channels: Index,
    first: Index,
    end: Index,
) -> None:
    """Transform tiles of an image with one pixel of zero padding.

    Args:
        x: float32 (B * height * width * channels,), channels last.
        out: float32 (36 * (end - first) * channels,), filled with a plane of (tiles, channels) for each
            of the 36 products.
        height, width, channels: uint64; at least `CHANNELS` channels.
        first, end: uint64, tiles of all images, row by row.
    """
    tile = np.empty(36 * CHANNELS, np.float32)
    edge = np.empty(6 * CHANNELS, np.float32)
    across = (width + _3) // _4
    count = across * ((height + _3) // _4)
    plane, step = (end - first) * channels, width * channels
    for index in range(first, end):
        image, within = index // count, index % count
        top, left = _4 * (within // across), _4 * (within % across)  # of the padded image
        inside = top > _0 and top + _5 <= height
        for block in range(_0, channels, _BLOCK):
            start = min(block, channels - _BLOCK)  # the last block may repeat some channels
            for j in range(_6):
                column, x1 = j * _BLOCK, left + j
                if x1 < _1 or x1 > width:
                    for i in range(_6):
                        for c in range(_BLOCK):
                            tile[i * _ROW1 + column + c] = _F0
                elif inside:
                    p = ((image * height + top - _1) * width + x1 - _1) * channels + start
                    p2, p4 = p + _2 * step, p + _4 * step
                    _transform_rows(x, p, p + step, p2, p2 + step, p4, p4 + step, tile, column)
                else:
                    for i in range(_6):
                        y1, to = top + i, i * _BLOCK
                        if y1 < _1 or y1 > height:
                            for c in range(_BLOCK):
                                edge[to + c] = _F0
                        else:
                            p = ((image * height + y1 - _1) * width + x1 - _1) * channels + start
                            for c in range(_BLOCK):
                                edge[to + c] = x[p + c]
                    _transform_rows(edge, _0, _COLUMN1, _COLUMN2, _COLUMN3, _COLUMN4, _COLUMN5, tile, column)
            for i in range(_6):
                p = i * _6 * plane + (index - first) * channels + start
                _transform_columns(tile, i * _ROW1, out, p, plane)


@_compiled(inline="always")
def _sum_rows(products: FloatArray, p0: Index, step: Index, tile: FloatArray, column: Index) -> None:
    """A^T m for one column of products, which lie `step` apart."""
    p1, p2, p3, p4, p5 = p0 + step, p0 + _2 * step, p0 + _3 * step, p0 + _4 * step, p0 + _5 * step
    for c in range(_BLOCK):
        m0, m1, m2 = products[p0 + c], products[p1 + c], products[p2 + c]
        m3, m4, m5 = products[p3 + c], products[p4 + c], products[p5 + c]
        sum1, difference1, sum2, difference2 = m1 + m2, m1 - m2, m3 + m4, m3 - m4
        tile[column + c] = m0 + sum1 + sum2
        tile[column + _ROW1 + c] = difference1 + _F2 * difference2
        tile[column + _ROW2 + c] = sum1 + _F4 * sum2
        tile[column + _ROW3 + c] = difference1 + _F8 * difference2 + m5


@_compiled(inline="always")
def _finish(value: Any, residual: FloatArray | None, p: Index) -> Any:
    """ReLU, after the addition of a residual if there is one: numba leaves out the other branch."""
    if residual is None:
        return max(value, _F0)
    return max(value + residual[p], _F0)


@_compiled()
def transform_output(
    products: FloatArray,
    out: FloatArray,
    residual: FloatArray | None,
    bias: FloatArray,
    height: Index,
    width: Index,
    channels: Index,
    first: Index,
    end: Index,
) -> None:
    """Sum products up to pixels, add bias and residual, apply a ReLU.

    Args:
        products: float32 (36 * (end - first) * channels,), planes as of `transform_input`.
        out: float32 (B * height * width * channels,), channels last; the tiles' pixels are set.
        residual: like `out`, added before the ReLU; or None.
        bias: float32 (channels,).
        height, width, channels, first, end: as for `transform_input`.
    """
    tile = np.empty(24 * CHANNELS, np.float32)
    across = (width + _3) // _4
    count = across * ((height + _3) // _4)
    plane = (end - first) * channels
    for index in range(first, end):
        image, within = index // count, index % count
        top, left = _4 * (within // across), _4 * (within % across)
        for block in range(_0, channels, _BLOCK):
            start = min(block, channels - _BLOCK)  # the last block may repeat some channels
            for j in range(_6):
                p = j * plane + (index - first) * channels + start
                _sum_rows(products, p, _6 * plane, tile, j * _BLOCK)
            for i in range(_4):
                if top + i >= height:
                    break
                row, p = i * _ROW1, ((image * height + top + i) * width + left) * channels + start
                for c in range(_BLOCK):
                    inner = tile[row + _COLUMN1 + c] + tile[row + _COLUMN2 + c]
                    outer = tile[row + _COLUMN3 + c] + tile[row + _COLUMN4 + c]
                    out[p + c] = _finish(bias[start + c] + tile[row + c] + inner + outer, residual, p + c)
                if left + _1 < width:
                    p += channels
                    for c in range(_BLOCK):
                        inner = tile[row + _COLUMN1 + c] - tile[row + _COLUMN2 + c]
                        outer = tile[row + _COLUMN3 + c] - tile[row + _COLUMN4 + c]
                        out[p + c] = _finish(bias[start + c] + inner + _F2 * outer, residual, p + c)
                if left + _2 < width:
                    p += channels
                    for c in range(_BLOCK):
                        inner = tile[row + _COLUMN1 + c] + tile[row + _COLUMN2 + c]
                        outer = tile[row + _COLUMN3 + c] + tile[row + _COLUMN4 + c]
                        out[p + c] = _finish(bias[start + c] + inner + _F4 * outer, residual, p + c)
                if left + _3 < width:
                    p += channels
                    for c in range(_BLOCK):
                        inner = tile[row + _COLUMN1 + c] - tile[row + _COLUMN2 + c]
                        outer = tile[row + _COLUMN3 + c] - tile[row + _COLUMN4 + c]
                        last = tile[row + _COLUMN5 + c]
                        out[p + c] = _finish(bias[start + c] + inner + _F8 * outer + last, residual, p + c)
