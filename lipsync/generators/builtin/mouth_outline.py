"""Mouth outline of 49 points, rendered as contours, areas and flow.

20 points of the outer lip contour, 20 of the inner one, 9 along the chin. Both lip contours start at the
mouth corner on the left of the image and run along the lower lip first.

Everything is a sum of Gaussian dots. A dot is the product of a Gaussian along x and one along y, so that
any number of them is rendered by one matrix product, on any device, with gradients.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lipsync.generators.builtin.layers import in_full_precision
from lipsync.generators.builtin.outline_points import (
    CHIN,
    INNER,
    LEFT_CORNER,
    LOWER_INNER,
    OUTER,
    RIGHT_CORNER,
    UPPER_INNER,
)


def opening(points: Tensor) -> Tensor:
    """Gap of the inner lips over the mouth's width; points (..., 49, 2 or 3) -> (...)."""
    gap = (points[..., LOWER_INNER, :] - points[..., UPPER_INNER, :]).norm(dim=-1)
    width = (points[..., RIGHT_CORNER, :] - points[..., LEFT_CORNER, :]).norm(dim=-1)
    ratio: Tensor = gap / width.clamp_min(1e-6)
    return ratio


def _gaussians(centres: Tensor, size: int, sigma: float) -> Tensor:
    """exp(-(x - centre)^2 / 2 sigma^2) for x = 0 .. size-1; (B, P) -> (B, P, size)."""
    # Not below e^-40, where it is 0 for all purposes: products of two would be subnormal numbers, with which
    # CPUs multiply many times more slowly.
    pixels = torch.arange(size, device=centres.device, dtype=centres.dtype)
    return torch.exp(((pixels - centres.unsqueeze(-1)).square() * (-0.5 / sigma**2)).clamp_min(-40))


def _subdivided_ring(points: Tensor, parts: int) -> Tensor:
    """Closed contour with each segment cut in `parts`; (B, P, 2) -> (B, P * parts, 2)."""
    following = points.roll(-1, dims=1)
    shares = torch.arange(parts, device=points.device, dtype=points.dtype) / parts
    steps = points.unsqueeze(2) + (following - points).unsqueeze(2) * shares.view(1, 1, -1, 1)
    return steps.flatten(1, 2)


@in_full_precision
def render_contours(points: Tensor, height: int, width: int, sigma: float = 1.2) -> Tensor:
    """Image of the lip contours and the chin.

    Args:
        points: (B, 49, 2) in pixels.
        sigma: of the lines, pixels.

    Returns:
        (B, 1, height, width) in [0, 1].
    """
    dots = torch.cat(
        [_subdivided_ring(points[:, OUTER], 3), _subdivided_ring(points[:, INNER], 3), points[:, CHIN]], dim=1
    )
    density = _gaussians(dots[..., 1], height, sigma).mT @ _gaussians(dots[..., 0], width, sigma)
    return (1 - torch.exp(-density)).unsqueeze(1)


@in_full_precision
def render_inner_lips(points: Tensor, height: int, width: int, sigma: float = 2.5) -> Tensor:
    """Soft mask of the mouth's interior and of the lips' inner edges.

    Unlike `render_interior` it does not fade to nothing where the mouth is closed.

    Args:
        points: (B, 49, 2) in pixels.
        sigma: of its edge, pixels.

    Returns:
        (B, 1, height, width) in [0, 1].
    """
    ring = _subdivided_ring(points[:, INNER], 4)
    density = _gaussians(ring[..., 1], height, sigma).mT @ _gaussians(ring[..., 0], width, sigma)
    inside = render_interior(points, height, width, sigma)
    return 1 - torch.exp(-density.unsqueeze(1) - 4 * inside)


def render_interior(points: Tensor, height: int, width: int, sigma: float = 1.5) -> Tensor:
    """Soft mask of the mouth's interior.

    Args:
        points: (B, 49, 2) in pixels.
        sigma: of its edge, pixels.

    Returns:
        (B, 1, height, width), about 1 inside.
    """
    return render_interior_halves(points, height, width, sigma).sum(dim=1, keepdim=True)


