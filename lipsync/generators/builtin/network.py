"""Networks of the built-in model.

    audio -> Audio2Shape -> shape --------------------+
    face crop -> MouthLocator -> outline as it is,    |
                 outline at rest, rotation -----------+--> target outline
    crop with the mouth hidden, the same crop as reference, target outline -> Renderer -> mouth

A shape is a few coefficients: the deviation of the 49 points of `mouth_outline` from the person's closed
mouth, in three dimensions and in units of the distance between the eyes. The Renderer first warps the
reference by the outline's movement, then corrects that flow, and blends per pixel between what it warped
and what it painted, which is how teeth come into a mouth that was closed. Only a window around mouth and
chin is rendered; the rest of the crop is returned unchanged.

Attributes of the modules are keys of the weights' file.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.mouth_interior import inner_lip_gap, interior_tone, refine_interior
from lipsync.generators.builtin.mouth_outline import (
    POINTS,
    dense_flow,
    inpainting_mask,
    render_contours,
    render_interior_halves,
)


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture of the networks; stored in the header of the weights' file.

    Attributes:
        crop: side of the face crop, pixels.
        top, left, height, width: window of the crop that is rendered, pixels.
        mels: bands of the log-mel spectrogram.
        shape_numbers: coefficients of a mouth shape.
        voice_width: channels of Audio2Shape.
        widths: channels of the Renderer at 1/2, 1/4, 1/8 and 1/16 of the window.
    """

    crop: int = 128
    top: int = 48
    left: int = 8
    height: int = 80
    width: int = 112
    mels: int = 80
    shape_numbers: int = 10
    voice_width: int = 128
    widths: tuple[int, int, int, int] = (40, 72, 128, 160)


class _Dilated(nn.Module):
    """Residual block of Audio2Shape: a dilated convolution over time."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.look = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout(F.gelu(self.look(F.gelu(_normalize_steps(self.norm, x)))))
        out: Tensor = x + self.mix(y)
        return out


def _normalize_steps(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Normalises each time step of (B, C, T) by itself, whatever the clip's length."""
    batch, channels, steps = x.shape
    flat: Tensor = norm(x.transpose(1, 2).reshape(batch * steps, channels))
    return flat.view(batch, steps, channels).transpose(1, 2)


