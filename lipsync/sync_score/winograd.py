"""Winograd (Toom-Cook) convolutions over image rows.

Used by SyncNet in float32 on a CPU. Winograd, "Arithmetic Complexity of Computations", SIAM 1980; Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, arXiv 1509.09308. m outputs of a
filter with r taps take m + r - 1 products instead of m * r: 9 instead of 21 for m = 7, r = 3.

It is applied down the rows only, in one dimension: each product is then a convolution along the columns, for
which oneDNN is as fast as for any other, and the transforms are products with small matrices, a fifth of the
time. Two dimensions would halve the products again, but with four times the transforms, at half the speed;
that is no faster.

Speed on one core of an EPYC: SyncNet's 3 x 3 layers take 0.6 ms a window instead of 0.85, the
layer with stride 2 takes 2.8 instead of 3.7. In LSE as a whole (`benchmarks/lse.py`) these layers, with
blocks of eight windows in `window_conv.py`, took off a fifth, and max pooling without indices a further
seventh.

Tensors are (H, B, W, C): row y of all images is one run of memory, so that rows can be scaled and added
without being moved.
"""

from __future__ import annotations

from functools import reduce
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.utils.conv_block import Step
from lipsync.utils.onednn_conv import PackedConv, can_pack

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 1.5, -1.5, 0.75, -0.75)
"""Evaluation points of the polynomials, besides infinity: in pairs but for 0, small and well separated, which
keeps the rounding error at 5e-5 of the largest output. 1 is among them, for the bias."""
_BIAS_POINT = POINTS.index(1.0)
"""The product at 1 enters every output with factor 1, so a bias added to it is added to all."""
_MAX_TILE = 9
"""Outputs per tile: more save little, and the transforms' factors grow."""
Doubles: TypeAlias = npt.NDArray[np.float64]


class PointConv(nn.Module):
    """Convolution of one evaluation point, float32; packed where possible."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: Step, padding: Step) -> None:
        super().__init__()
        outputs, inputs, *kernel = weight.shape
        conv = nn.Conv2d(1, 1, cast(tuple[int, int], tuple(kernel)), stride, padding)
        conv.in_channels, conv.out_channels = inputs, outputs  # set here: random initial weights take time
        conv.weight = nn.Parameter(weight.float().contiguous(memory_format=torch.channels_last))
        conv.bias = nn.Parameter(bias.float())
        self.conv = conv.requires_grad_(False)
        self.packed = PackedConv(conv, relu=False) if can_pack(weight.device, torch.float32) else None

    def forward(self, x: Tensor, dilation: tuple[int, int] = (1, 1)) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W'), channels last."""
        if self.packed is not None:
            out: Tensor = self.packed(x, dilation)
            return out
        conv = self.conv
        return F.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding, dilation)


def point_convs(weights: Tensor, bias: Tensor, stride: Step = 1, padding: Step = 0) -> nn.ModuleList:
    """One `PointConv` for each point.

    Args:
        weights: (P, O, C, h, w) transformed filters.
        bias: (O,) of the whole convolution.
    """
    biases = torch.zeros(len(weights), len(bias))
    biases[_BIAS_POINT] = bias
    return nn.ModuleList(
        PointConv(weight, point_bias, stride, padding)
        for weight, point_bias in zip(weights, biases, strict=True)
    )


