"""SyncNet's first convolution over overlapping windows (Winograd in time).

Consecutive windows share all frames but one, yet no product: each frame meets each temporal slice of the
weights once. Multiplications are saved by the algorithm of `winograd.py` over time: for eight windows of five
frames, twelve convolutions of one frame replace forty.

Speed on one core of an EPYC: SyncNet's first layer with its pooling takes 5 ms a window instead
of 13; for the whole SyncNet see `syncnet.py`. With it and `winograd.py`, LSE of clips that one face fills
takes about a quarter of the reference script's time (`benchmarks/lse.py`, two cores).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from lipsync.sync_score.winograd import conv_length, max_pool, point_convs, transforms

WINDOWS_PER_BLOCK = 8
"""Windows computed together; with five frames that uses all points of `winograd.py`."""
_ROWS_PER_TILE = 6
"""Rows after pooling; before it, 12 images of 12 x 109 with 96 channels are 6 MB, which the caches hold."""


class WindowConv(nn.Module):
    """Convolution over windows of frames, and the max pooling after it.

    float32, for inference. Equal to `nn.Conv2d` on the stacked windows within 2e-5 of the largest output.

    Args:
        conv: without padding, with a bias; its input channels are the first colour of all frames of a window,
            then the second, and so on.
        pool: square, without padding; `kernel_size` and `stride` are single numbers.
        frames: frames of a window, 1, 3 or 5; an even number would leave a point without its opposite.

    Raises:
        ValueError: layers of another form.
    """

    def __init__(self, conv: nn.Conv2d, pool: nn.MaxPool2d, frames: int) -> None:
        super().__init__()
        if conv.bias is None or conv.padding != (0, 0) or pool.padding != 0 or frames % 2 == 0:
            raise ValueError(f"{conv} over {frames} frames cannot be computed by windows")
        self.frames, self.kernel, self.stride = frames, conv.kernel_size[0], conv.stride[0]
        self.pool_kernel, self.pool_stride = cast(int, pool.kernel_size), cast(int, pool.stride)
        self.outputs = conv.out_channels
        input_transform, filter_transform, output_transform = (
            torch.from_numpy(matrix) for matrix in transforms(WINDOWS_PER_BLOCK, frames)
        )
        weight = conv.weight.detach().double()
        by_frame = weight.view(len(weight), -1, frames, *conv.kernel_size)
        weights = torch.einsum("pt,octhw->pochw", filter_transform, by_frame)
        self.convs = point_convs(weights, conv.bias.detach(), self.stride)
        self.input_transform = nn.Parameter(input_transform.float(), requires_grad=False)
        positive = slice(1, None, 2)  # and infinity
        evens = torch.cat([output_transform[::2, :1], output_transform[::2, positive][:, :-1]], dim=1)
        self.even_transform = nn.Parameter(evens.float(), requires_grad=False)
        self.odd_transform = nn.Parameter(output_transform[1::2, positive].float(), requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        """All windows of consecutive frames, (T, H, W, C) -> (H', T - frames + 1, W', outputs)."""
        count = len(frames) - self.frames + 1
        rows, columns = (
            conv_length(conv_length(side, self.kernel, self.stride), self.pool_kernel, self.pool_stride)
            for side in frames.shape[1:3]
        )
        out = torch.empty(rows, count, columns, self.outputs, device=self.input_transform.device)
        for first in range(0, count, WINDOWS_PER_BLOCK):
            self._convolve_block(
                frames[first : first + len(self.input_transform)],
                out[:, first : first + WINDOWS_PER_BLOCK].transpose(0, 1),
            )
        return out

    def _convolve_block(self, frames: Tensor, out: Tensor) -> None:
        """(P, H, W, C) -> (T, H', W', outputs), a few rows at a time; overlapping pools share rows."""
        width = conv_length(frames.shape[2], self.kernel, self.stride)
        most = (min(_ROWS_PER_TILE, out.shape[1]) - 1) * self.pool_stride + self.pool_kernel
        buffer = out.new_empty(WINDOWS_PER_BLOCK, most, width, self.outputs)
        done, kept = 0, 0  # rows of the convolution: next one to compute, and those kept in the buffer
        for top in range(0, out.shape[1], _ROWS_PER_TILE):
            bottom = min(top + _ROWS_PER_TILE, out.shape[1])
            end = (bottom - 1) * self.pool_stride + self.pool_kernel
            part = buffer[:, : end - top * self.pool_stride]
            needed = frames[:, done * self.stride : (end - 1) * self.stride + self.kernel].float()
            points = self.input_transform[:, : len(frames)] @ needed.flatten(1)  # absent frames are black
            points = points.view(-1, *needed.shape[1:]).permute(0, 3, 1, 2)
            self._convolve(points, part[:, kept:])
            pooled = max_pool(part[: len(out)], 1, self.pool_kernel, self.pool_stride)
            out[:, top:bottom] = max_pool(pooled, 2, self.pool_kernel, self.pool_stride)
            done, kept = max(end, bottom * self.pool_stride), max(0, end - bottom * self.pool_stride)
            buffer[:, :kept] = part[:, part.shape[1] - kept :].clone()

    def _convolve(self, points: Tensor, out: Tensor) -> None:
        """(P, C, H, W) -> (`WINDOWS_PER_BLOCK`, H', W', outputs).

        Points other than 0 and infinity come in pairs x, -x: their factors are equal in even outputs and
        opposite in odd ones. So even outputs are combined from sums of each pair, odd ones from differences.
        """
        zero, *pairs, infinity = (
            conv(image[None]).permute(0, 2, 3, 1).flatten()
            for conv, image in zip(self.convs, points, strict=True)
        )
        sums, differences = zero.new_empty(2, len(pairs) // 2 + 1, len(zero))
        sums[0], differences[-1] = zero, infinity
        for index, (positive, negative) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
            torch.add(positive, negative, out=sums[index + 1])
            torch.sub(positive, negative, out=differences[index])
        torch.mm(self.even_transform, sums, out=out[::2].flatten(1))
        torch.mm(self.odd_transform, differences, out=out[1::2].flatten(1))
