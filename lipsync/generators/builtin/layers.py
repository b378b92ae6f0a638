"""Building blocks that the built-in model's networks share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch
from torch import Tensor, nn

P = ParamSpec("P")


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch norm and ReLU; (B, inputs, H, W) -> (B, outputs, ...)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


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
