"""MouthLocator: position of the mouth and rotation of the head in a face crop."""

from __future__ import annotations

from torch import Tensor, nn

from lipsync.generators.builtin.layers import PiecewiseLinear, conv_bn_relu, dtype_of
from lipsync.generators.builtin.outline_points import POINTS


class MouthLocator(nn.Module):
    """Outlines of mouth and closed mouth, and the head's rotation, from a window.

    Args:
        height, width: of the window, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(3, 16, 2),
            conv_bn_relu(16, 32, 2),
            conv_bn_relu(32, 48),
            conv_bn_relu(48, 64, 2),
            conv_bn_relu(64, 64),
            conv_bn_relu(64, 96, 2),
            conv_bn_relu(96, 96),
        )
        cells = (height // 16) * (width // 16)
        self.head = nn.Sequential(
            nn.Flatten(),
            PiecewiseLinear(96 * cells, 192, pieces=24),
            nn.LayerNorm(192),
            nn.GELU(),
            PiecewiseLinear(192, POINTS * 4 + 6, pieces=12),
        )

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Locate the mouth.

        Args:
            window: (B, 3, height, width) RGB in [0, 1].

        Returns:
            The mouth's outline (B, 49, 2) and that of the closed mouth (B, 49, 2), in sides of the crop,
            and the projection (B, 2, 3) from the head's space to the image.
        """
        features = self.body((window - 0.5).to(dtype_of(self.body)))
        out = self.head(features.float())
        outline, closed_outline, rotation = out.split([POINTS * 2, POINTS * 2, 6], dim=1)
        return outline.view(-1, POINTS, 2), closed_outline.view(-1, POINTS, 2), rotation.view(-1, 2, 3)
