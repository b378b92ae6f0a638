"""Colour of the mouth's interior: its brightness, and a prior of teeth and dark."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lipsync.generators.builtin.outline_points import LOWER_INNER, UPPER_INNER

_WHITE_OVER_SKIN = 1.12
"""Blue/green ratio of white over that of skin, as stored (with gamma): measured 1.09 on teeth and 1.13 on
lips of the sample photograph."""
_WHITE = 1.03
"""Blue/green ratio of teeth at most, as stored, unless the skin's is larger: the lamps of a studio give them
so much. Without this limit they are lilac where the skin is pink."""
_GREEN_OVER_SKIN = 1.25
"""Green/red ratio of white over that of light skin, as stored; darker skin is redder."""
_TEETH_GREEN_OVER_SKIN = 1.1
"""The same of teeth at least: of 59 people who show theirs, half have more than 1.12, a quarter less than
1.04."""
_STRETCHED_CHOICE = 0.7
"""Opacity at least of what is painted where the reference has nothing: by eye on the validation people."""
_OLIVE = 1.02
"""Largest green, in means of red and blue: 26 of 29 real mouths have less in 99 % of their pixels."""
_MAX_REFERENCE_SHARE = 0.85
"""Largest share of the reference's own interior; the rest is the Renderer's, which knows the light of the
new outline."""


def inner_lip_gap(points: Tensor) -> Tensor:
    """Vertical distance of the inner lips: points (B, 49, 2) -> (B, 1, 1, 1), pixels."""
    return (points[:, LOWER_INNER, 1] - points[:, UPPER_INNER, 1]).clamp_min(0).view(-1, 1, 1, 1)


def hidden_share(reference_gap: Tensor, gap: Tensor) -> Tensor:
    """Share of the interior that the reference hides: 0 where it is open as far, 1 from twice the gap on.

    Args:
        reference_gap, gap: (B, 1, 1, 1) of `inner_lip_gap`, of the reference and of the target.

    Returns:
        (B, 1, 1, 1) in [0, 1].
    """
    return (2 - 2 * reference_gap / gap.clamp_min(1)).clamp(0, 1)


def least_choice(reference_gap: Tensor, gap: Tensor) -> Tensor:
    """Opacity at least of the painted interior, the more the reference's own would be stretched.

    Lips that part pull what is between them apart: a seam becomes a grey band, a row of teeth stripes.

    Args:
        reference_gap, gap: as for `hidden_share`.

    Returns:
        (B, 1, 1, 1) in [0, 1]; 0 where the mouth opens less than twice as far, or hardly.
    """
    stretched = (1 - 2 * reference_gap / gap.clamp_min(1)).clamp(0, 1)
    return _STRETCHED_CHOICE * stretched * ((gap - 2) / 3).clamp(0, 1)


def refine_interior(
    rendered: Tensor,
    warped: Tensor,
    mask: Tensor,
    halves: Tensor,
    gaps: tuple[Tensor, Tensor],
    shade: Tensor,
) -> Tensor:
    """Add upper teeth and the dark below them, the more the wider the mouth is open.

    A network trained on a mean error renders a wide open mouth as the mean of teeth, tongue and dark, a
    grey that no mouth has. Known of any mouth is that the upper half is brighter and less red, and the
    lower half dark. Where the reference is open already, its own interior is taken instead, the more the
    wider it is.

    Args:
        rendered: (B, 3, h, w) RGB in [0, 1], the network's output.
        warped: (B, 3, h, w) the reference, warped to the target's outline.
        mask: (B, 1, h, w) of `inpainting_mask`.
        halves: (B, 2, h, w) of `render_interior_halves`, of the target.
        gaps: (B, 1, 1, 1) each, of `inner_lip_gap`: of the reference and of the target.
        shade: (2,) shares by which the upper half goes to the colour of teeth, the lower one to black.

    Returns:
        (B, 3, h, w) RGB in [0, 1].
    """
    reference_gap, gap = gaps
    inside = halves.sum(dim=1, keepdim=True).clamp(0, 1)
    known = (reference_gap / gap.clamp_min(1)).clamp(0, 1) * ((reference_gap - 1) / 4).clamp(0, 1)
    rendered = rendered + (warped - rendered) * inside * known * _MAX_REFERENCE_SHARE
    openness = ((gap - 2) / 6).clamp(0, 1)
    strength = halves.clamp(0, 1) * openness * (1 - known) * shade.view(1, 2, 1, 1)
    upper, lower = strength[:, :1], strength[:, 1:]
    skin = (rendered * mask).sum(dim=(2, 3), keepdim=True) / mask.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    light = skin.mean(dim=1, keepdim=True)
    teeth = 1.3 * (0.6 * light + 0.4 * skin)  # brighter than skin and less saturated, in the same light
    refined: Tensor = (rendered + (teeth.clamp(0, 1) - rendered) * upper) * (1 - lower)
    return limit_blue(refined, skin, white=math.inf)


def limit_colors(rendered: Tensor, skin: Tensor) -> Tensor:
    """Limit colours to those that a mouth has.

    See `limit_pink`, `limit_blue`, `limit_green` and `limit_olive`.
    """
    return limit_olive(limit_blue(limit_green(limit_pink(rendered, skin), skin), skin), skin)


def limit_pink(rendered: Tensor, skin: Tensor) -> Tensor:
    """Raise green and blue of what is lighter than the skin: only teeth are, and they are less red.

    The Renderer mixes teeth with the lips that were there before.

    Args:
        rendered: (B, 3, h, w) RGB.
        skin: (B, 3, 1, 1) RGB of skin in that light.
    """
    red, green, blue = rendered.unbind(1)
    tooth = _lightness(rendered, skin, 0.9, 1.2)
    of_skin = skin[:, 1] / skin[:, 0].clamp_min(1e-3)
    least = torch.minimum(_TEETH_GREEN_OVER_SKIN * of_skin, of_skin.clamp_min(1))  # grey films stay grey
    raised = green + (least * red - green).clamp_min(0) * tooth
    return torch.stack([red, raised, blue * raised / green.clamp_min(1e-3)], dim=1)


def limit_blue(rendered: Tensor, skin: Tensor, white: float = _WHITE) -> Tensor:
    """Limit blue to what white would have in the same light.

    Nothing in a mouth is bluer than white. The Renderer was trained in few kinds of light: in warm light
    its lips and teeth came out lilac. White reflects about a third more blue over green than skin does.

    Args:
        rendered: (B, 3, h, w) RGB.
        skin: (B, 3, 1, 1) RGB of skin in that light.
        white: blue/green ratio at most, unless the skin's is larger.
    """
    red, green, blue = rendered.unbind(1)
    of_skin = skin[:, 2] / skin[:, 1].clamp_min(1e-3)
    most = torch.minimum(_WHITE_OVER_SKIN * of_skin, of_skin.clamp_min(white))
    return torch.stack([red, green, torch.minimum(blue, green * most)], dim=1)


def limit_green(rendered: Tensor, skin: Tensor) -> Tensor:
    """Limit green to what white would have in the same light: nothing in a mouth is greener.

    What is darker than skin is no tooth in the light, and gets the skin's hue at most: lips that hardly part
    would have a grey seam.

    Args:
        rendered: (B, 3, h, w) RGB.
        skin: (B, 3, 1, 1) RGB of skin in that light.
    """
    red, green, blue = rendered.unbind(1)
    over_skin = 1 + (_GREEN_OVER_SKIN - 1) * _lightness(rendered, skin, 0.7, 1.0)
    white = over_skin * skin[:, 1] / skin[:, 0].clamp_min(1e-3)
    return torch.stack([red, torch.minimum(green, red * white), blue], dim=1)


def limit_olive(rendered: Tensor, skin: Tensor) -> Tensor:
    """Limit green to about the mean of red and blue: nothing in a mouth is olive.

    `limit_green` lets olive pass, since its red is as strong as its green. What counts is the mean as
    stored, or relative to white in the same light, whichever is larger: skin tells the light only roughly.

    Args:
        rendered: (B, 3, h, w) RGB.
        skin: (B, 3, 1, 1) RGB of skin in that light.
    """
    red, green, blue = rendered.unbind(1)
    white_green = _GREEN_OVER_SKIN * skin[:, 1] / skin[:, 0].clamp_min(1e-3)
    white_blue = _WHITE_OVER_SKIN * skin[:, 2] / skin[:, 1].clamp_min(1e-3) * white_green
    relative = white_green * (red + blue / white_blue.clamp_min(1e-3)) / 2
    most = _OLIVE * torch.maximum(relative, (red + blue) / 2)
    return torch.stack([red, torch.minimum(green, most), blue], dim=1)


def _lightness(rendered: Tensor, skin: Tensor, low: float, high: float) -> Tensor:
    """Lightness (B, h, w) between `low` and `high` of the skin's as 0 to 1."""
    lightness = rendered.mean(1) / skin.mean(1).clamp_min(1e-3)
    return ((lightness - low) / (high - low)).clamp(0, 1)


def interior_tone(window: Tensor, halves: Tensor, mask: Tensor) -> Tensor:
    """Brightness of the interior's halves, relative to the face around the mouth.

    Args:
        window: (B, 3, h, w) in [0, 1].
        halves: (B, 2, h, w) of `render_interior_halves`, of the mouth in `window`.
        mask: (B, 1, h, w) of `inpainting_mask`.

    Returns:
        (B, 2) in [0, 2]: upper and lower half.
    """
    light = window.mean(dim=1, keepdim=True)
    around = (mask == 0).to(light.dtype)
    face = (light * around).sum(dim=(1, 2, 3)) / around.sum(dim=(1, 2, 3)).clamp_min(1)
    inside = (light * halves).sum(dim=(2, 3)) / halves.sum(dim=(2, 3)).clamp_min(1e-3)
    return (inside / face.clamp_min(0.05).unsqueeze(1)).clamp(0, 2)
