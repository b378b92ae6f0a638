"""Mouths that are wide open in the source are closed."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.mouth_outline import dense_flow
from lipsync.generators.builtin.outline_points import CHIN, INNER, LOWER_INNER, OUTER, POINTS, UPPER_INNER
from lipsync.generators.builtin.renderer import warp
from lipsync.generators.builtin.resampling import Window
from lipsync.generators.builtin.wide_mouths import closing_flow, look_again

HEIGHT, WIDTH = 80, 112
LEFT, RIGHT, TOP = 36.0, 76.0, 40.0
CHIN_Y = 74.0


def mouth(gap: float) -> Tensor:
    """Outline (1, 49, 2) of a mouth 40 pixels wide whose inner lips are `gap` pixels apart."""
    points = torch.zeros(POINTS, 2)
    angles = torch.arange(20) / 20 * 2 * torch.pi
    x, down = (LEFT + RIGHT) / 2 - (RIGHT - LEFT) / 2 * angles.cos(), angles.sin()
    for part, lip in ((OUTER, 4.0), (INNER, 0.0)):
        points[part, 0] = x
        points[part, 1] = TOP + torch.where(down > 0, down * (gap + lip), down * lip)
    points[CHIN, 0], points[CHIN, 1] = torch.linspace(20, 92, 9), CHIN_Y + gap / 4
    return points[None]


def picture(gap: float) -> Tensor:
    """The mouth's interior in black on white, (1, 1, 80, 112)."""
    x = torch.arange(WIDTH).view(1, -1)
    y = torch.arange(HEIGHT).view(-1, 1)
    half = (RIGHT - LEFT) / 2
    inside = (1 - ((x - (LEFT + RIGHT) / 2) / half).square()).clamp_min(0).sqrt() * gap
    return (~((y >= TOP) & (y < TOP + inside))).float()[None, None]


def test_nothing_of_a_wide_open_mouth_is_left_when_it_is_closed() -> None:
    closed, wide = mouth(0), mouth(22)
    smooth = warp(picture(22), dense_flow(closed, wide, HEIGHT, WIDTH))
    flow, kept = closing_flow(closed, wide, closed, HEIGHT, WIDTH)
    dark = 1 - warp(picture(22), flow)
    assert (1 - smooth).sum() > 200  # what a flow without a cut leaves of it
    assert dark[..., 50:, :].max() < 0.2 and dark.sum() < 60  # the seam, at most
    assert kept is not None
    assert kept[0, 0, 60, 56] == 0 and kept[0, 0, 40, 56] == 1 and kept[0, 0, 60, 5] == 1


def test_the_skin_below_the_lips_is_not_folded() -> None:
    closed, wide = mouth(0), mouth(22)
    flow, _ = closing_flow(closed, wide, closed, HEIGHT, WIDTH)
    rows = torch.arange(HEIGHT) + flow[0, 1, :, 56]
    assert rows[42:].diff().min() >= 0


def test_the_openings_of_speech_have_the_smooth_flow() -> None:
    closed, speaking, shouting = mouth(0), mouth(10), mouth(22)
    for target, reference in ((closed, speaking), (shouting, shouting), (shouting, closed)):
        flow, kept = closing_flow(target, reference, closed, HEIGHT, WIDTH)
        assert torch.equal(flow, dense_flow(target, reference, HEIGHT, WIDTH)) and kept is None


def test_the_cut_grows_with_the_opening() -> None:
    closed = mouth(0)
    flows = [closing_flow(closed, mouth(gap), closed, HEIGHT, WIDTH)[0] for gap in torch.arange(10, 20, 0.25)]
    assert max(float((b - a).abs().max()) for a, b in pairwise(flows)) < 2


class Short(MouthLocator):
    """Finds the opening of a black mouth, but never more than 12 pixels of it."""

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `MouthLocator.forward`."""
        gaps = (window[:, 0, :, 56] < 0.5).sum(1).clamp_max(12).float()
        outlines = torch.cat([mouth(float(gap)) for gap in gaps]) + torch.tensor([8.0, 48.0])
        return outlines / 128, outlines / 128, torch.zeros(len(window), 2, 3)


def test_a_second_look_finds_what_the_first_cannot() -> None:
    window = Window(128, 48, 8, HEIGHT, WIDTH)
    faces = torch.ones(3, 3, 128, 128)
    for face, gap in zip(faces, (20, 4, 11), strict=True):
        face[:, 48:, 8:120] = picture(gap)[0]
    place = Short(HEIGHT, WIDTH)
    first = place(faces[:, :, 48:, 8:120])[0] * 128
    closed = torch.cat([mouth(0)] * 3) + torch.tensor([8.0, 48.0])
    second = look_again(place, faces, window, first, closed)
    gaps = second[:, LOWER_INNER, 1] - second[:, UPPER_INNER, 1]
    assert gaps[0] > 18
    assert torch.equal(second[1:], first[1:])
    assert torch.equal(second[:, CHIN], first[:, CHIN])
