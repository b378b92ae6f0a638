"""Figures of `benchmarks.model_scores`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.model_scores_clips import Person
from benchmarks.model_scores_drawing import Drawn, Rendering
from lipsync.metrics.lips import CLOSED, OPEN, LipTrack, correlation
from lipsync.metrics.mouth_image import (
    at_like_openings,
    box_sharpness,
    lightness_range,
    lip_sharpness,
    mouth_box,
)
from lipsync.metrics.ssim import ssim_map
from lipsync.types import FloatArray, Frame

_SIZES = ("faces over 200 px", "faces to 200 px")
_WIDE = 0.06
"""Opening, in distances between the eyes, from which a mouth shows teeth or dark."""
_STRIDE = 3
"""Every third frame is measured where images are."""


@dataclass(frozen=True)
class Figure:
    """Row of the table."""

    title: str
    groups: tuple[str, ...] = ()
    by_language: bool = False


FIGURES = {
    "lips": Figure("sharpness of the lips over the source's, like openings", _SIZES),
    "chin": Figure("the same in the box around mouth and chin", _SIZES),
    "range": Figure("range of L* inside an open mouth", _SIZES),
    "own ssim": Figure("own voice: SSIM in the mouth box", (), True),
    "own l1": Figure("own voice: L1 in the mouth box"),
    "own r": Figure("own voice: opening against the real one (r)", (), True),
    "closed": Figure("own voice: frames really closed that are drawn closed", (), True),
    "closed too": Figure("own voice: frames drawn closed that are really closed"),
    "open": Figure("own voice: frames really open that are drawn open"),
    "moves": Figure("own voice: movement, drawn over real (std of opening)", (), True),
    "other moves": Figure("other voices: movement over the source's own"),
    "leak r": Figure("other voices: the source's mouth that shines through (r)"),
    "silence": Figure("open frames in digital silence"),
    "silence moves": Figure("movement in digital silence (std of opening)"),
    "noise": Figure("open frames under noise of -40 to -60 dB"),
    "margin": Figure("margin by the sync expert, other voices", (), True),
    "own margin": Figure("margin by the sync expert, own voice", (), True),
}


def person_figures(person: Person, drawn: Drawn) -> dict[str, float]:
    """All figures of one model for one person."""
    real = person.lips
    own, silence, noise = drawn.own.lips.opening, drawn.silence.lips.opening, drawn.noise.lips.opening
    return {
        **image_figures(person, drawn.others),
        **own_box_figures(person, drawn.own),
        **closure_figures(real, drawn.own.lips),
        "own r": correlation(own, real.opening),
        "moves": _movement(drawn.own.lips, real),
        "other moves": _mean([_movement(one.lips, real) for one in drawn.others]),
        "leak r": _mean([correlation(one.lips.opening, real.opening) for one in drawn.others]),
        "silence": _share(silence >= OPEN, ~np.isnan(silence)),
        "silence moves": float(np.nanstd(silence)),
        "noise": _share(noise >= OPEN, ~np.isnan(noise)),
        "margin": _mean([one.margin for one in drawn.others]),
        "own margin": drawn.own.margin,
    }


def closure_figures(real: LipTrack, drawn: LipTrack) -> dict[str, float]:
    """How often closed and open mouths are drawn as such; frames between closed and open do not count."""
    truth, seen = real.opening, drawn.opening
    known = ~np.isnan(truth) & ~np.isnan(seen)
    near = np.minimum.reduce([_shifted(seen, step) for step in (-1, 0, 1)])
    near_truth = np.minimum.reduce([_shifted(truth, step) for step in (-1, 0, 1)])
    return {
        "closed": _share(near <= CLOSED, known & (truth <= CLOSED)),
        "closed too": _share(near_truth <= CLOSED, known & (seen <= CLOSED)),
        "open": _share(seen >= OPEN, known & (truth >= OPEN)),
    }


def _shifted(values: FloatArray, step: int) -> FloatArray:
    """The values one frame earlier or later; unknown ones never count as closed."""
    padded = np.pad(np.where(np.isnan(values), np.inf, values), 1, mode="edge")
    return np.asarray(padded[1 + step : len(padded) - 1 + step], np.float32)


def image_figures(person: Person, others: Sequence[Rendering]) -> dict[str, float]:
    """Sharpness at like openings, and the range of lightness, over all other voices."""
    real, frames = person.lips, person.frames
    found: dict[str, list[float]] = {"lips": [], "chin": [], "range": []}
    for one in others:
        for name, measure in (("lips", lip_sharpness), ("chin", box_sharpness)):
            values = _each(measure, one.frames, one.lips, _STRIDE)
            reals = _each(measure, frames, real, 1)
            found[name].append(at_like_openings(values, one.lips.opening, reals, real.opening))
        ranges = _each(lightness_range, one.frames, one.lips, _STRIDE)
        wide = ranges[(one.lips.opening >= _WIDE) & ~np.isnan(ranges)]
        found["range"].append(float(np.median(wide)) if len(wide) else float("nan"))
    return {name: _mean(values) for name, values in found.items()}


def _each(
    measure: Callable[[Frame, FloatArray], float], frames: Sequence[Frame], lips: LipTrack, stride: int
) -> FloatArray:
    values = np.full(len(frames), np.nan, np.float32)
    for number in range(0, len(frames), stride):
        values[number] = measure(frames[number], lips.outlines[number])
    return values


def own_box_figures(person: Person, own: Rendering) -> dict[str, float]:
    """SSIM and L1 (0..1) in the box around the real mouth, at the source's own size."""
    similar, off = [], []
    for real, drawn, outline in list(zip(person.frames, own.frames, person.lips.outlines, strict=True))[
        ::_STRIDE
    ]:
        if np.isnan(outline).any():
            continue
        x1, y1, x2, y2 = mouth_box(outline, real.shape)
        a, b = drawn[y1:y2, x1:x2], real[y1:y2, x1:x2]
        similar.append(float(ssim_map(a, b).mean()))
        off.append(float(np.abs(a.astype(np.float32) - b).mean() / 255))
    return {"own ssim": _mean(similar), "own l1": _mean(off)}


def _share(hits: np.ndarray, among: np.ndarray) -> float:
    return float(hits[among].mean()) if among.sum() >= 3 else float("nan")


def _movement(drawn: LipTrack, real: LipTrack) -> float:
    """Standard deviation of the opening, drawn over real."""
    moves = float(np.nanstd(real.opening))
    return float(np.nanstd(drawn.opening)) / moves if moves > 1e-6 else float("nan")


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
