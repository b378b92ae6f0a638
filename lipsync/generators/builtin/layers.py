"""Building blocks that the built-in model's networks share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.utils.onednn_conv import PackedConv, can_pack
from lipsync.utils.winograd_conv import WinogradConv2d, suits_winograd

P = ParamSpec("P")


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch norm and ReLU; (B, inputs, H, W) -> (B, outputs, ...)."""
    return bn_relu(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))


def bn_relu(convolution: nn.Conv2d) -> nn.Sequential:
    """A convolution without bias, batch norm and ReLU."""
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


class UnshuffledConv(nn.Conv2d):
    """3 x 3 convolution over 2 x 2 groups of pixels as channels.

    The same sums as a convolution of `F.pixel_unshuffle(x, 2)`, whose parameters it has, but in one of
    6 x 6 with a stride of 2: rearranging the pixels takes longer than convolving them.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(4 * inputs, outputs, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/2, W/2), both even."""
        return F.conv2d(x, self._dense_weight(), self.bias, stride=2, padding=2)

    def as_conv(self) -> nn.Conv2d:
        """A plain convolution with a bias that does the same, of the parameters as they are now."""
        weight = self._dense_weight().detach()
        assert self.bias is not None
        conv = nn.Conv2d(
            weight.shape[1], self.out_channels, 6, 2, 2, device=weight.device, dtype=weight.dtype
        )
        conv.weight.data, conv.bias.data = weight, self.bias.detach()  # type: ignore[union-attr]
        return conv

    def _dense_weight(self) -> Tensor:
        """(outputs, inputs, 6, 6)"""
        parts = self.weight.view(self.out_channels, -1, 2, 2, 3, 3).permute(0, 1, 4, 2, 5, 3)
        return parts.reshape(self.out_channels, -1, 6, 6)


class PiecewiseLinear(nn.Linear):
    """Linear layer of many inputs that gives the same on any number of threads.

    Libraries cut a long sum where it suits their threads, and rounding then depends on these: frames would
    differ by a level or two. Here it is cut in the same pieces everywhere. Trained as a plain layer.

    Args:
        inputs, outputs: as of `nn.Linear`.
        pieces: divides the inputs.
    """

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__(inputs, outputs)
        self._pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        if self.training or x.device.type != "cpu":
            return super().forward(x)
        parts = x.view(len(x), self._pieces, self.in_features // self._pieces).transpose(0, 1)
        weights = self.weight.view(self.out_features, self._pieces, -1).permute(1, 2, 0)
        return torch.bmm(parts, weights).sum(0) + self.bias


def fold_batch_norms(network: nn.Module) -> None:
    """Fold batch norms into the convolutions before them, in place."""
    for module, convolution in _blocks(network):
        norm = module[1]
        if isinstance(norm, nn.BatchNorm2d):
            module[0], module[1] = torch.nn.utils.fuse_conv_bn_eval(convolution, norm), nn.Identity()


def pack_convolutions(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Pack convolutions with folded batch norms for the CPU, with their ReLU, in place.

    Nothing happens where `can_pack` does not allow it. The network can be neither moved nor saved afterwards.
    """
    if not can_pack(device, dtype):
        return
    for module, convolution in _blocks(network):
        relu = len(module) > 2
        plain = convolution.as_conv() if isinstance(convolution, UnshuffledConv) else convolution
        module[0] = WinogradConv2d(plain) if relu and suits_winograd(plain) else PackedConv(plain, relu=relu)
        if relu:
            module[2] = nn.Identity()


def _blocks(network: nn.Module) -> list[tuple[nn.Sequential, nn.Conv2d]]:
    """The `conv_bn_relu` of a network, with or without ReLU, each with its convolution."""
    return [
        (module, module[0])
        for module in network.modules()
        if isinstance(module, nn.Sequential)
        and len(module) in (2, 3)
        and isinstance(module[0], nn.Conv2d)
        and isinstance(module[1], nn.BatchNorm2d | nn.Identity)
    ]


def dtype_of(module: nn.Module) -> torch.dtype:
    """Dtype of a module's parameters."""
    return next(module.parameters()).dtype


def in_full_precision(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Switch autocast off within a function of tensors.

    Positions and blurs need more than the 8 bits of bfloat16 in mixed-precision training, whose casts
    reach every matrix product and convolution.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        first = args[0]
        assert isinstance(first, Tensor)
        with torch.autocast(first.device.type, enabled=False):
            return function(*args, **kwargs)

    return wrapped
