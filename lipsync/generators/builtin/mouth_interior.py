"""The inside of the mouth: how light it is, and what is sure of any open mouth."""

from __future__ import annotations

import torch
from torch import Tensor

from lipsync.generators.builtin.mouth_outline import LOWER_INNER, UPPER_INNER

_WHITE_OVER_SKIN = 1.12
"""Blue over green of white over that of skin, as stored (with gamma): measured 1.09 on
teeth and 1.13 on lips of the sample photograph."""
_OWN = 0.85
"""How much of the reference's own inside is taken at most; the rest stays the Painter's, which knows the
light of the new outline."""


def inner_lip_gap(points: Tensor) -> Tensor:
    """Pixels between the inner lips, (B, 1, 1, 1)."""
    return (points[:, LOWER_INNER, 1] - points[:, UPPER_INNER, 1]).clamp_min(0).view(-1, 1, 1, 1)


def refine_interior(
    drawn: Tensor, moved: Tensor, mask: Tensor, halves: Tensor, was: Tensor, gap: Tensor, shade: Tensor
) -> Tensor:
    """Upper teeth and the dark below them, the more the wider the mouth is open; (B, 3, h, w).

    A network that is judged by its mean error paints a wide open mouth in the mean of teeth, tongue
    and dark, a grey that no mouth has. What is sure of any mouth is added to what it painted: the
    upper half is lighter and less red, the lower half is dark. Where the reference was open already,
    its own teeth and dark are taken instead, the more the wider it was.

    Args:
        moved: (B, 3, h, w) the reference moved to the outline of the target.
        was, gap: (B, 1, 1, 1) how far the reference is open and the target shall be, pixels.
        shade: (2,) how far the upper half goes to the colour of teeth, the lower one to black.
    """
    inside = halves.sum(dim=1, keepdim=True).clamp(0, 1)
    known = (was / gap.clamp_min(1)).clamp(0, 1) * ((was - 1) / 4).clamp(0, 1)
    drawn = drawn + (moved - drawn) * inside * known * _OWN
    deep = ((gap - 2) / 6).clamp(0, 1)
    strength = halves.clamp(0, 1) * deep * (1 - known) * shade.view(1, 2, 1, 1)
    upper, lower = strength[:, :1], strength[:, 1:]
    skin = (drawn * mask).sum(dim=(2, 3), keepdim=True) / mask.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    light = skin.mean(dim=1, keepdim=True)
    teeth = 1.3 * (0.6 * light + 0.4 * skin)  # lighter than the skin, of less colour, in the same light
    finished: Tensor = (drawn + (teeth.clamp(0, 1) - drawn) * upper) * (1 - lower)
    return _not_bluer_than_white(finished, skin)


def _not_bluer_than_white(drawn: Tensor, skin: Tensor) -> Tensor:
    """Take blue away where there is more of it than white would show in the same light.

    Nothing in a mouth is bluer than white. The Painter has seen few lights: in warm ones its lips and
    teeth came out lilac. White reflects blue over green about a third more than skin does.

    Args:
        drawn: (B, 3, h, w).
        skin: (B, 3, 1, 1) what skin shows in that light.
    """
    red, green, blue = drawn.unbind(1)
    white = _WHITE_OVER_SKIN * skin[:, 2] / skin[:, 1].clamp_min(1e-3)
    return torch.stack([red, green, torch.minimum(blue, green * white)], dim=1)


def interior_tone(window: Tensor, halves: Tensor, mask: Tensor) -> Tensor:
    """How light the halves of the inside of a mouth are, over how light the face around is; (B, 2).

    Args:
        window: (B, 3, h, w) in [0, 1].
        halves: (B, 2, h, w) of `render_interior_halves`, of the mouth that is seen in `window`.
        mask: (B, 1, h, w) of `inpainting_mask`.
    """
    light = window.mean(dim=1, keepdim=True)
    around = (mask == 0).to(light.dtype)
    face = (light * around).sum(dim=(1, 2, 3)) / around.sum(dim=(1, 2, 3)).clamp_min(1)
    inside = (light * halves).sum(dim=(2, 3)) / halves.sum(dim=(2, 3)).clamp_min(1e-3)
    return (inside / face.clamp_min(0.05).unsqueeze(1)).clamp(0, 2)
