"""Convolution block of Wav2Lip's generator and sync expert.

Prajwal et al., ACM MM 2020, arXiv 2008.10010; module names are those of the official checkpoints.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import nn

Step: TypeAlias = int | tuple[int, int]
"""Kernel size or stride: one number, or (vertical, horizontal)."""


class ConvBlock(nn.Module):
    """Convolution, batch normalisation and ReLU.

    Args:
        c_in, c_out: channels.
        kernel, stride, padding: of the convolution.
        residual: add the input before the ReLU.
        upsample: a transposed convolution.
        output_padding: of the transposed convolution.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Step,
        stride: Step = 1,
        padding: int = 0,
        *,
        residual: bool = False,
        upsample: bool = False,
        output_padding: int = 0,
    ) -> None:
        super().__init__()
        conv: nn.Module
        if upsample:
            conv = nn.ConvTranspose2d(c_in, c_out, kernel, stride, padding, output_padding)
        else:
            conv = nn.Conv2d(c_in, c_out, kernel, stride, padding)
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(c_out))
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, c_in, H, W) -> (B, c_out, H', W')."""
        out = self.conv_block(x)
        return torch.relu(out + x if self.residual else out)


def conv_blocks(
    c_in: int, c_out: int, kernel: Step = 3, stride: Step = 1, padding: int = 1, residual: int = 0
) -> list[nn.Module]:
    """A block, followed by `residual` residual 3x3 blocks of `c_out` channels."""
    blocks: list[nn.Module] = [ConvBlock(c_in, c_out, kernel, stride, padding)]
    return blocks + [ConvBlock(c_out, c_out, 3, 1, 1, residual=True) for _ in range(residual)]