@in_full_precision
def render_interior_halves(points: Tensor, height: int, width: int, sigma: float = 1.5) -> Tensor:
    """Soft masks of the upper and the lower half of the mouth's interior.

    Each dot stands for the area between its neighbours, so a closed mouth fades to nothing.

    Args:
        points: (B, 49, 2) in pixels.
        sigma: of their edges, pixels.

    Returns:
        (B, 2, height, width), about 1 inside.
    """
    inner = points[:, INNER]
    lower, upper = inner[:, 0:11], torch.cat([inner[:, :1], inner[:, 10:].flip(1)], dim=1)
    lower, upper = _with_midpoints(lower), _with_midpoints(upper)
    rows = (torch.arange(8, device=points.device, dtype=points.dtype) + 0.5) / 8
    dots = upper.unsqueeze(2) + (lower - upper).unsqueeze(2) * rows.view(1, 1, -1, 1)
    middle = (lower[..., 0] + upper[..., 0]) / 2
    spacing = F.pad((middle[:, 2:] - middle[:, :-2]).abs() / 2, (1, 1))  # the corners have no height
    gap = (lower[..., 1] - upper[..., 1]).clamp_min(0) / 8
    area = (gap * spacing).unsqueeze(2).expand(-1, -1, 8) / (2 * torch.pi * sigma**2)
    halves = []
    for part in (slice(0, 4), slice(4, 8)):
        centres, weight = dots[:, :, part].flatten(1, 2), area[:, :, part].flatten(1, 2)
        columns = _gaussians(centres[..., 0], width, sigma) * weight.unsqueeze(-1)
        halves.append(_gaussians(centres[..., 1], height, sigma).mT @ columns)
    return torch.stack(halves, dim=1)


def _with_midpoints(line: Tensor) -> Tensor:
    """Open contour with the midpoints inserted; (B, P, 2) -> (B, 2 P - 1, 2)."""
    middles = (line[:, :-1] + line[:, 1:]) / 2
    return torch.cat([torch.stack([line[:, :-1], middles], dim=2).flatten(1, 2), line[:, -1:]], dim=1)


@in_full_precision
def dense_flow(
    target: Tensor, reference: Tensor, height: int, width: int, sigma: float = 5.0, rest: float = 0.3
) -> Tensor:
    """Backward flow from target to reference, interpolated from the points.

    Args:
        target, reference: (B, 49, 2) in pixels.
        sigma: reach of a point's movement, pixels.
        rest: weight of zero flow, so that the flow fades away from the points.

    Returns:
        (B, 2, height, width) x and y offsets, in pixels, at which to sample the reference.
    """
    moves = reference - target
    rows = _gaussians(target[..., 1], height, sigma).mT
    columns = _gaussians(target[..., 0], width, sigma)
    total = rows @ columns + rest
    flow_x = rows @ (columns * moves[..., 0:1])
    flow_y = rows @ (columns * moves[..., 1:2])
    return torch.stack([flow_x / total, flow_y / total], dim=1)


def inpainting_mask(closed_outline: Tensor, height: int, width: int) -> Tensor:
    """Mask of the region to generate: mouth and chin, with a soft edge.

    It depends on the closed mouth's outline only, so that its shape does not reveal how far the mouth is
    open.

    Args:
        closed_outline: (B, 49, 2) in pixels.

    Returns:
        (B, 1, height, width) in [0, 1]; above 0 the source is hidden from the network.
    """
    centre = closed_outline[:, OUTER].mean(dim=1)
    # From mouth to chin.
    scale = (closed_outline[:, CHIN][:, 4, 1] - centre[:, 1]).clamp(12, 80)  # hardly changes with yaw
    x = torch.arange(width, device=closed_outline.device, dtype=closed_outline.dtype) - centre[:, :1]
    y = torch.arange(height, device=closed_outline.device, dtype=closed_outline.dtype) - centre[:, 1:]
    across = (x / (1.25 * scale).unsqueeze(1)).abs().unsqueeze(1)
    up = -y / (0.66 * scale).unsqueeze(1)
    down = y / (1.6 * scale).unsqueeze(1)
    along = torch.maximum(up, down).unsqueeze(2)
    radius = (across.pow(3) + along.pow(3)).pow(1 / 3)
    return ((1 - radius) / 0.16).clamp(0, 1).unsqueeze(1)