class Audio2Shape(nn.Module):
    """Log-mel spectrogram to mouth shapes; receptive field 0.65 s to either side.

    Args:
        mels: bands of the spectrogram.
        numbers: coefficients of a shape.
        channels: of the hidden layers.
        dropout: share of channels dropped in training.
    """

    def __init__(self, mels: int, numbers: int, channels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.enter = nn.Conv1d(mels, channels, 5, stride=2, padding=2)
        self.steps = nn.Sequential(*(_Dilated(channels, d, dropout) for d in (1, 2, 4, 8, 16, 1)))
        self.leave = nn.Sequential(nn.GELU(), nn.Conv1d(channels, numbers, 3, padding=1))

    def forward(self, mel: Tensor) -> Tensor:
        """(B, mels, T) at 100 Hz -> (B, numbers, T / 2) at 50 Hz."""
        out: Tensor = self.leave(self.steps(self.enter(mel)))
        return out


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class MouthLocator(nn.Module):
    """Locates the mouth, its resting outline and the head's rotation in the window.

    Args:
        height, width: of the window, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(_conv(3, 16, 2), _conv(16, 32, 2), _conv(32, 48), _conv(48, 64, 2), _conv(64, 64)),
            *(_conv(64, 96, 2), _conv(96, 96)),
        )
        cells = (height // 16) * (width // 16)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(96 * cells, 192),
            nn.LayerNorm(192),
            nn.GELU(),
            nn.Linear(192, POINTS * 4 + 6),
        )

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Locates the mouth.

        Args:
            window: (B, 3, height, width) RGB in [0, 1].

        Returns:
            The outline (B, 49, 2) and the resting outline (B, 49, 2), in sides of the crop, and the
            projection (B, 2, 3) from the head's space to the image.
        """
        features = self.body((window - 0.5).to(_dtype_of(self.body)))
        out = self.head(features.float())
        now, resting, turn = out.split([POINTS * 2, POINTS * 2, 6], dim=1)
        return now.view(-1, POINTS, 2), resting.view(-1, POINTS, 2), turn.view(-1, 2, 3)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
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
        self.enter = _conv(self.INPUTS * 4, a)
        self.down1 = nn.Sequential(_conv(a, b, 2), _conv(b, b))
        self.down2 = nn.Sequential(_conv(b, c, 2), _Residual(c))
        self.down3 = nn.Sequential(_conv(c, d, 2), _Residual(d))
        self.up2 = _conv(d + c, c)
        self.up1 = _conv(c + b, b)
        self.up0 = nn.Sequential(_conv(b + a, a), _conv(a, a))
        self.flow = nn.Conv2d(a, 2, 3, 1, 1)
        self.paint = nn.Conv2d(a, 16, 3, 1, 1)
        nn.init.zeros_(self.flow.weight)
        nn.init.zeros_(self.flow.bias)  # type: ignore[arg-type]

    def forward(
        self,
        window: Tensor,
        reference: Tensor,
        now: Tensor,
        target: Tensor,
        resting: Tensor,
        tone: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Renders the mouth into the window.

        Args:
            window: (B, 3, h, w) RGB in [0, 1]; what lies under the mask is ignored.
            reference: (B, 3, h, w) RGB in [0, 1], the same person, any mouth.
            now: (B, 49, 2) outline in the reference, in pixels of the window.
            target: (B, 49, 2) outline to render.
            resting: (B, 49, 2) resting outline at the target's position; it places the mask.
            tone: (B, 2) brightness of the interior's halves, see `interior_tone`; None estimates it.
                In training it is given: without it the network could not know whether teeth or dark
                are visible, and would learn the grey between them.

        Returns:
            (B, 3, h, w) RGB in [0, 1], and for the losses "mask", "flow" (its correction) and "choice"
            (1 where painted, 0 where warped).
        """
        height, width = window.shape[-2:]
        mask = inpainting_mask(resting, height, width)
        coarse_flow = dense_flow(target, now, height, width)
        warped = warp(reference, coarse_flow)
        halves = render_interior_halves(target, height, width)
        halves_now = render_interior_halves(now, height, width)
        known_tone = tone if tone is not None else self._estimate_tone(reference, now, halves_now, mask)
        tones = (halves * known_tone.view(-1, 2, 1, 1)).sum(1, keepdim=True)
        maps = [
            render_contours(target, height, width),
            halves.sum(1, keepdim=True),
            halves_now.sum(1, keepdim=True),
        ]
        inputs = [window * (mask == 0), mask, warped, reference, *maps, tones]
        flow, color, choice = self._unet(torch.cat(inputs, dim=1))
        warped = warp(reference, coarse_flow + flow)
        rendered = warped + (color - warped) * choice
        if tone is None:
            gaps = inner_lip_gap(now), inner_lip_gap(target)
            rendered = refine_interior(rendered, warped, mask, halves, gaps, self.shade)
        return window + (rendered - window) * mask, {"mask": mask, "flow": flow, "choice": choice}

    def _estimate_tone(self, reference: Tensor, now: Tensor, halves: Tensor, mask: Tensor) -> Tensor:
        """Tone of the reference as far as its mouth is open, else the usual one; (B, 2)."""
        weight = ((inner_lip_gap(now).view(-1, 1) - 2) / 5).clamp(0, 0.8)
        return self.usual_tone + (interior_tone(reference, halves, mask) - self.usual_tone) * weight

    def _unet(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """U-Net at half resolution.

        Args:
            inputs: (B, INPUTS, h, w).

        Returns:
            Flow correction (B, 2, h, w) in pixels, colour (B, 3, h, w) in [0, 1], and choice
            (B, 1, h, w) in [0, 1].
        """
        x0 = self.enter(F.pixel_unshuffle(inputs, 2).to(_dtype_of(self.enter)))
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


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


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


class BuiltinNetwork(nn.Module):
    """Audio2Shape, MouthLocator and Renderer, and the basis of mouth shapes.

    Attributes:
        config: see `NetworkConfig`.
        components: buffer (shape_numbers, 49 * 3), the basis of mouth shapes.
        gain: buffer (shape_numbers,), factors on Audio2Shape's output, see `lipsync.training`.
    """

    components: Tensor
    gain: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.voice = Audio2Shape(config.mels, config.shape_numbers, config.voice_width)
        self.place = MouthLocator(config.height, config.width)
        self.painter = Renderer(config.widths)
        self.register_buffer("components", torch.zeros(config.shape_numbers, POINTS * 3))
        self.register_buffer("gain", torch.ones(config.shape_numbers))

    def forward(self, crops: Tensor, shapes: Tensor) -> Tensor:
        """Renders mouth shapes into face crops.

        Args:
            crops: (B, 3, crop, crop) RGB in [0, 1].
            shapes: (B, shape_numbers), gain included.

        Returns:
            (B, 3, crop, crop) RGB in [0, 1].
        """
        c = self.config
        rows, columns = slice(c.top, c.top + c.height), slice(c.left, c.left + c.width)
        window = crops[:, :, rows, columns]
        now, resting, turn = self.place(window)
        offsets = (shapes @ self.components).view(-1, POINTS, 3)
        target = resting + offsets @ turn.mT
        corner = crops.new_tensor([c.left, c.top])
        now, resting, target = (points * c.crop - corner for points in (now, resting, target))
        rendered, _ = self.painter(window, window, now, target, resting)
        result = crops.clone()
        result[:, :, rows, columns] = rendered
        return result
