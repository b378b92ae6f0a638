"""Convolutions with fewer multiplications, by the algorithm of Toom and Cook for products of polynomials.

Turned round, as Winograd describes it, it finds several outputs of a filter at once: "Arithmetic Complexity
of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
arXiv 1509.09308. For 7 outputs of a filter with 3 taps, 9 products do the work of 21.

Here it runs down the rows of pictures, in one dimension. Each product is then a convolution along the
columns, for which a CPU's own kernels are as fast as for any other, and the sums before and after are
products with small matrices, a fifth of the time. On a core of an EPYC, SyncNet's 3 x 3 layers take 0.6 ms
a window instead of 0.85, and the one with a step of 2 takes 2.8 instead of 3.7. In two dimensions there would
be half as many products again, yet with four times the sums, at half the speed, that is no faster.

Pictures are kept with their rows outermost, (H, B, W, C), since a row of all of them is then one run of
memory: rows can be weighed and added up where they lie.
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
"""Where polynomials are evaluated, besides at infinity: more than 0 in pairs, small, and well apart, which
keeps rounding at 5 parts in 10^5 of the largest output. 1 is among them, for the bias."""
_BIAS_POINT = POINTS.index(1.0)
"""Its product goes into each output as it is; so a bias added there is added to all."""
_MOST_OUTPUTS = 9
"""That are found at once: more save little, and numbers grow."""
_FEW_PIXELS = 128
"""With less, oneDNN wants weights in other blocks than those they are packed in, and for some shapes takes a
hundred times as long."""
Doubles: TypeAlias = npt.NDArray[np.float64]


class Product(nn.Module):
    """A convolution in float32; packed, where that can be done, for all but few pixels."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: Step, padding: Step) -> None:
        super().__init__()
        outputs, inputs, *kernel = weight.shape
        conv = nn.Conv2d(1, 1, cast(tuple[int, int], tuple(kernel)), stride, padding)
        conv.in_channels, conv.out_channels = inputs, outputs  # not above: random numbers take their time
        conv.weight = nn.Parameter(weight.float().contiguous(memory_format=torch.channels_last))
        conv.bias = nn.Parameter(bias.float())
        self.conv = conv.requires_grad_(False)
        self.packed = PackedConv(conv, relu=False) if can_pack(weight.device, torch.float32) else None

    def forward(self, x: Tensor, dilation: tuple[int, int] = (1, 1)) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W'), channels last."""
        if self.packed is not None and x[:, 0].numel() >= _FEW_PIXELS:
            out: Tensor = self.packed(x, dilation)
            return out
        conv = self.conv
        return F.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding, dilation)


def products(weights: Tensor, bias: Tensor, stride: Step = 1, padding: Step = 0) -> nn.ModuleList:
    """A convolution for each point; `weights` are (P, O, C, h, w), `bias` (O,) that of the outputs."""
    biases = torch.zeros(len(weights), len(bias))
    biases[_BIAS_POINT] = bias
    each = zip(weights, biases, strict=True)
    return nn.ModuleList(Product(weight, own, stride, padding) for weight, own in each)


