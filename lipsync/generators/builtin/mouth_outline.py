"""The mouth as points, and how points become pictures: lines, fillings and flows.

A mouth is 49 points: 20 of the outer lip line, 20 of the inner one, 9 along the chin. Both lip
rings start at the corner on the left of the picture and run along the lower lip first. Everything
here is a sum of soft dots. A soft dot is the product of a bump along x and a bump along y, so that
any number of them is drawn by one matrix product, on any device, with gradients.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

OUTER = slice(0, 20)
INNER = slice(20, 40)
CHIN = slice(40, 49)
POINTS = 49

LEFT_CORNER, RIGHT_CORNER = 20, 30
UPPER_INNER, LOWER_INNER = 35, 25
"""Indices of the corners of the inner lip line and of its middle points."""


def opening(points: Tensor) -> Tensor:
    """How far the lips are apart over how wide the mouth is; points (..., 49, 2 or 3) -> (...)."""
    gap = (points[..., LOWER_INNER, :] - points[..., UPPER_INNER, :]).norm(dim=-1)
    width = (points[..., RIGHT_CORNER, :] - points[..., LEFT_CORNER, :]).norm(dim=-1)
    share: Tensor = gap / width.clamp_min(1e-6)
    return share


def _bumps(at: Tensor, size: int, sigma: float) -> Tensor:
    """exp(-(x - at)^2 / 2 sigma^2) for x = 0 .. size-1; (B, P) -> (B, P, size)."""
    pixels = torch.arange(size, device=at.device, dtype=at.dtype)
    return torch.exp((pixels - at.unsqueeze(-1)).square() * (-0.5 / sigma**2))


def _ring(points: Tensor, between: int) -> Tensor:
    """A closed line with points put in between; (B, P, 2) -> (B, P * between, 2)."""
    following = points.roll(-1, dims=1)
    shares = torch.arange(between, device=points.device, dtype=points.dtype) / between
    steps = points.unsqueeze(2) + (following - points).unsqueeze(2) * shares.view(1, 1, -1, 1)
    return steps.flatten(1, 2)


def render_contours(points: Tensor, height: int, width: int, sigma: float = 1.2) -> Tensor:
    """The lip lines and the chin; points (B, 49, 2) in pixels -> (B, 1, height, width) in [0, 1]."""
    dots = torch.cat([_ring(points[:, OUTER], 3), _ring(points[:, INNER], 3), points[:, CHIN]], dim=1)
    ink = _bumps(dots[..., 1], height, sigma).mT @ _bumps(dots[..., 0], width, sigma)
    return (1 - torch.exp(-ink)).unsqueeze(1)


def render_interior(points: Tensor, height: int, width: int, sigma: float = 1.5) -> Tensor:
    """The inside of the mouth; points (B, 49, 2) in pixels -> (B, 1, height, width), about 1 inside."""
    return render_interior_halves(points, height, width, sigma).sum(dim=1, keepdim=True)


def render_interior_halves(points: Tensor, height: int, width: int, sigma: float = 1.5) -> Tensor:
    """The upper and the lower half of the inside of the mouth; (B, 49, 2) -> (B, 2, height, width).

    Each dot stands for the area between its neighbours, so a closed mouth fades to nothing.
    """
    inner = points[:, INNER]
    lower, upper = inner[:, 0:11], torch.cat([inner[:, :1], inner[:, 10:].flip(1)], dim=1)
    lower, upper = _refine(lower), _refine(upper)
    rows = (torch.arange(8, device=points.device, dtype=points.dtype) + 0.5) / 8
    dots = upper.unsqueeze(2) + (lower - upper).unsqueeze(2) * rows.view(1, 1, -1, 1)
    middle = (lower[..., 0] + upper[..., 0]) / 2
    spacing = F.pad((middle[:, 2:] - middle[:, :-2]).abs() / 2, (1, 1))  # the corners have no height
    gap = (lower[..., 1] - upper[..., 1]).clamp_min(0) / 8
    area = (gap * spacing).unsqueeze(2).expand(-1, -1, 8) / (2 * torch.pi * sigma**2)
    halves = []
    for part in (slice(0, 4), slice(4, 8)):
        at, weight = dots[:, :, part].flatten(1, 2), area[:, :, part].flatten(1, 2)
        columns = _bumps(at[..., 0], width, sigma) * weight.unsqueeze(-1)
        halves.append(_bumps(at[..., 1], height, sigma).mT @ columns)
    return torch.stack(halves, dim=1)


def _refine(line: Tensor) -> Tensor:
    """An open line with the middles put in; (B, P, 2) -> (B, 2 P - 1, 2)."""
    middles = (line[:, :-1] + line[:, 1:]) / 2
    return torch.cat([torch.stack([line[:, :-1], middles], dim=2).flatten(1, 2), line[:, -1:]], dim=1)


def dense_flow(
    target: Tensor, reference: Tensor, height: int, width: int, sigma: float = 5.0, rest: float = 0.3
) -> Tensor:
    """Where to look in the reference for each pixel of the target, guessed from the points alone.

    Args:
        target, reference: (B, 49, 2) in pixels.
        sigma: pixels that a point's movement reaches.
        rest: weight of standing still, so that the flow fades away from the points.

    Returns:
        (B, 2, height, width) x and y to add to a pixel's place, in pixels.
    """
    moves = reference - target
    rows = _bumps(target[..., 1], height, sigma).mT
    columns = _bumps(target[..., 0], width, sigma)
    total = rows @ columns + rest
    along_x = rows @ (columns * moves[..., 0:1])
    along_y = rows @ (columns * moves[..., 1:2])
    return torch.stack([along_x / total, along_y / total], dim=1)


def inpainting_mask(resting: Tensor, height: int, width: int) -> Tensor:
    """The part of the face that is drawn anew: mouth and chin, with a soft edge.

    It depends on the resting outline only, so its form says nothing about how far the mouth is open.

    Args:
        resting: (B, 49, 2) in pixels.

    Returns:
        (B, 1, height, width); above 0 the source is hidden from the network.
    """
    centre = resting[:, OUTER].mean(dim=1)
    scale = (resting[:, CHIN][:, 4, 1] - centre[:, 1]).clamp(12, 80)  # mouth to chin: hardly turns with yaw
    x = torch.arange(width, device=resting.device, dtype=resting.dtype) - centre[:, :1]
    y = torch.arange(height, device=resting.device, dtype=resting.dtype) - centre[:, 1:]
    across = (x / (1.25 * scale).unsqueeze(1)).abs().unsqueeze(1)
    up = -y / (0.66 * scale).unsqueeze(1)
    down = y / (1.6 * scale).unsqueeze(1)
    along = torch.maximum(up, down).unsqueeze(2)
    radius = (across.pow(3) + along.pow(3)).pow(1 / 3)
    return ((1 - radius) / 0.16).clamp(0, 1).unsqueeze(1)
