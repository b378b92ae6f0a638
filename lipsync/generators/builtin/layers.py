"""Building blocks that the built-in model's networks share."""

from __future__ import annotations

import torch
from torch import nn


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch norm and ReLU; (B, inputs, H, W) -> (B, outputs, ...)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def dtype_of(module: nn.Module) -> torch.dtype:
    """Dtype of a module's parameters."""
    return next(module.parameters()).dtype