class RowConv(nn.Module):
    """What `nn.Conv2d` computes, for pictures with their rows outermost; in float32, for inference.

    A step of 2 down the rows is taken as two filters with a step of 1, one over the even rows and one over
    the odd ones, whose products are added up by the same convolution.

    Args:
        conv: with a bias, in one group, without dilation, padded with zeros.
        rows: about how many rows its output will have; it decides how many are found at once.
    """

    def __init__(self, conv: nn.Conv2d, rows: int) -> None:
        super().__init__()
        _check(conv)
        (self.step, along), (self.pad, pad) = conv.stride, _both(cast(Step, conv.padding))
        self.kernel, self.outputs = conv.kernel_size[0], conv.out_channels
        self.along = conv.kernel_size[1], along, pad
        taps = -(-self.kernel // self.step)
        self.at_once = -(-rows // -(-rows // _MOST_OUTPUTS))
        before, slices, after = (torch.from_numpy(each) for each in transforms(self.at_once, taps))
        weight = F.pad(conv.weight.detach().double(), (0, 0, 0, taps * self.step - self.kernel))
        by_phase = weight.view(*weight.shape[:2], taps, self.step, -1)  # O, C, taps, phases, columns
        self.products = products(
            torch.einsum("pt,octsw->pocsw", slices, by_phase),
            cast(Tensor, conv.bias).detach(),
            (1, along),
            (0, pad),
        )
        self.before = nn.Parameter(before.float(), requires_grad=False)
        self.after = nn.Parameter(after.float(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) float32 -> (H', B, W', O)."""
        flat, (batch, width) = x.flatten(1), x.shape[1:3]
        rows, columns = steps(len(x), self.kernel, self.step, self.pad), steps(width, *self.along)
        out = x.new_empty(rows, batch, columns, self.outputs)
        points = x.new_empty(len(self.before), self.step, flat.shape[1])
        # The even rows of the pictures, then the odd ones: those of one picture lie `batch` apart.
        pictures = points.view(len(points), 1, -1, *x.shape[2:]).permute(0, 1, 4, 2, 3)
        for top in range(0, rows, self.at_once):  # one by one, so that caches hold all of it
            for phase in range(self.step):
                self._weigh(flat, top * self.step + phase - self.pad, points[:, phase])
            found = [
                product(one, (batch, 1)).permute(0, 2, 3, 1)
                for product, one in zip(self.products, pictures, strict=True)
            ]
            part = out[top : top + self.at_once].flatten(1)
            torch.mm(self.after[: len(part)], torch.cat(found).flatten(1), out=part)
        return out

    def _weigh(self, flat: Tensor, top: int, out: Tensor) -> None:
        """The polynomial of the rows from `top` on, each `step` after the last, at every point."""
        end = top + len(self.before) * self.step
        skipped = sum(row < 0 for row in range(top, end, self.step))  # what is beyond the picture is zero
        rows = flat[top + skipped * self.step : end : self.step]
        torch.mm(self.before[:, skipped : skipped + len(rows)], rows, out=out)


class RowPool(nn.Module):
    """What `nn.MaxPool2d` computes, for pictures with their rows outermost: down, then along the rows."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.size, self.step, self.pad = map(_both, (pool.kernel_size, pool.stride, pool.padding))

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) -> (H', B, W', C)."""
        for place, dim in enumerate((0, 2)):
            x = largest(x, dim, self.size[place], self.step[place], self.pad[place])
        return x


def largest(x: Tensor, dim: int, size: int, step: int, pad: int = 0) -> Tensor:
    """Max pooling over one dimension. PyTorch's own also finds where the largest is, which takes long.

    Args:
        pad: how many places of nothing are added at both ends.
    """
    if pad:
        x = F.pad(x, (0, 0) * (x.ndim - 1 - dim) + (pad, pad), value=-torch.inf)
    return reduce(torch.maximum, x.unfold(dim, size, step).unbind(-1))


class Upright(nn.Module):
    """Layers as they are, for pictures with their rows outermost; in their own number format."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) -> (H', B, W', O)."""
        dtype = next(self.layers.parameters()).dtype
        out: Tensor = self.layers(x.permute(1, 3, 0, 2).to(dtype, memory_format=torch.channels_last))
        return out.permute(2, 0, 3, 1)


class WholeConv(nn.Module):
    """A convolution that sees all of a picture at once, (H, B, W, C): a matrix product."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        _check(conv)
        if _both(cast(Step, conv.padding)) != (0, 0):
            raise ValueError(f"{conv} cannot be worked out by rows as one product")
        weight, bias = conv.weight.detach().permute(0, 2, 3, 1).flatten(1), cast(Tensor, conv.bias).detach()
        self.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(H, B, W, C) -> (1, B, 1, O)."""
        return F.linear(x.transpose(0, 1).flatten(1), self.weight, self.bias)[None, :, None]


def by_rows(layers: nn.Sequential, rows: int) -> nn.Sequential:
    """The same layers for pictures with their rows outermost.

    Args:
        layers: convolutions, poolings, and what treats each number for itself.
        rows: that the pictures have.
    """
    out: list[nn.Module] = []
    for layer in layers.children():
        if isinstance(layer, nn.MaxPool2d):
            rows = _rows_after(layer, rows)
            out.append(RowPool(layer))
        elif isinstance(layer, nn.Conv2d):
            rows = _rows_after(layer, rows)
            out.append(_conv_by_rows(layer, rows))
        else:
            out.append(layer)
    return nn.Sequential(*out)


def _conv_by_rows(conv: nn.Conv2d, rows: int) -> nn.Module:
    if rows == 1:
        return WholeConv(conv)
    return Upright(conv) if conv.in_channels == 1 else RowConv(conv, rows)  # one channel is little to do


def transforms(outputs: int, taps: int) -> tuple[Doubles, Doubles, Doubles]:
    """What is done before and after the products: outputs are after @ ((slices @ w) * (before @ x)).

    The product of polynomials is found by their values at points; a filter is its transpose.

    Returns:
        before (P, P), slices (P, taps), after (outputs, P), with P = outputs + taps - 1 points.
    """
    count = outputs + taps - 1
    if count > len(POINTS) + 1:
        raise ValueError(f"{outputs} outputs of {taps} taps need more than {len(POINTS)} points")
    before = np.linalg.inv(_powers(count, count)).T
    return np.ascontiguousarray(before), _powers(count, taps), np.ascontiguousarray(_powers(count, outputs).T)


def _powers(points: int, count: int) -> Doubles:
    """(points, count): powers of each point, from the 0th; of infinity only the highest counts."""
    rows = np.vander(np.array(POINTS[: points - 1]), count, increasing=True)
    return np.vstack([rows, np.eye(count)[-1]])


def _check(conv: nn.Conv2d) -> None:
    plain = conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    if conv.bias is None or not plain or isinstance(conv.padding, str):
        raise ValueError(f"{conv} cannot be worked out by rows")


def _both(value: Step) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _rows_after(layer: nn.Conv2d | nn.MaxPool2d, rows: int) -> int:
    form = (layer.kernel_size, layer.stride, layer.padding)
    return steps(rows, *(_both(cast(Step, each))[0] for each in form))


def steps(side: int, size: int, step: int, pad: int = 0) -> int:
    """How often a filter, or a pooling, of this size fits along a side."""
    return (side + 2 * pad - size) // step + 1
