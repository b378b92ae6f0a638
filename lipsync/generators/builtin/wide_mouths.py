"""Closing of mouths that are wide open in the reference, as in a shout.

The locator was trained on speech and stops at the openings of speech: of a mouth that is opened further it
finds half. And the flow of `dense_flow`, smooth across the lips, cannot close such a mouth: where the lips
meet it takes the mean of both, which is the middle of the mouth. So the locator looks again at a face whose
lower part is squeezed, and the flow is cut along the lips.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.mouth_outline import dense_flow
from lipsync.generators.builtin.outline_points import (
    CHIN,
    INNER,
    LEFT_CORNER,
    LOWER_INNER,
    OUTER,
    RIGHT_CORNER,
    UPPER_INNER,
)
from lipsync.generators.builtin.resampling import Window, sample

_SQUEEZE = 0.55
"""Height of the lower face in the second look: mouths of a shout then are open as far as in speech."""
_LOOK_AGAIN = 0.22
"""Gap of the inner lips, in widths of the closed mouth, from which on the locator looks again."""
_SPEECH, _WIDE = 0.32, 0.42
"""How much further open than drawn a mouth is, in the same widths: as in speech, and as in a shout."""
_UPPER = [*range(11, 20), *range(31, 40), 0, 10, LEFT_CORNER, RIGHT_CORNER]
"""Points of the upper lip and the corners."""
_EDGE = 6.0
"""Pixels beside the mouth over which the cut ends."""
_SKIN_EDGE = 3.0
"""Pixels below the lower lip over which the skin begins."""


def look_again(
    place: MouthLocator, faces: Tensor, window: Window, outlines: Tensor, closed: Tensor
) -> Tensor:
    """The outlines, with the lips of wide open mouths as a second look finds them.

    Args:
        place: the locator.
        faces: (B, 3, crop, crop) RGB in [0, 1].
        window: of the crop, which the locator sees.
        outlines, closed: (B, 49, 2) of the first look, in pixels of the crop.

    Returns:
        (B, 49, 2) in pixels of the crop.
    """
    wide = (_gap(outlines) / _width(closed) > _LOOK_AGAIN).nonzero()[:, 0]
    if not len(wide):
        return outlines
    first = outlines[wide]
    lip = first[:, UPPER_INNER, 1].view(-1, 1, 1)
    squeezed = _squeezed(faces[wide], lip)
    seen = squeezed[:, :, window.top : window.top + window.height, window.left : window.left + window.width]
    found = place(seen)[0] * window.crop
    y = found[..., 1:]
    found = torch.cat([found[..., :1], torch.where(y > lip, lip + (y - lip) / _SQUEEZE, y)], dim=2)
    share = _share(found, closed[wide], closed[wide])
    lips = slice(0, CHIN.start)
    result = outlines.clone()
    result[wide, lips] = first[:, lips] + (found - first)[:, lips] * share
    return result


def closing_flow(
    target: Tensor, reference: Tensor, closed: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor | None]:
    """`dense_flow`, cut along the lips where a wide open mouth is closed.

    Args:
        target, reference, closed: outlines (B, 49, 2) in pixels.

    Returns:
        (B, 2, height, width) x and y offsets, in pixels, at which to sample the reference; and the share of
        the U-Net's own corrections to keep, (B, 1, height, width) in [0, 1], None for all of them: below
        such a mouth it would draw lips on the chin.
    """
    flow = dense_flow(target, reference, height, width)
    share = _share(reference, target, closed)
    wide = (share[:, 0, 0] > 0).nonzero()[:, 0]
    if not len(wide):
        return flow, None
    share = share[wide].unsqueeze(-1)
    cut, skin = _cut_flow(target[wide], reference[wide], flow[wide])
    flow = flow.index_add(0, wide, (cut - flow[wide]) * share)
    return flow, torch.ones_like(flow[:, :1]).index_add(0, wide, -skin * share)


def _gap(outlines: Tensor) -> Tensor:
    return outlines[:, LOWER_INNER, 1] - outlines[:, UPPER_INNER, 1]


def _width(outlines: Tensor) -> Tensor:
    outer = outlines[:, OUTER, 0]
    return (outer.amax(1) - outer.amin(1)).clamp_min(1.0)


def _share(reference: Tensor, target: Tensor, closed: Tensor) -> Tensor:
    """How far closing the mouth is beyond speech, (B, 1, 1) in [0, 1]."""
    further = (_gap(reference) - _gap(target).clamp_min(0)) / _width(closed)
    return ((further - _SPEECH) / (_WIDE - _SPEECH)).clamp(0, 1).view(-1, 1, 1)


def _squeezed(faces: Tensor, lip: Tensor) -> Tensor:
    """Faces (B, 3, h, w) with everything below `lip` (B, 1, 1) squeezed, the last row repeated."""
    height, width = faces.shape[2:]
    y = torch.arange(height, device=faces.device, dtype=faces.dtype).view(1, -1, 1)
    y = torch.where(y > lip, lip + (y - lip) / _SQUEEZE, y).expand(-1, -1, width)
    x = torch.arange(width, device=faces.device, dtype=faces.dtype).expand(len(faces), height, -1)
    return sample(faces, torch.stack([x, y], dim=3))


def _cut_flow(target: Tensor, reference: Tensor, smooth: Tensor) -> tuple[Tensor, Tensor]:
    """Flow cut along the target's inner lips, `smooth` beside the mouth.

    Above, it follows the points of the upper lip. Below, it changes linearly from the inner to the outer
    edge of the lower lip and from there to the chin, so that nothing of the open mouth is seen there.

    Returns:
        The flow, and the skin below the lips (B, 1, h, w) in [0, 1].
    """
    height, width = smooth.shape[2:]
    above = dense_flow(target[:, _UPPER], reference[:, _UPPER], height, width)
    x = torch.arange(width, device=target.device, dtype=target.dtype).expand(len(target), -1)
    y = torch.arange(height, device=target.device, dtype=target.dtype).view(1, -1, 1)
    inner, outer, chin = (
        _line(target[:, part], reference[:, part], x) for part in (slice(20, 31), slice(0, 11), CHIN)
    )
    lip = _between(y, inner, outer)
    skin = _between(y, outer, chin)
    below = torch.where((y < outer[:, None, :, 1]).unsqueeze(-1), lip, skin).permute(0, 3, 1, 2)
    seam = _seam(target, x).unsqueeze(1)
    lower = (y - seam + 0.5).clamp(0, 1).unsqueeze(1)
    cut = above + (below - above) * lower
    left, right = target[:, LEFT_CORNER, :1], target[:, RIGHT_CORNER, :1]
    inside = (torch.minimum(x - left, right - x) / _EDGE + 1).clamp(0, 1)
    inside = inside[:, None, None]
    below_lips = ((y - outer[:, None, :, 1]) / _SKIN_EDGE).clamp(0, 1).unsqueeze(1)
    return smooth + (cut - smooth) * inside, below_lips * inside


def _seam(target: Tensor, x: Tensor) -> Tensor:
    """Height of the middle between the inner lips at the columns `x` (B, w)."""
    inner = target[:, INNER]
    upper = torch.cat([inner[:, :1], inner[:, 10:].flip(1)], dim=1)
    return _along((inner[:, :11] + upper) / 2, x)[..., 1]


def _line(target: Tensor, reference: Tensor, x: Tensor) -> Tensor:
    """At the columns `x` (B, w), of points from left to right: (B, w, 4) position and movement."""
    return _along(torch.cat([target, reference - target], dim=2), x)


def _along(points: Tensor, x: Tensor) -> Tensor:
    """Linear interpolation of points (B, P, n), x first, at the columns `x` (B, w); (B, w, n)."""
    at = points[..., 0].cummax(dim=1).values.contiguous()
    right = torch.searchsorted(at, x.contiguous()).clamp(1, points.shape[1] - 1)
    ends = [index.unsqueeze(-1).expand(-1, -1, points.shape[2]) for index in (right - 1, right)]
    before, after = (points.gather(1, index) for index in ends)
    share = (x - before[..., 0]) / (after[..., 0] - before[..., 0]).clamp_min(1e-3)
    return before + (after - before) * share.clamp(0, 1).unsqueeze(-1)


def _between(y: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """Movement between two lines (B, w, 4) at the rows `y` (1, h, 1), linear in y; (B, h, w, 2)."""
    first, last = upper[:, None, :, 1], lower[:, None, :, 1]
    share = ((y - first) / (last - first).clamp_min(1e-3)).clamp(0, 1).unsqueeze(-1)
    return upper[:, None, :, 2:] + (lower - upper)[:, None, :, 2:] * share
