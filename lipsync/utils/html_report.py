"""Building blocks of reports to look at: one HTML file that carries its pictures and needs no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from PIL import Image

from lipsync.types import Frame
from lipsync.utils.svg import Axes

_STYLE = files("lipsync.utils").joinpath("html_report.css")


def style() -> str:
    """The style of all that is built here, as CSS."""
    return _STYLE.read_text("utf-8")


def page(title: str, body: Iterable[str], subtitle: str = "") -> str:
    """A whole HTML document. `body` is HTML; `title` and `subtitle` are plain text."""
    under = f'<p class="soft">{escape(subtitle)}</p>' if subtitle else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style()}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{under}{''.join(body)}</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A card with a heading; `parts` are HTML."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{style}">{escape(text)}</p>' if style else f"<p>{escape(text)}</p>"


def facts(values: Iterable[tuple[str, str]]) -> str:
    """Names with values, in a grid."""
    pairs = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values)
    return f'<dl class="facts">{pairs}</dl>'


def signs(texts: Iterable[tuple[bool, str]]) -> str:
    """A list of sentences; those with True are warnings, and say so."""
    items = "".join(
        f'<li class="warn"><strong>Note:</strong> {escape(text)}</li>'
        if warns
        else f"<li>{escape(text)}</li>"
        for warns, text in texts
    )
    return f'<ul class="signs">{items}</ul>'


def table(
    head: Sequence[str],
    lines: Sequence[Sequence[str]],
    labels: int,
    best: Iterable[tuple[int, int]] = (),
) -> str:
    """A table; the first `labels` columns are words, the others numbers. `best` are (line, column)."""
    chosen = set(best)

    def cell(kind: str, text: str, at: int, line: int = -1) -> str:
        names = [*(["number"] if at >= labels else []), *(["best"] if (line, at) in chosen else [])]
        scope = ' scope="col"' if kind == "th" else ""
        style = f' class="{" ".join(names)}"' if names else ""
        return f"<{kind}{scope}{style}>{escape(text)}</{kind}>"

    top = "".join(cell("th", text, at) for at, text in enumerate(head))
    rows = "".join(
        f"<tr>{''.join(cell('td', text, at, number) for at, text in enumerate(line))}</tr>"
        for number, line in enumerate(lines)
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table">'
        f'<table class="wide"><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def picture(frame: Frame, caption: str, side: int = 480) -> str:
    """A frame, RGB uint8 (H, W, 3), reduced to `side` pixels and carried in the page."""
    image = Image.fromarray(frame)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return (
        f'<figure><img src="data:image/jpeg;base64,{text}" width="{image.width}" '
        f'height="{image.height}" style="height:auto" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def pictures(figures: Iterable[str], large: bool = False) -> str:
    """Pictures beside each other, as many as fit."""
    return f'<div class="pictures{" large" if large else ""}">{"".join(figures)}</div>'


# --- curves --------------------------------------------------------------------------------------

Span = tuple[float, float]


def curve(
    points: Sequence[tuple[float, float]],
    duration: float,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    base: float | None = None,
    weak: Iterable[Span] = (),
    marks: Iterable[float] = (),
    told: str = "",
) -> str:
    """A line over time, as SVG, with its words beside it rather than in it, so that they stay readable.

    Args:
        points: (seconds, value); NaN breaks the line.
        low, high: ends of the value axis (default: what the values reach).
        base: a value to draw a dashed line at.
        weak: stretches to shade, seconds.
        marks: moments to mark, seconds.
        told: a note that stands beside the name.
    """
    values = [value for _, value in points if value == value]
    if not values:
        return ""
    bottom = min(values) if low is None else low
    top = max(values) if high is None else high
    top = top + 0.05 * (top - bottom) if top > bottom else bottom + 1
    axes = Axes(0, 0, 1000, 100, left=0, right=duration, bottom=bottom, top=top)
    dashed = ""
    if base is not None and bottom <= base <= top:
        dashed = f'<path class="base" d="M0 {axes.down(base):.1f}h1000"/>'
    line = f'<path class="line" d="{axes.curve(points)}"/>'
    drawn = [*_rectangles(weak, duration, "weak"), dashed, *_marks(marks, duration), line]
    said = f"{name}: between {min(values):.3g} and {max(values):.3g}"
    return _plot("".join(drawn), duration, name, told, said, "")


def spans(found: Iterable[Span], duration: float, name: str, told: str, marks: Iterable[float] = ()) -> str:
    """Stretches of time as bars; `told` says the same in words."""
    drawn = [*_rectangles(found, duration, "span"), *_marks(marks, duration)]
    return _plot("".join(drawn), duration, name, told, f"{name}: {told}", "low")


def _rectangles(found: Iterable[Span], duration: float, style: str) -> list[str]:
    return [
        f'<rect class="{style}" x="{1000 * start / duration:.1f}" y="0" '
        f'width="{max(1.0, 1000 * (end - start) / duration):.1f}" height="100"/>'
        for start, end in found
    ]


def _marks(found: Iterable[float], duration: float) -> list[str]:
    places = (f"{1000 * time / duration:.1f}" for time in found)
    return [f'<line class="mark" x1="{x}" x2="{x}" y1="0" y2="100"/>' for x in places]


def _plot(drawn: str, duration: float, name: str, told: str, said: str, style: str) -> str:
    return (
        f'<div class="plot {style}"><div class="name"><span>{escape(name)}</span>'
        f'<span class="soft">{escape(told)}</span></div>'
        '<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(said)}">{drawn}</svg>'
        f'<div class="axis"><span>0 s</span><span>{duration:.1f} s</span></div></div>'
    )
