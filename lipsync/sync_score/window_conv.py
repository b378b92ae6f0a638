"""The first layer of a network that looks at windows of frames, for many windows in a row at once.

Windows that follow each other share all frames but one, yet no product is shared: each frame meets each
slice of the weights once. What can be saved are multiplications, by the algorithm of `winograd.py`, here
over time: for eight windows of five frames, twelve convolutions of one frame do the work of forty. For
SyncNet's first layer, with its pooling, that is 5 ms a window on a core of an EPYC instead of 13.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from lipsync.sync_score.winograd import largest, products, steps, transforms

TOGETHER = 8
"""Windows that are worked out together; with five frames, all points of `winograd.py` are used."""
_ROWS_AT_A_TIME = 6
"""Rows after pooling: before it, 12 pictures of 12 x 109 with 96 channels are 6 MB, which caches hold."""


class WindowConv(nn.Module):
    """A convolution over windows of frames with the pooling after it; only without padding, in float32.

    The figures are those of `nn.Conv2d` on the windows, to about two parts in 10^5 of the largest.

    Args:
        conv: whose inputs are the frames of a window: those of the first colour, then of the next, ...
        pool: square, without padding; `kernel_size` and `stride` are single numbers.
        frames: of a window, 1, 3 or 5; with others the points would not come in pairs.
    """

    def __init__(self, conv: nn.Conv2d, pool: nn.MaxPool2d, frames: int) -> None:
        super().__init__()
        if conv.bias is None or conv.padding != (0, 0) or pool.padding != 0 or frames % 2 == 0:
            raise ValueError(f"{conv} over {frames} frames cannot be worked out like that")
        self.frames, self.kernel, self.stride = frames, conv.kernel_size[0], conv.stride[0]
        self.size, self.step = cast(int, pool.kernel_size), cast(int, pool.stride)
        self.outputs = conv.out_channels
        before, slices, after = (torch.from_numpy(matrix) for matrix in transforms(TOGETHER, frames))
        weight = conv.weight.detach().double()
        by_frame = weight.view(len(weight), -1, frames, *conv.kernel_size)
        weights = torch.einsum("pt,octhw->pochw", slices, by_frame)
        self.products = products(weights, conv.bias.detach(), self.stride)
        self.before = nn.Parameter(before.float(), requires_grad=False)
        positive = slice(1, None, 2)  # and infinity
        evens = torch.cat([after[::2, :1], after[::2, positive][:, :-1]], dim=1)
        self.evens = nn.Parameter(evens.float(), requires_grad=False)
        self.odds = nn.Parameter(after[1::2, positive].float(), requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Every window in a row, (T, H, W, C) -> (H', T - frames + 1, W', outputs)."""
        count = len(frames) - self.frames + 1
        rows, columns = (
            steps(steps(side, self.kernel, self.stride), self.size, self.step) for side in frames.shape[1:3]
        )
        found = torch.empty(rows, count, columns, self.outputs, device=self.before.device)
        for first in range(0, count, TOGETHER):
            self._look(
                frames[first : first + len(self.before)],
                found[:, first : first + TOGETHER].transpose(0, 1),
            )
        return found

    def _look(self, frames: Tensor, found: Tensor) -> None:
        """(P, H, W, C) -> (T, H', W', outputs), a few rows at a time; pooling needs some of them twice."""
        width = steps(frames.shape[2], self.kernel, self.stride)
        most = (min(_ROWS_AT_A_TIME, found.shape[1]) - 1) * self.step + self.size
        held = found.new_empty(TOGETHER, most, width, self.outputs)
        done, kept = 0, 0
        for top in range(0, found.shape[1], _ROWS_AT_A_TIME):
            bottom = min(top + _ROWS_AT_A_TIME, found.shape[1])
            end = (bottom - 1) * self.step + self.size
            part = held[:, : end - top * self.step]
            needed = frames[:, done * self.stride : (end - 1) * self.stride + self.kernel].float()
            points = self.before[:, : len(frames)] @ needed.flatten(1)  # what is missing counts as black
            points = points.view(-1, *needed.shape[1:]).permute(0, 3, 1, 2)
            self._convolve(points, part[:, kept:])
            down = largest(part[: len(found)], 1, self.size, self.step)
            found[:, top:bottom] = largest(down, 2, self.size, self.step)
            done, kept = max(end, bottom * self.step), max(0, end - bottom * self.step)
            held[:, :kept] = part[:, part.shape[1] - kept :].clone()

    def _convolve(self, points: Tensor, out: Tensor) -> None:
        """(P, C, H, W) -> (`TOGETHER`, H', W', outputs).

        Points but 0 and infinity come in pairs, x and -x, which weigh the same in outputs of even number,
        and in the others the same but for the sign; so half the sum is made of sums, half of differences.
        """
        zero, *pairs, infinity = (
            product(one[None]).permute(0, 2, 3, 1).flatten()
            for product, one in zip(self.products, points, strict=True)
        )
        sums, differences = zero.new_empty(2, len(pairs) // 2 + 1, len(zero))
        sums[0], differences[-1] = zero, infinity
        for at, (one, opposite) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
            torch.add(one, opposite, out=sums[at + 1])
            torch.sub(one, opposite, out=differences[at])
        torch.mm(self.evens, sums, out=out[::2].flatten(1))
        torch.mm(self.odds, differences, out=out[1::2].flatten(1))
