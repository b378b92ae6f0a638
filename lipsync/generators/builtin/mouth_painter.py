"""Painter of the mouth's interior: what no other pixel of the face can lend.

Lips and skin are moved pixels of the source. Teeth, tongue and dark behind closed lips are not there to be
moved; this network paints them in a box around the mouth, whose size follows the person's closed mouth:
teeth are equally large in it, whatever the face's size in the video.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.layers import UnshuffledConv, bn_relu, conv_bn_relu, dtype_of
from lipsync.generators.builtin.mouth_interior import limit_colors
from lipsync.generators.builtin.mouth_outline import (
    render_contours,
    render_inner_lips,
    render_interior,
    render_interior_halves,
)
from lipsync.generators.builtin.outline_points import LEFT_CORNER, OUTER, RIGHT_CORNER

GRID = (80, 112)
"""Height and width of the box in samples."""
_BOX_WIDTH = 1.4
"""Width of the box in widths of the closed mouth."""
_BOX_CENTRE = 0.12
"""Centre of the box below that of the closed mouth, in the same widths: the jaw opens downwards."""


def mouth_boxes(outline: Tensor, closed_outline: Tensor) -> Tensor:
    """Boxes around mouths; neither size nor place follows the opening.

    Args:
        outline: (B, 49, 2) of the mouth, whose corners place the box, in pixels.
        closed_outline: (B, 49, 2) of the same person's closed mouth, which gives its size.

    Returns:
        (B, 4) x and y of the top left corner, width and height.
    """
    outer = closed_outline[:, OUTER]
    across = (outer.amax(1) - outer.amin(1))[:, :1].clamp_min(1.0)
    size = torch.cat([across, across * (GRID[0] / GRID[1])], dim=1) * _BOX_WIDTH
    corners = (outline[:, LEFT_CORNER] + outline[:, RIGHT_CORNER]) / 2
    centre = corners + torch.cat([torch.zeros_like(across), across * _BOX_CENTRE], dim=1)
    return torch.cat([centre - size / 2, size], dim=1)


def to_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """Points (B, P, 2) in pixels, in samples of their box."""
    size = points.new_tensor([GRID[1], GRID[0]])
    return (points - boxes[:, None, :2]) / boxes[:, None, 2:] * size - 0.5


class MouthPainter(nn.Module):
    """Small U-Net that paints the interior of a mouth and how much of it shows.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the box.
    """

    INPUTS = 12

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        a, b, c = widths
        self.enter = nn.Sequential(bn_relu(UnshuffledConv(self.INPUTS, a)), conv_bn_relu(a, a))
        self.down1 = nn.Sequential(conv_bn_relu(a, b, 2), conv_bn_relu(b, b))
        self.down2 = nn.Sequential(conv_bn_relu(b, c, 2), conv_bn_relu(c, c), conv_bn_relu(c, c))
        self.up1 = nn.Sequential(conv_bn_relu(c + b, b), conv_bn_relu(b, b))
        self.up0 = nn.Sequential(conv_bn_relu(b + a, a), conv_bn_relu(a, a))
        self.paint = nn.Conv2d(a, 16, 3, 1, 1)

    def forward(
        self,
        moved: Tensor,
        reference: Tensor,
        target_outline: Tensor,
        reference_outline: Tensor,
        tone: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Paint the interior.

        Args:
            moved: (B, 3, 80, 112) RGB in [0, 1], the box of the frame with its lips moved.
            reference: (B, 3, 80, 112) RGB in [0, 1], the reference's own box: its teeth, if it shows any.
            target_outline, reference_outline: (B, 49, 2) in samples of their boxes.
            tone: (B, 2) brightness of the interior's halves, see `interior_tone`.

        Returns:
            Colours (B, 3, 80, 112) and their opacity (B, 1, 80, 112), both in [0, 1].
        """
        height, width = GRID
        halves = render_interior_halves(target_outline, height, width)
        tones = (halves * tone.view(-1, 2, 1, 1)).sum(1, keepdim=True)
        maps = [
            render_contours(target_outline, height, width),
            halves,
            tones,
            render_contours(reference_outline, height, width),
            render_interior(reference_outline, height, width),
        ]
        inputs = torch.cat([moved, reference, *maps], dim=1)
        painted = self._unet(inputs.to(dtype_of(self))).float()
        # Near the inner lips alone: skin and lips stay the source's own, and a closed mouth has its seam.
        near = render_inner_lips(target_outline, height, width)
        skin = (moved * (1 - near)).sum((2, 3), keepdim=True) / (1 - near).sum((2, 3), keepdim=True)
        color = limit_colors(torch.sigmoid(painted[:, :3]), skin)
        return color, torch.sigmoid(painted[:, 3:]) * near

    def _unet(self, inputs: Tensor) -> Tensor:
        x0 = self.enter(inputs)
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x1 = self.up1(torch.cat([_enlarge(x2), x1], dim=1))
        x0 = self.up0(torch.cat([_enlarge(x1), x0], dim=1))
        return F.pixel_shuffle(self.paint(x0), 2)


def _enlarge(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
