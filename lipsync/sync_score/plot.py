"""SVG plot of a score card: sync confidence over time and over offsets.

Weak segments are shaded. SVG is small, sharp at any size and needs no plotting package. Lines and text use
`currentColor`, so that the plot fits light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.types import REAL_CONFIDENCE, ScoreCard, SyncScore, Verdict
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.svg import Axes
from lipsync.utils.timecodes import clock_time

Doubles: TypeAlias = npt.NDArray[np.float64]
_WIDTH, _HEIGHT, _TEXT_ONLY_HEIGHT = 760, 300, 60
_TIME_AREA = (44.0, 64.0, 450.0, 176.0)  # x, y, width, height of the plot over time
_OFFSET_AREA = (546.0, 64.0, 190.0, 176.0)  # of the plot over offsets
_MAX_POINTS = 300
_RESULT, _WEAK, _REAL = "#3b82f6", "#f59e0b", "#10b981"  # legible on white and on near-black
_STYLE = (
    ".lipsync-score{font:12px system-ui,sans-serif;fill:currentColor}"
    ".lipsync-score .head{font-size:15px;font-weight:600}"
    ".lipsync-score .axis{stroke:currentColor;stroke-opacity:.45;fill:none}"
    ".lipsync-score .faint{fill-opacity:.75}"
)
_STANDALONE_STYLE = (
    "svg{color:#1f2328;background:#fff}"
    "@media(prefers-color-scheme:dark){svg{color:#e6e8eb;background:#16181c}}"
)


def plot_score(card: ScoreCard, path: Path) -> None:
    """Write `score_svg` to a file that follows the viewer's light or dark setting.

    Raises:
        DiskFullError, OutputError: the file cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text(score_svg(card, standalone=True), "utf-8")


def score_svg(card: ScoreCard, *, standalone: bool = False) -> str:
    """Draw a score card as SVG.

    Args:
        standalone: for a file of its own, with a background; else for a page, whose text colour it takes.
    """
    score = card.result
    height = _TEXT_ONLY_HEIGHT if score.verdict is Verdict.TOO_SHORT else _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'class="lipsync-score" style="width:100%;height:auto;max-width:{_WIDTH}px">',
        f"<title>{escape(_headline(score))}</title><desc>{escape(' '.join(card.words))}</desc>",
        f"<style>{_STYLE}{_STANDALONE_STYLE if standalone else ''}</style>",
        _text(16, 26, _headline(score), kind="head"),
        _text(16, 45, score.words, kind="faint"),
    ]
    if score.verdict is not Verdict.TOO_SHORT:
        parts += [*_time_plot(card), *_offset_plot(card)]
    return "\n".join([*parts, "</svg>\n"])


def _headline(score: SyncScore) -> str:
    if score.confidence is None or score.offset is None:
        return f"Lips and voice: {score.verdict.value}"
    return f"Lips and voice: {score.verdict.value}, sync confidence {score.confidence:.2f}"


# --- over time -----------------------------------------------------------------------------------


def _time_plot(card: ScoreCard) -> Iterable[str]:
    score = card.result
    x, y, width, height = _TIME_AREA
    times, curve = _downsampled(np.array(score.times, np.float64), np.array(score.curve, np.float64))
    length = max(score.times[-1] + 0.5, 1.0) if score.times else 1.0
    known = [value for value in curve if not math.isnan(value)]
    low, high = min(-0.1, *known, 0.0), max(0.45, *known, 0.0)
    axes = Axes(*_TIME_AREA, left=0, right=length, bottom=low, top=high)
    top, bottom = (axes.down(value) for value in REAL_CONFIDENCE[::-1])
    band = f'x="{x}" y="{top:.1f}" width="{width}" height="{bottom - top:.1f}"'
    yield f'<rect {band} fill="{_REAL}" opacity=".16"/>'
    for part in score.weak:
        start, end = axes.across(part.start), axes.across(part.end)
        yield (
            f'<rect x="{start:.1f}" y="{y}" width="{max(2.0, end - start):.1f}" height="{height}" '
            f'fill="{_WEAK}" opacity=".3"><title>{escape(f"weak in {part}")}</title></rect>'
        )
    if card.source is not None and card.source.confidence is not None:
        level = axes.down(card.source.confidence)
        yield f'<path class="axis" stroke-dasharray="5 4" d="M{x} {level:.1f}h{width}"/>'
    yield f'<path class="axis" d="M{x} {y}v{height}h{width}M{x} {axes.down(0):.1f}h{width}"/>'
    for value in (0.0, 0.2, 0.4):
        yield _text(x - 6, axes.down(value) + 4, f"{value:g}", anchor="end")
    for time in np.linspace(0, length, 5):
        yield _text(axes.across(time), y + height + 17, clock_time(round(time)), anchor="middle")
    yield _line(axes.curve(zip(times, curve, strict=True)), _RESULT)
    yield _legend(x, "sync confidence, second by second", card)


