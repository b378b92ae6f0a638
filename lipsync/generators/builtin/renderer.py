"""Renderer: face crop and target outline to the crop with its mouth.

A U-Net looks at a window of fixed size. It warps the reference by the outline's movement, corrects that
flow, and predicts how colours change. Flow and change are enlarged and applied to the crop as it is in the
video, so that skin, beard and lips keep the source's pixels. `MouthPainter` adds what the reference lacks,
such as the teeth of a closed mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.layers import (
    UnshuffledConv,
    bn_relu,
    conv_bn_relu,
    dtype_of,
    in_full_precision,
)
from lipsync.generators.builtin.mouth_interior import (
    hidden_share,
    inner_lip_gap,
    interior_tone,
    least_choice,
    limit_colors,
    refine_interior,
)
from lipsync.generators.builtin.mouth_outline import (
    inpainting_mask,
    render_contours,
    render_inner_lips,
    render_interior_halves,
)
from lipsync.generators.builtin.mouth_painter import GRID, MouthPainter, mouth_boxes, to_boxes
from lipsync.generators.builtin.resampling import (
    Region,
    box_grid,
    region_grid,
    sample,
    sample_box,
    to_region,
)
from lipsync.generators.builtin.wide_mouths import closing_flow

_CHANGE_SIGMA = 1.8
"""Blur of the change of colour outside of the mouth's interior, pixels of the window: without it hair and
pores would fade, since the U-Net's painted image is as smooth as a mean."""
_INTERIOR_SIGMA = 0.6
"""Blur of the painted image inside the mouth, without which large faces would show the window's pixels."""


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)), inplace=True)


@dataclass(frozen=True)
class Outlines:
    """Mouth outlines, each (B, 49, 2) in pixels of the window.

    Attributes:
        reference: the mouth of the reference image.
        target: the mouth to render.
        closed: the closed mouth at the target's position; it places masks and boxes.
    """

    reference: Tensor
    target: Tensor
    closed: Tensor


@dataclass(frozen=True)
class WindowMaps:
    """What the U-Net makes of a window, at the window's own size.

    Attributes:
        mask: (B, 1, h, w) in [0, 1], the part of the face that is rendered.
        flow: (B, 2, h, w) backward flow into the reference, pixels.
        correction: (B, 2, h, w) the part of it that the U-Net adds to the outline's movement.
        moved: (B, 3, h, w) the reference warped by `flow`.
        rendered: (B, 3, h, w) `moved` with the painted image blended in.
        choice: (B, 1, h, w) in [0, 1], opacity of the painted image.
        inside: (B, 1, h, w) in [0, 1], the mouth's interior.
        revealed: (B, 1, h, w) in [0, 1], the same as far as the reference hides it; without a
            `MouthPainter` all of it.
        tone: (B, 2) brightness of the interior's halves.
    """

    mask: Tensor
    flow: Tensor
    correction: Tensor
    moved: Tensor
    rendered: Tensor
    choice: Tensor
    inside: Tensor
    revealed: Tensor
    tone: Tensor


