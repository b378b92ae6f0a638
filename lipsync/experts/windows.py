"""The first layer of a network that looks at windows of frames, for many windows in a row at once.

Windows that follow each other share all frames but one, yet no product is shared: each frame meets each
slice of the weights once. What can be saved are multiplications, by the algorithm of Toom and Cook for
products of polynomials, turned round, as Winograd describes it: "Arithmetic Complexity of Computations",
1980; Lavin and Gray, CVPR 2016, arXiv 1509.09308. For four windows of five frames, eight convolutions
of one frame do the work of twenty. For SyncNet's first layer, with its pooling, that is 6 ms a window on
a core of an EPYC instead of 13; the next layers gain nothing, tried along the rows of the picture, since
there as much time goes into the sums before and after.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

_TOGETHER = 4
"""Windows that are worked out together: with more the numbers grow, and rounding with them."""
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Where polynomials are evaluated, besides at infinity; 1 is among them, for the bias."""
_ROWS_AT_A_TIME = 9
"""Rows after pooling: before it, 8 pictures of 19 x 109 with 96 channels are 6 MB, which caches hold."""
Doubles = npt.NDArray[np.float64]


class WindowConv(nn.Module):
    """A convolution over windows of frames with the pooling after it; only without padding, in float32.

    The figures are those of `nn.Conv2d` on the windows, to about one part in 10^5 of the largest.

    Args:
        conv: whose inputs are the frames of a window: those of the first colour, then of the next, ...
        pool: square, without padding; `kernel_size` and `stride` are single numbers.
        frames: of a window; with `_POINTS` they must be 5.
    """

    def __init__(self, conv: nn.Conv2d, pool: nn.MaxPool2d, frames: int) -> None:
        super().__init__()
        weight, bias = conv.weight.detach().double(), conv.bias
        if bias is None or conv.padding != (0, 0) or frames + _TOGETHER - 1 != len(_POINTS) + 1:
            raise ValueError(f"{conv} over {frames} frames cannot be worked out like that")
        self.frames, self.kernel, self.stride, self.pool = frames, conv.kernel_size[0], conv.stride[0], pool
        before, slices, after = (torch.from_numpy(matrix) for matrix in transforms(frames))
        outputs, inputs, *sides = weight.shape
        by_frame = weight.view(outputs, inputs // frames, frames, *sides)
        biases = torch.zeros(len(slices), outputs)
        biases[_POINTS.index(1.0)] = bias.detach()  # the point that goes into each window as it is
        self.weights = nn.ParameterList(
            nn.Parameter(one.float().contiguous(memory_format=torch.channels_last), requires_grad=False)
            for one in torch.einsum("pt,octhw->pochw", slices, by_frame)
        )
        self.biases = nn.Parameter(biases, requires_grad=False)
        self.before = nn.Parameter(before.float(), requires_grad=False)
        self.after = nn.Parameter(after.float(), requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Every window in a row, (T, H, W, C) -> (T - frames + 1, outputs, H', W'), channels last."""
        count = len(frames) - self.frames + 1
        size, step = cast(int, self.pool.kernel_size), cast(int, self.pool.stride)
        rows, columns = (
            ((side - self.kernel) // self.stride + 1 - size) // step + 1 for side in frames.shape[1:3]
        )
        room = -(-count // _TOGETHER) * _TOGETHER
        found = torch.empty(room, rows, columns, self.biases.shape[1], device=self.biases.device)
        for first in range(0, room, _TOGETHER):
            seen = frames[first : first + len(self.before)].float()
            points = self.before[:, : len(seen)] @ seen.flatten(1)  # what is missing counts as black
            points = points.view(-1, *seen.shape[1:]).permute(0, 3, 1, 2)
            for top in range(0, rows, _ROWS_AT_A_TIME):
                bottom = min(top + _ROWS_AT_A_TIME, rows)
                end = ((bottom - 1) * step + size - 1) * self.stride + self.kernel
                part = self._convolve(points[:, :, top * step * self.stride : end])
                found[first : first + _TOGETHER, top:bottom] = self.pool(part).permute(0, 2, 3, 1)
        return found[:count].permute(0, 3, 1, 2)

    def _convolve(self, points: Tensor) -> Tensor:
        """(P, C, H, W) -> (`_TOGETHER`, outputs, H', W'), channels last."""
        maps = [
            F.conv2d(one[None], weight, bias, self.stride).permute(0, 2, 3, 1)
            for one, weight, bias in zip(points, self.weights, self.biases, strict=True)
        ]
        flat = torch.cat([one.flatten(1) for one in maps])
        return (self.after @ flat).view(-1, *maps[0].shape[1:]).permute(0, 3, 1, 2)


def transforms(frames: int) -> tuple[Doubles, Doubles, Doubles]:
    """What is done before and after the products: outputs are after @ ((slices @ w) * (before @ x)).

    The product of polynomials is found by their values at points; a filter is its transpose.

    Returns:
        before (P, P), slices (P, frames), after (`_TOGETHER`, P), with P points.
    """
    before = np.linalg.inv(_powers(len(_POINTS) + 1)).T
    return np.ascontiguousarray(before), _powers(frames), _powers(_TOGETHER).T


def _powers(count: int) -> Doubles:
    """(P, count): powers of each point, from the 0th; of infinity only the highest counts."""
    rows = np.vander(np.array(_POINTS, np.float64), count, increasing=True)
    return np.vstack([rows, np.eye(count)[-1]]).astype(np.float64)