def _legend(x: float, what: str, card: ScoreCard) -> str:
    """The legend, one line below the plot."""
    named = [(_RESULT, "\u25cf", what), (_REAL, "\u25a0", "real video")]
    if card.result.weak:
        named.append((_WEAK, "\u25a0", "weak"))
    if card.source is not None and card.source.confidence is not None:
        named.append(("currentColor", "\u254c", "source"))
    spans = "".join(
        f'<tspan dx="{12 * (index > 0)}" fill="{color}">{mark}</tspan><tspan dx="4">{escape(name)}</tspan>'
        for index, (color, mark, name) in enumerate(named)
    )
    return f'<text x="{x}" y="{_HEIGHT - 14}">{spans}</text>'


def _downsampled(times: Doubles, curve: Doubles) -> tuple[list[float], list[float]]:
    """At most 300 points: means over neighbours, NaN where all of them are."""
    step = max(1, math.ceil(len(times) / _MAX_POINTS))
    groups = [slice(start, start + step) for start in range(0, len(times), step)]
    means = [_mean(curve[group]) for group in groups]
    return [float(times[group].mean()) for group in groups], means


def _mean(values: Doubles) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


# --- over offsets --------------------------------------------------------------------------------


def _offset_plot(card: ScoreCard) -> Iterable[str]:
    x, y, width, height = _OFFSET_AREA
    scores = [(card.source, "currentColor", 0.5), (card.result, _RESULT, 1.0)]
    drawn = [
        (_above_median(score), color, opacity)
        for score, color, opacity in scores
        if score and score.by_offset
    ]
    low = min(-0.1, *(float(np.nanmin(curve)) for curve, _, _ in drawn))
    high = max(0.3, *(float(np.nanmax(curve)) for curve, _, _ in drawn))
    axes = Axes(*_OFFSET_AREA, left=-MAX_OFFSET, right=MAX_OFFSET, bottom=low, top=high)
    yield f'<path class="axis" d="M{x} {y + height}h{width}M{axes.across(0):.1f} {y}v{height}"/>'
    for offset in (-MAX_OFFSET, 0, MAX_OFFSET):
        side = "early" if offset > 0 else "late"
        name = f"{abs(offset)} {side}" if offset else "0"
        yield _text(axes.across(offset), y + height + 17, name, anchor="middle")
    for curve, color, opacity in drawn:
        yield _line(axes.curve(enumerate(curve.tolist(), -MAX_OFFSET)), color, opacity)
    best = card.result.offset
    if best is not None:
        peak = axes.down(float(drawn[-1][0][best + MAX_OFFSET]))
        yield f'<circle cx="{axes.across(best):.1f}" cy="{peak:.1f}" r="4" fill="{_RESULT}"/>'
    yield _text(x + width / 2, _HEIGHT - 14, "sound early or late, frames of 40 ms", anchor="middle")


def _above_median(score: SyncScore) -> Doubles:
    """Similarity above its median over offsets: what all offsets share does not depend on sync."""
    curve = np.array(score.by_offset, np.float64)
    return curve - np.nanmedian(curve)


# --- SVG elements --------------------------------------------------------------------------------


def _line(path: str, color: str, opacity: float = 1.0) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-opacity="{opacity}" '
        f'stroke-width="2" stroke-linejoin="round" stroke-linecap="round"/>'
    )


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