class Renderer(nn.Module):
    """Mouth renderer: a U-Net for flow and colour, a painter of the interior.

    Args:
        widths: see `NetworkConfig`.
        mouth_widths: of `MouthPainter`; None leaves the interior to the U-Net, as the first generation did.
    """

    INPUTS = 14
    usual_tone: Tensor
    shade: Tensor

    def __init__(
        self, widths: tuple[int, int, int, int], mouth_widths: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__()
        a, b, c, d = widths
        self.register_buffer("usual_tone", torch.tensor([0.85, 0.42]))
        self.register_buffer("shade", torch.tensor([0.5, 0.6]))
        self.enter = bn_relu(UnshuffledConv(self.INPUTS, a))
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
        self.mouth = MouthPainter(mouth_widths) if mouth_widths else None

    def forward(
        self,
        window: Tensor,
        reference: Tensor,
        outlines: Outlines,
        tone: Tensor | None = None,
    ) -> WindowMaps:
        """Render the mouth into the window, at the window's size.

        Args:
            window: (B, 3, h, w) RGB in [0, 1]; what lies under the mask is ignored.
            reference: (B, 3, h, w) RGB in [0, 1], the same person, any mouth.
            outlines: of reference and target.
            tone: (B, 2) brightness of the interior's halves, see `interior_tone`; None estimates it.
                In training it is given: without it the network could not know whether teeth or dark
                are visible, and would learn the grey between them.
        """
        height, width = window.shape[-2:]
        mask = inpainting_mask(outlines.closed, height, width)
        coarse_flow, kept = closing_flow(outlines.target, outlines.reference, outlines.closed, height, width)
        halves = render_interior_halves(outlines.target, height, width)
        reference_halves = render_interior_halves(outlines.reference, height, width)
        gaps = inner_lip_gap(outlines.reference), inner_lip_gap(outlines.target)
        tone_is_given = tone is not None
        if tone is None:
            tone = self._estimate_tone(reference, outlines.reference, reference_halves, mask)
        maps = [
            render_contours(outlines.target, height, width),
            halves.sum(1, keepdim=True),
            reference_halves.sum(1, keepdim=True),
            (halves * tone.view(-1, 2, 1, 1)).sum(1, keepdim=True),
        ]
        inputs = [window * (mask == 0), mask, warp(reference, coarse_flow), reference, *maps]
        correction, color, choice = self._unet(torch.cat(inputs, dim=1))
        if kept is not None:
            correction, choice = correction * kept, choice * kept
        flow = coarse_flow + correction
        moved = warp(reference, flow)
        if self.mouth is not None and not tone_is_given:
            near = render_inner_lips(outlines.target, height, width)
            skin = (moved * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp_min(1)
            color = color + (limit_colors(color, skin) - color) * near
            choice = choice + (1 - choice) * halves.sum(1, keepdim=True).clamp(0, 1) * least_choice(*gaps)
        rendered = moved + (color - moved) * choice
        if self.mouth is None and not tone_is_given:
            rendered = refine_interior(rendered, moved, mask, halves, gaps, self.shade)
        inside = halves.sum(1, keepdim=True).clamp(0, 1)
        revealed = inside if self.mouth is None else inside * hidden_share(*gaps)
        return WindowMaps(mask, flow, correction, moved, rendered, choice, inside, revealed, tone)

    def compose(
        self, crops: Tensor, references: Tensor, maps: WindowMaps, outlines: Outlines, region: Region
    ) -> Tensor:
        """Apply the maps to crops at their own size.

        Args:
            crops: (B, 3, H, W) RGB in [0, 1], of any size.
            references: (B, 3, H, W), the crops of the reference images.
            maps, outlines: of the crops' windows.
            region: the window in the crops.

        Returns:
            (B, 3, h, w) RGB, the region of the crops with its mouths.
        """
        source = crops[:, :, region.rows, region.columns]
        at = region_grid(region, crops)
        enlarged = sample(torch.cat(self.applied_maps(maps), dim=1), at)
        flow, mask, hidden, added = torch.split(enlarged, [2, 1, 1, 3], dim=1)
        positions = to_region(at + flow.permute(0, 2, 3, 1), region) + _first_pixel(region, crops)
        result = sample(references, positions) * (1 - hidden) + added
        if self.mouth is not None:
            result = self._paint_interior(result, references, maps, outlines, region)
        composed: Tensor = source + (result - source) * mask
        return composed

    def applied_maps(self, maps: WindowMaps) -> tuple[Tensor, Tensor]:
        """What is enlarged and applied to a crop: moved pixels x (1 - hidden) + added, under the mask.

        Returns:
            (B, 4, h, w) flow in x and y, mask, and hidden; and the colours added, (B, 3, h, w).
        """
        change = blurred(maps.rendered - maps.moved, _CHANGE_SIGMA)
        # The interior as the U-Net rendered it: a blurred change would mix teeth, dark and the stretched lips
        # to a band of pink, and leave the detail of what is stretched.
        choice, interior = maps.choice, maps.rendered - maps.moved * (1 - maps.choice)
        if self.mouth is not None:
            choice, interior = torch.split(
                blurred(torch.cat([choice, interior], dim=1), _INTERIOR_SIGMA), [1, 3], dim=1
            )
        hidden = maps.revealed * choice
        change = change * (1 - maps.revealed) + interior * maps.revealed
        return torch.cat([maps.flow, maps.mask, hidden], dim=1), change

    def paint_boxes(self, moved: Tensor, references: Tensor, outlines: Outlines, tone: Tensor) -> Tensor:
        """Interior of mouths in the boxes of `interior_boxes`.

        Args:
            moved, references: (B, 3, 80, 112) RGB in [0, 1], the boxes of the moved and the reference image.
            outlines: in pixels of the window.
            tone: (B, 2) of `WindowMaps`.

        Returns:
            (B, 4, 80, 112) colours and opacity in [0, 1].
        """
        assert self.mouth is not None
        boxes, reference_boxes = interior_boxes(outlines)
        target_outline = to_boxes(outlines.target, boxes)
        reference_outline = to_boxes(outlines.reference, reference_boxes)
        return torch.cat(self.mouth(moved, references, target_outline, reference_outline, tone), dim=1)

    def _paint_interior(
        self, result: Tensor, references: Tensor, maps: WindowMaps, outlines: Outlines, region: Region
    ) -> Tensor:
        """`result` (B, 3, h, w), the region with its lips moved, with the interior painted."""
        boxes, reference_boxes = interior_boxes(outlines)
        moved = sample_box(result, to_region(box_grid(boxes, *GRID), region))
        positions = to_region(box_grid(reference_boxes, *GRID), region)
        reference = sample_box(references, positions + _first_pixel(region, references))
        painted = self.paint_boxes(moved, reference, outlines, maps.tone)
        return _paste(result, painted, boxes, region_grid(region, result))

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
        x0 = self.enter(inputs.to(dtype_of(self.enter)))
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


def interior_boxes(outlines: Outlines) -> tuple[Tensor, Tensor]:
    """Boxes (B, 4) around the target's and the reference's mouth, see `mouth_boxes`."""
    return (
        mouth_boxes(outlines.closed, outlines.closed),
        mouth_boxes(outlines.reference, outlines.closed),
    )


def _first_pixel(region: Region, like: Tensor) -> Tensor:
    return like.new_tensor([region.columns.start, region.rows.start])


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


@in_full_precision
def blurred(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, C, h, w), the edge repeated."""
    height, width = image.shape[2:]
    result: Tensor = _blur_matrix(height, sigma, image) @ image @ _blur_matrix(width, sigma, image).mT
    return result


def _blur_matrix(size: int, sigma: float, like: Tensor) -> Tensor:
    """The blur of a column of pixels as a matrix (size, size): for images this small the fastest way."""
    reach = int(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=like.device)
    kernel = torch.exp(-0.5 * (offsets.to(like.dtype) / sigma) ** 2)
    rows = torch.arange(size, device=like.device).view(-1, 1).expand(-1, len(offsets))
    columns = (rows + offsets).clamp(0, size - 1)
    weights = (kernel / kernel.sum()).expand(size, -1)
    return like.new_zeros(size, size).index_put((rows, columns), weights, accumulate=True)


def _paste(image: Tensor, painted: Tensor, boxes: Tensor, at: Tensor) -> Tensor:
    """Blend what was painted in boxes, (B, 4, 80, 112) colour and opacity, over (B, 3, h, w)."""
    size = boxes.new_tensor([GRID[1], GRID[0]])
    cells = (at - boxes[:, None, None, :2]) / boxes[:, None, None, 2:] * size - 0.5
    color, opacity = torch.split(sample(painted, cells, padding="zeros"), [3, 1], dim=1)
    # Colours fade to black outside of the box, where the opacity is 0 as well.
    pasted: Tensor = image + (color - image) * opacity
    return pasted


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Backward warp of `image` (B, C, h, w) by `flow` (B, 2, h, w), in pixels."""
    x = torch.arange(image.shape[3], device=flow.device, dtype=flow.dtype)
    y = torch.arange(image.shape[2], device=flow.device, dtype=flow.dtype).view(-1, 1)
    return sample(image, torch.stack([x + flow[:, 0], y + flow[:, 1]], dim=3))
