"""Renderer: face crop and target outline to the crop with its mouth.

It warps the reference by the outline's movement, corrects that flow, and blends the warped and the painted
image per pixel; the painted one adds what the reference lacks, such as the teeth of a closed mouth.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.layers import conv_bn_relu, dtype_of
from lipsync.generators.builtin.mouth_interior import inner_lip_gap, interior_tone, refine_interior
from lipsync.generators.builtin.mouth_outline import (
    dense_flow,
    inpainting_mask,
    render_contours,
    render_interior_halves,
)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)), inplace=True)


class Renderer(nn.Module):
    """Mouth renderer: a small U-Net that corrects a flow and paints.

    Args:
        widths: see `NetworkConfig`.
    """

    INPUTS = 14
    usual_tone: Tensor
    shade: Tensor

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        a, b, c, d = widths
        self.register_buffer("usual_tone", torch.tensor([0.65, 0.45]))
        self.register_buffer("shade", torch.tensor([0.5, 0.6]))
        self.enter = conv_bn_relu(self.INPUTS * 4, a)
        self.down1 = nn.Sequential(conv_bn_relu(a, b, 2), conv_bn_relu(b, b))
        self.down2 = nn.Sequential(conv_bn_relu(b, c, 2), _Residual(c))
        self.down3 = nn.Sequential(conv_bn_relu(c, d, 2), _Residual(d))
        self.up2 = conv_bn_relu(d + c, c)
        self.up1 = conv_bn_relu(c + b, b)
        self.up0 = nn.Sequential(conv_bn_relu(b + a, a), conv_bn_relu(a, a))
        self.flow = nn.Conv2d(a, 2, 3, 1, 1)
        self.paint = nn.Conv2d(a, 16, 3, 1, 1)
        nn.init.zeros_(self.flow.weight)
        nn.init.zeros_(self.flow.bias)  # type: ignore[arg-type]

    def forward(
        self,
        window: Tensor,
        reference: Tensor,
        reference_outline: Tensor,
        target_outline: Tensor,
        closed_outline: Tensor,
        tone: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Render the mouth into the window.

        Args:
            window: (B, 3, h, w) RGB in [0, 1]; what lies under the mask is ignored.
            reference: (B, 3, h, w) RGB in [0, 1], the same person, any mouth.
            reference_outline: (B, 49, 2) in the reference, in pixels of the window.
            target_outline: (B, 49, 2) to render.
            closed_outline: (B, 49, 2) of the closed mouth at the target's position; it places the mask.
            tone: (B, 2) brightness of the interior's halves, see `interior_tone`; None estimates it.
                In training it is given: without it the network could not know whether teeth or dark
                are visible, and would learn the grey between them.

        Returns:
            (B, 3, h, w) RGB in [0, 1], and for the losses "mask", "flow" (its correction) and "choice"
            (1 where painted, 0 where warped).
        """
        height, width = window.shape[-2:]
        mask = inpainting_mask(closed_outline, height, width)
        coarse_flow = dense_flow(target_outline, reference_outline, height, width)
        warped = warp(reference, coarse_flow)
        halves = render_interior_halves(target_outline, height, width)
        reference_halves = render_interior_halves(reference_outline, height, width)
        tone_is_given = tone is not None
        if tone is None:
            tone = self._estimate_tone(reference, reference_outline, reference_halves, mask)
        tones = (halves * tone.view(-1, 2, 1, 1)).sum(1, keepdim=True)
        maps = [
            render_contours(target_outline, height, width),
            halves.sum(1, keepdim=True),
            reference_halves.sum(1, keepdim=True),
        ]
        inputs = [window * (mask == 0), mask, warped, reference, *maps, tones]
        flow, color, choice = self._unet(torch.cat(inputs, dim=1))
        warped = warp(reference, coarse_flow + flow)
        rendered = warped + (color - warped) * choice
        if not tone_is_given:
            gaps = inner_lip_gap(reference_outline), inner_lip_gap(target_outline)
            rendered = refine_interior(rendered, warped, mask, halves, gaps, self.shade)
        return window + (rendered - window) * mask, {"mask": mask, "flow": flow, "choice": choice}

    def _estimate_tone(
        self, reference: Tensor, reference_outline: Tensor, halves: Tensor, mask: Tensor
    ) -> Tensor:
        """Tone of the reference as far as its mouth is open, else the usual one; (B, 2)."""
        weight = ((inner_lip_gap(reference_outline).view(-1, 1) - 2) / 5).clamp(0, 0.8)
        return self.usual_tone + (interior_tone(reference, halves, mask) - self.usual_tone) * weight

    def _unet(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """U-Net at half resolution.

        Args:
            inputs: (B, INPUTS, h, w).

        Returns:
            Flow correction (B, 2, h, w) in pixels, colour (B, 3, h, w) in [0, 1], and choice
            (B, 1, h, w) in [0, 1].
        """
        x0 = self.enter(F.pixel_unshuffle(inputs, 2).to(dtype_of(self.enter)))
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x3 = self.down3(x2)
        x2 = self.up2(torch.cat([_upsample(x3), x2], dim=1))
        x1 = self.up1(torch.cat([_upsample(x2), x1], dim=1))
        x0 = self.up0(torch.cat([_upsample(x1), x0], dim=1))
        painted = F.pixel_shuffle(self.paint(x0).float(), 2)
        flow = F.interpolate(
            self.flow(x0).float() * 4, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return flow, torch.sigmoid(painted[:, :3]), torch.sigmoid(painted[:, 3:] - 1)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Backward warp of `image` (B, C, h, w) by `flow` (B, 2, h, w), in pixels."""
    height, width = image.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype).view(-1, 1)
    grid = torch.stack(
        [(x + flow[:, 0]) * (2 / (width - 1)) - 1, (y + flow[:, 1]) * (2 / (height - 1)) - 1], dim=3
    )
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
