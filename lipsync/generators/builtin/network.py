"""The built-in model: voice to mouth shape, face to place, shape and face to picture.

    voice -> VoiceNet -> shape ----------------------+
    face crop -> PlaceNet -> where the mouth is,     |
                  where it rests, how it is turned --+--> outline in the picture
    face crop with the mouth hidden, the same crop as reference, outline -> Painter -> mouth

A shape is a few numbers: how the 49 points of `outline` differ from the person's closed mouth, in
three dimensions and in units of the distance between the eyes. The Painter first moves the pixels
of the reference by the movement of the outline, then corrects that movement, and for each pixel
chooses between what it moved and what it painted, which is how teeth come into a mouth that was
closed. Only a window around mouth and chin is drawn; the rest of the crop is given back unchanged.
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
    """What decides the form of the weights; kept in the header of the weights' file.

    Attributes:
        crop: pixels of a side of the face crop.
        top, left, height, width: the window of the crop that is drawn, pixels.
        shape_numbers: numbers that describe a mouth shape.
        voice_width: channels of the voice network.
        widths: channels of the Painter at 1/2, 1/4, 1/8 and 1/16 of the window.
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
    """One residual step of the voice network, looking `dilation` steps to either side."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.look = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout(F.gelu(self.look(F.gelu(_per_step(self.norm, x)))))
        out: Tensor = x + self.mix(y)
        return out


def _per_step(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Normalise each time step by itself, so that a clip's length changes nothing."""
    batch, channels, steps = x.shape
    flat: Tensor = norm(x.transpose(1, 2).reshape(batch * steps, channels))
    return flat.view(batch, steps, channels).transpose(1, 2)


class Audio2Shape(nn.Module):
    """Log-mel (B, mels, T) at 100 Hz to mouth shapes (B, shape_numbers, T/2) at 50 Hz.

    Sees 0.65 s to either side.
    """

    def __init__(self, mels: int, numbers: int, channels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.enter = nn.Conv1d(mels, channels, 5, stride=2, padding=2)
        self.steps = nn.Sequential(*(_Dilated(channels, d, dropout) for d in (1, 2, 4, 8, 16, 1)))
        self.leave = nn.Sequential(nn.GELU(), nn.Conv1d(channels, numbers, 3, padding=1))

    def forward(self, mel: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.leave(self.steps(self.enter(mel)))
        return out


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class MouthLocator(nn.Module):
    """Window (B, 3, height, width) in [0, 1] to where the mouth is, where it rests and how it is turned."""

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
        """Give now (B, 49, 2) and resting (B, 49, 2) in sides of the crop, and turn (B, 2, 3)."""
        seen = self.body((window - 0.5).to(_format(self.body)))
        out = self.head(seen.float())
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
    """Draws the window: a small U-Net at half resolution that corrects a flow and paints."""

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
        """Draw the mouth into the window.

        Args:
            window: (B, 3, h, w) in [0, 1]; what lies under the mask is not looked at.
            reference: (B, 3, h, w) in [0, 1], the same person, any mouth.
            now: (B, 49, 2) the mouth of the reference, in pixels of the window.
            target: (B, 49, 2) the mouth to draw.
            resting: (B, 49, 2) the closed mouth at the target's place; it places the mask.
            tone: (B, 2) how light the upper and the lower half of the inside are, see `interior_tone`; None
                guesses it. Without it nothing would say whether teeth or dark are to be seen,
                and the painter would learn the grey between them.

        Returns:
            (B, 3, h, w) in [0, 1], and "mask", "flow" (its correction), "choice" for the losses.
        """
        height, width = window.shape[-2:]
        mask = inpainting_mask(resting, height, width)
        guess = dense_flow(target, now, height, width)
        moved = warp(reference, guess)
        halves, halves_now = (
            render_interior_halves(target, height, width),
            render_interior_halves(now, height, width),
        )
        told = tone if tone is not None else self._guess_tone(reference, now, halves_now, mask)
        tones = (halves * told.view(-1, 2, 1, 1)).sum(1, keepdim=True)
        maps = [
            render_contours(target, height, width),
            halves.sum(1, keepdim=True),
            halves_now.sum(1, keepdim=True),
        ]
        seen = [window * (mask == 0), mask, moved, reference, *maps, tones]
        flow, colour, choice = self._look(torch.cat(seen, dim=1))
        moved = warp(reference, guess + flow)
        drawn = moved + (colour - moved) * choice
        if tone is None:
            drawn = refine_interior(
                drawn, moved, mask, halves, inner_lip_gap(now), inner_lip_gap(target), self.shade
            )
        return window + (drawn - window) * mask, {"mask": mask, "flow": flow, "choice": choice}

    def _guess_tone(self, reference: Tensor, now: Tensor, halves: Tensor, mask: Tensor) -> Tensor:
        """The tone of the reference as far as it is open, else the usual; (B, 2)."""
        seen = ((inner_lip_gap(now).view(-1, 1) - 2) / 5).clamp(0, 0.8)
        return self.usual_tone + (interior_tone(reference, halves, mask) - self.usual_tone) * seen

    def _look(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x0 = self.enter(F.pixel_unshuffle(seen, 2).to(_format(self.enter)))
        x1 = self.down1(x0)
        x2 = self.down2(x1)
        x3 = self.down3(x2)
        x2 = self.up2(torch.cat([_double(x3), x2], dim=1))
        x1 = self.up1(torch.cat([_double(x2), x1], dim=1))
        x0 = self.up0(torch.cat([_double(x1), x0], dim=1))
        painted = F.pixel_shuffle(self.paint(x0).float(), 2)
        flow = F.interpolate(
            self.flow(x0).float() * 4, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return flow, torch.sigmoid(painted[:, :3]), torch.sigmoid(painted[:, 3:] - 1)


def _format(module: nn.Module) -> torch.dtype:
    """The number format of a module's weights."""
    return next(module.parameters()).dtype


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """`picture` (B, C, h, w) read at each pixel's place plus `flow` (B, 2, h, w) pixels."""
    height, width = picture.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype).view(-1, 1)
    grid = torch.stack(
        [(x + flow[:, 0]) * (2 / (width - 1)) - 1, (y + flow[:, 1]) * (2 / (height - 1)) - 1], dim=3
    )
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=True)


class BuiltinNetwork(nn.Module):
    """The three networks and the meaning of a shape's numbers."""

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
        """Draw shapes (B, shape_numbers) into crops (B, 3, crop, crop) in [0, 1]; same form out."""
        c = self.config
        rows, columns = slice(c.top, c.top + c.height), slice(c.left, c.left + c.width)
        window = crops[:, :, rows, columns]
        now, resting, turn = self.place(window)
        moves = (shapes @ self.components).view(-1, POINTS, 3)
        target = resting + moves @ turn.mT
        corner = crops.new_tensor([c.left, c.top])
        now, resting, target = (points * c.crop - corner for points in (now, resting, target))
        drawn, _ = self.painter(window, window, now, target, resting)
        result = crops.clone()
        result[:, :, rows, columns] = drawn
        return result
