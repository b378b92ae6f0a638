"""Building blocks of HTML reports: one self-contained file with its images inside."""

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
    """CSS of all that is built here."""
    return _STYLE.read_text("utf-8")


def page(title: str, body: Iterable[str], subtitle: str = "") -> str:
    """A complete HTML document; `body` is HTML, `title` and `subtitle` are plain text."""
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


def definition_list(values: Iterable[tuple[str, str]]) -> str:
    """Names and values in a grid."""
    pairs = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values)
    return f'<dl class="facts">{pairs}</dl>'


def notices(texts: Iterable[tuple[bool, str]]) -> str:
    """A list of sentences; True marks a warning."""
    items = "".join(
        f'<li class="warn"><strong>Note:</strong> {escape(text)}</li>'
        if is_warning
        else f"<li>{escape(text)}</li>"
        for is_warning, text in texts
    )
    return f'<ul class="notices">{items}</ul>'


def table(
    head: Sequence[str],
    lines: Sequence[Sequence[str]],
    labels: int,
    best: Iterable[tuple[int, int]] = (),
) -> str:
    """A table of text and number columns.

    Args:
        head: column headings.
        lines: cells by line.
        labels: how many of the first columns are text; the others are numbers.
        best: (line, column) of the cells to emphasise.
    """
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


def figure(frame: Frame, caption: str, max_side: int = 480) -> str:
    """A frame, RGB uint8 (H, W, 3), as an embedded JPEG of at most `max_side` pixels."""
    image = Image.fromarray(frame)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return (
        f'<figure><img src="data:image/jpeg;base64,{text}" width="{image.width}" '
        f'height="{image.height}" style="height:auto" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def figure_grid(figures: Iterable[str], large: bool = False) -> str:
    """Figures in a grid with as many columns as fit."""
    return f'<div class="figures{" large" if large else ""}">{"".join(figures)}</div>'


# --- plots over time -----------------------------------------------------------------------------

Span = tuple[float, float]
"""Start and end, seconds."""


def line_plot(
    points: Sequence[tuple[float, float]],
    duration: float,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    reference: float | None = None,
    shaded: Iterable[Span] = (),
    marks: Iterable[float] = (),
    note: str = "",
) -> str:
    """A line plot over time in SVG; empty if all values are NaN.

    Its labels are HTML outside of the SVG, which is stretched to the width of the page.

    Args:
        points: (seconds, value); NaN breaks the line.
        duration: length of the time axis, seconds.
        name: title of the plot.
        low, high: ends of the value axis; the extremes of the values by default.
        reference: a value to draw a dashed line at.
        shaded: spans to shade.
        marks: times to mark, seconds.
        note: text next to the title.
    """
    values = [value for _, value in points if value == value]
    if not values:
        return ""
    bottom = min(values) if low is None else low
    top = max(values) if high is None else high
    top = top + 0.05 * (top - bottom) if top > bottom else bottom + 1
    axes = Axes(0, 0, 1000, 100, left=0, right=duration, bottom=bottom, top=top)
    dashed = ""
    if reference is not None and bottom <= reference <= top:
        dashed = f'<path class="reference" d="M0 {axes.down(reference):.1f}h1000"/>'
    line = f'<path class="line" d="{axes.curve(points)}"/>'
    drawn = [*_rectangles(shaded, duration, "shaded"), dashed, *_marks(marks, duration), line]
    label = f"{name}: between {min(values):.3g} and {max(values):.3g}"
    return _plot("".join(drawn), duration, (name, note, label), "")


def interval_plot(
    intervals: Iterable[Span], duration: float, name: str, note: str, marks: Iterable[float] = ()
) -> str:
    """Time spans as bars in SVG; `note` is the text alternative."""
    drawn = [*_rectangles(intervals, duration, "interval"), *_marks(marks, duration)]
    return _plot("".join(drawn), duration, (name, note, f"{name}: {note}"), "low")


def _rectangles(intervals: Iterable[Span], duration: float, style: str) -> list[str]:
    return [
        f'<rect class="{style}" x="{1000 * start / duration:.1f}" y="0" '
        f'width="{max(1.0, 1000 * (end - start) / duration):.1f}" height="100"/>'
        for start, end in intervals
    ]


def _marks(times: Iterable[float], duration: float) -> list[str]:
    places = (f"{1000 * time / duration:.1f}" for time in times)
    return [f'<line class="mark" x1="{x}" x2="{x}" y1="0" y2="100"/>' for x in places]


def _plot(drawn: str, duration: float, texts: tuple[str, str, str], style: str) -> str:
    """A plot with its title, note and text alternative."""
    name, note, label = map(escape, texts)
    return (
        f'<div class="plot {style}"><div class="name"><span>{name}</span>'
        f'<span class="soft">{note}</span></div>'
        '<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{drawn}</svg>'
        f'<div class="axis"><span>0 s</span><span>{duration:.1f} s</span></div></div>'
    )