class WinogradConv(nn.Module):
    """`nn.Conv2d` by Winograd's algorithm down the rows, on (H, B, W, C).

    float32, for inference. Stride 2 down the rows is split into two filters with stride 1, over the even
    and the odd rows; one convolution adds up both.

    Args:
        conv: with a bias, one group, no dilation, zero padding.
        rows: about how many rows its output will have; it decides the size of the tiles.
    """

    def __init__(self, conv: nn.Conv2d, rows: int) -> None:
        super().__init__()
        _require_supported(conv)
        (self.stride, column_stride), (self.pad, column_pad) = conv.stride, _pair(cast(Step, conv.padding))
        self.kernel, self.outputs = conv.kernel_size[0], conv.out_channels
        self.column_form = conv.kernel_size[1], column_stride, column_pad
        taps = -(-self.kernel // self.stride)
        self.tile = -(-rows // -(-rows // _MAX_TILE))
        input_transform, filter_transform, output_transform = (
            torch.from_numpy(each) for each in transforms(self.tile, taps)
        )
        weight = F.pad(conv.weight.detach().double(), (0, 0, 0, taps * self.stride - self.kernel))
        by_phase = weight.view(*weight.shape[:2], taps, self.stride, -1)  # O, C, taps, phases, columns
        self.convs = point_convs(
            torch.einsum("pt,octsw->pocsw", filter_transform, by_phase),
            cast(Tensor, conv.bias).detach(),
            (1, column_stride),
            (0, column_pad),
        )
        self.input_transform = nn.Parameter(input_transform.float(), requires_grad=False)
        self.output_transform = nn.Parameter(output_transform.float(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) float32 -> (H', B, W', O)."""
        flat, (batch, width) = x.flatten(1), x.shape[1:3]
        rows = conv_length(len(x), self.kernel, self.stride, self.pad)
        columns = conv_length(width, *self.column_form)
        out = x.new_empty(rows, batch, columns, self.outputs)
        points = x.new_empty(len(self.input_transform), self.stride, flat.shape[1])
        # The even rows of all images, then the odd ones; the two of one image lie `batch` apart.
        images = points.view(len(points), 1, -1, *x.shape[2:]).permute(0, 1, 4, 2, 3)
        for top in range(0, rows, self.tile):  # one tile at a time fits into the caches
            for phase in range(self.stride):
                self._transform_input(flat, top * self.stride + phase - self.pad, points[:, phase])
            products = [
                conv(image, (batch, 1)).permute(0, 2, 3, 1)
                for conv, image in zip(self.convs, images, strict=True)
            ]
            part = out[top : top + self.tile].flatten(1)
            torch.mm(self.output_transform[: len(part)], torch.cat(products).flatten(1), out=part)
        return out

    def _transform_input(self, flat: Tensor, top: int, out: Tensor) -> None:
        """Evaluate the polynomial of the rows from `top` on, `stride` apart, at every point."""
        end = top + len(self.input_transform) * self.stride
        skipped = sum(row < 0 for row in range(top, end, self.stride))  # padding is zero
        rows = flat[top + skipped * self.stride : end : self.stride]
        torch.mm(self.input_transform[:, skipped : skipped + len(rows)], rows, out=out)


class RowMaxPool(nn.Module):
    """`nn.MaxPool2d` on (H, B, W, C): over the rows, then over the columns."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.kernel, self.stride, self.pad = map(_pair, (pool.kernel_size, pool.stride, pool.padding))

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) -> (H', B, W', C)."""
        for axis, dim in enumerate((0, 2)):
            x = max_pool(x, dim, self.kernel[axis], self.stride[axis], self.pad[axis])
        return x


def max_pool(x: Tensor, dim: int, kernel: int, stride: int, pad: int = 0) -> Tensor:
    """Max pooling along one dimension; PyTorch's own also finds the indices, which takes long.

    Args:
        x: of any shape.
        pad: elements of -inf added at both ends.
    """
    if pad:
        x = F.pad(x, (0, 0) * (x.ndim - 1 - dim) + (pad, pad), value=-torch.inf)
    return reduce(torch.maximum, x.unfold(dim, kernel, stride).unbind(-1))


class NchwLayers(nn.Module):
    """Adapter for (B, C, H, W) layers on (H, B, W, C), in the layers' dtype."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) -> (H', B, W', O)."""
        dtype = next(self.layers.parameters()).dtype
        out: Tensor = self.layers(x.permute(1, 3, 0, 2).to(dtype, memory_format=torch.channels_last))
        return out.permute(2, 0, 3, 1)


class FullImageConv(nn.Module):
    """Convolution with a kernel as large as the image, on (H, B, W, C)."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        _require_supported(conv)
        if _pair(cast(Step, conv.padding)) != (0, 0):
            raise ValueError(f"{conv} has padding and cannot be computed as one product")
        weight, bias = conv.weight.detach().permute(0, 2, 3, 1).flatten(1), cast(Tensor, conv.bias).detach()
        self.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) -> (1, B, 1, O)."""
        return F.linear(x.transpose(0, 1).flatten(1), self.weight, self.bias)[None, :, None]


def to_row_layers(layers: nn.Sequential, rows: int) -> nn.Sequential:
    """The same layers for (H, B, W, C) tensors.

    Args:
        layers: convolutions, max poolings and elementwise layers.
        rows: height H of the input.
    """
    out: list[nn.Module] = []
    for layer in layers.children():
        if isinstance(layer, nn.MaxPool2d):
            rows = _rows_after(layer, rows)
            out.append(RowMaxPool(layer))
        elif isinstance(layer, nn.Conv2d):
            rows = _rows_after(layer, rows)
            out.append(_row_conv(layer, rows))
        else:
            out.append(layer)
    return nn.Sequential(*out)


def _row_conv(conv: nn.Conv2d, rows: int) -> nn.Module:
    if rows == 1:
        return FullImageConv(conv)
    return (
        NchwLayers(conv) if conv.in_channels == 1 else WinogradConv(conv, rows)
    )  # 1 channel: little to save


def transforms(outputs: int, taps: int) -> tuple[Doubles, Doubles, Doubles]:
    """Input, filter and output transform of Winograd's algorithm.

    outputs = output_transform @ ((filter_transform @ filter) * (input_transform @ input)). The product of two
    polynomials is found from their values at `POINTS` and infinity; filtering is its transpose. In Lavin and
    Gray's notation these are B^T, G and A^T.

    Returns:
        input_transform (P, P), filter_transform (P, taps), output_transform (outputs, P), float64, with
        P = outputs + taps - 1 points.

    Raises:
        ValueError: that takes more points than there are.
    """
    count = outputs + taps - 1
    if count > len(POINTS) + 1:
        raise ValueError(f"{outputs} outputs of {taps} taps need more than {len(POINTS)} points")
    input_transform = np.linalg.inv(_vandermonde(count, count)).T
    output_transform = _vandermonde(count, outputs).T
    return (
        np.ascontiguousarray(input_transform),
        _vandermonde(count, taps),
        np.ascontiguousarray(output_transform),
    )


def _vandermonde(points: int, count: int) -> Doubles:
    """(points, count): powers of each point from the 0th on; of infinity only the highest is nonzero."""
    rows = np.vander(np.array(POINTS[: points - 1]), count, increasing=True)
    return np.vstack([rows, np.eye(count)[-1]])


def _require_supported(conv: nn.Conv2d) -> None:
    plain = conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    if conv.bias is None or not plain or isinstance(conv.padding, str):
        raise ValueError(f"{conv} cannot be computed by rows")


def _pair(value: Step) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _rows_after(layer: nn.Conv2d | nn.MaxPool2d, rows: int) -> int:
    form = (layer.kernel_size, layer.stride, layer.padding)
    return conv_length(rows, *(_pair(cast(Step, each))[0] for each in form))


def conv_length(length: int, kernel: int, stride: int, pad: int = 0) -> int:
    """Output length of a convolution or pooling along one dimension."""
    return (length + 2 * pad - kernel) // stride + 1
