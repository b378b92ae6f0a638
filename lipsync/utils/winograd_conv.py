"""3 x 3 convolutions in float32 on a CPU by Winograd's F(4 x 4, 3 x 3).

Winograd, "Arithmetic Complexity of Computations", SIAM 1980; Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016, arXiv 1509.09308. A tile of 4 x 4 outputs takes 36 products instead
of 144: a matrix product for each of the 36 points, between transforms that numba compiles
(`winograd_kernels`). oneDNN, OpenVINO and onnxruntime have no such convolution for CPUs.

On one core of a Xeon held to AVX2, Wav2Lip's layers of 64 to 384 channels take 0.36 to 0.5 of oneDNN's time,
with AVX-512 0.4 to 0.85; results agree within 1e-5 of the largest. Few pixels with many channels are left to
oneDNN: the filters take four times the memory, and are read once for each batch.

So are transposed convolutions of stride 2. Cut into their four phases, F(4, 2) takes 81 products for a tile
of 4 x 4 inputs instead of 144. Held to AVX2 these took 0.48 to 0.73 of oneDNN's time for Wav2Lip's last three
layers, twice its time for the smaller images before, and there are five transformed numbers for each input:
with transforms as fast as those here the network would gain 2 %.
"""

from __future__ import annotations

import platform
from threading import Lock
from types import ModuleType
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.utils.onednn_conv import PackedConv

_X86 = ("x86_64", "AMD64")
_FEWEST_CHANNELS = 32
"""A block of `winograd_kernels`. With fewer the transforms take as long as the products save."""
_SHORTEST_SIDE = 10
"""Pixels. Of smaller images too few tiles share the filters."""
_BLOCK_NUMBERS = 18432
"""Tiles times channels that are transformed at once: 2.6 MB, for the second or third cache."""
_FILTER_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""G of Lavin and Gray, section 4.3, for the points 0, 1, -1, 2, -2 and infinity."""


def suits_winograd(conv: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether `WinogradConv2d` is faster here for this layer and large enough images."""
    return (
        platform.machine() in _X86
        and isinstance(conv, nn.Conv2d)
        and conv.weight.dtype == torch.float32
        and (conv.kernel_size, conv.stride, conv.padding, conv.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and conv.bias is not None
        and min(conv.in_channels, conv.out_channels) >= _FEWEST_CHANNELS
        and _kernels() is not None
    )


class WinogradConv2d(nn.Module):
    """3 x 3 convolution with ReLU for inference, float32 on a CPU.

    Small images are left to `PackedConv`. Only where `can_pack` and `suits_winograd` allow it. May be called
    from several threads.

    Args:
        conv: the layer.
        residual: add the input, which must have the output's shape, before the ReLU.
    """

    def __init__(self, conv: nn.Conv2d, *, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.packed = PackedConv(conv, residual=residual)
        self._filters: Tensor | None = None  # neither parameter nor buffer, as in PackedConv
        self._lock = Lock()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), channels last in memory."""
        batch, inputs, height, width = x.shape
        kernels = _kernels()
        if kernels is None or min(height, width) < _SHORTEST_SIDE:
            small: Tensor = self.packed(x)
            return small
        filters = self._transformed_filters()
        outputs = filters.shape[2]
        source = x.permute(0, 2, 3, 1).reshape(-1).numpy()
        out = torch.empty((batch, outputs, height, width), memory_format=torch.channels_last)
        target = out.permute(0, 2, 3, 1).view(-1).numpy()
        tiles = batch * -(-height // 4) * -(-width // 4)
        step = min(tiles, _BLOCK_NUMBERS // max(inputs, outputs))
        transformed, products = torch.empty(36, step * inputs), torch.empty(36, step * outputs)
        size = np.uint64(height), np.uint64(width)
        for first in range(0, tiles, step):
            count = min(step, tiles - first)
            part = np.uint64(first), np.uint64(first + count)
            given = transformed.view(-1)[: 36 * count * inputs]
            found = products.view(-1)[: 36 * count * outputs]
            kernels.transform_input(source, given.numpy(), *size, np.uint64(inputs), *part)
            torch.bmm(given.view(36, count, inputs), filters, out=found.view(36, count, outputs))
            kernels.transform_output(
                found.numpy(),
                target,
                source if self.residual else None,
                self.packed.bias.numpy(),
                *size,
                np.uint64(outputs),
                *part,
            )
        return out

    def _transformed_filters(self) -> Tensor:
        """The filters, transformed when they are first needed; other threads wait for that."""
        with self._lock:
            if self._filters is None:
                self._filters = transform_filters(self.packed.plain_weight())
            return self._filters


def transform_filters(weight: Tensor) -> Tensor:
    """Filters (O, C, 3, 3) at the 36 points, (36, C, O): G g G^T, in the order of `winograd_kernels`."""
    transform = torch.tensor(_FILTER_TRANSFORM, dtype=torch.float64)
    both = torch.kron(transform, transform).float()
    outputs, inputs = weight.shape[:2]
    taps = weight.permute(2, 3, 1, 0).reshape(9, inputs * outputs)
    return (both @ taps).view(36, inputs, outputs)


def _kernels() -> ModuleType | None:
    """The compiled transforms; imported late, since they bring numba. None where numba does not run."""
    try:
        from lipsync.utils import winograd_kernels
    except ImportError:  # also of a numba that does not know the installed NumPy
        return None
    return winograd_kernels
