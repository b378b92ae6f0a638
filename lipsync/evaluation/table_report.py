"""The table of many clips as a page to look at, with pictures and curves of each clip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from lipsync.errors import LipsyncError
from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.evaluator import shown_frames
from lipsync.evaluation.table import ClipResult, Table, as_cells, columns
from lipsync.media import open_video
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken
from lipsync.types import Frame
from lipsync.utils import html_report as html
from lipsync.utils.timecodes import clock_time

MOST_CLIPS = 60
"""Clips that are shown with pictures; a page with more is too large to open."""
_SIDE = 320


def table_page(
    table: Table,
    judged: Sequence[ClipResult],
    run: SyncOptions,
    notes: Sequence[str] = (),
    title: str = "Evaluation",
    reference: Path | None = None,
    cancel: CancelToken | None = None,
) -> str:
    """The page, as HTML.

    Args:
        run: how the results were made, to find the source's frame that belongs to a result's.
        notes: what holds for all of it.
        reference: the video that a single one was compared with.
    """
    return html.page(title, _parts(table, judged, run, notes, reference, cancel or CancelToken()))


def _parts(
    table: Table,
    judged: Sequence[ClipResult],
    run: SyncOptions,
    notes: Sequence[str],
    reference: Path | None,
    cancel: CancelToken,
) -> Iterator[str]:
    head, lines = table.head(), table.lines()
    labels = len(head) - len(table.columns)
    yield html.section("Figures", html.table(head, lines, labels, _best(table, labels)), _meaning(table))
    failed = [f"{one.variant}, {one.pair.name}: {one.failure}" for one in judged if one.failure]
    if failed or notes:
        texts = [*((True, text) for text in failed), *((False, text) for text in notes)]
        yield html.section("To know", html.notices(texts))
    by_pair: dict[str, list[ClipResult]] = {}
    for one in judged:
        by_pair.setdefault(one.pair.name, []).append(one)
    for number, clips in enumerate(by_pair.values()):
        cancel.check("Writing the page")
        if number == MOST_CLIPS:
            left = len(by_pair) - MOST_CLIPS
            yield html.paragraph(f"{left} more clips are in the table, but not shown here.", "soft")
            return
        yield _clip(clips, run, reference, cancel)


def _best(table: Table, labels: int) -> Iterator[tuple[int, int]]:
    """The best figures of each column among the variants of a set and language, as shown."""
    for place, column in enumerate(table.columns):
        groups: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for number, row in enumerate(table.rows):
            value = row.figures.get(column.key, math.nan)
            if column.better and not math.isnan(value):
                groups.setdefault(row.key[:2], []).append((round(value, column.digits), number))
        for found in groups.values():
            values = {value for value, _ in found}
            best = (min if column.better == "lower" else max)(values)
            yield from (
                (number, labels + place) for value, number in found if value == best and len(values) > 1
            )


def _meaning(table: Table) -> str:
    said = (
        f"{column.title}: {column.what}{f'; {column.better} is better' if column.better else ''}."
        for column in table.columns
    )
    return "".join(html.paragraph(text, "soft small") for text in said)


def _clip(clips: Sequence[ClipResult], run: SyncOptions, reference: Path | None, cancel: CancelToken) -> str:
    pair = clips[0].pair
    parts = [html.paragraph(_about(pair), "soft small")]
    found = {key for clip in clips for key in clip.figures}
    measured = [column for column in columns() if column.key in found]
    if measured:
        head, lines = as_cells(clips, measured)
        parts.append(html.table(head, lines, 1))
    for clip in clips:
        if clip.failure:
            parts.append(html.notices([(True, f"{clip.variant}: {clip.failure}")]))
        parts.append(html.notices((False, f"{clip.variant}: {note}") for note in clip.notes))
    parts.append(_pictures(clips, run, reference, cancel))
    top = max((value for clip in clips for _, value in clip.curve if value == value), default=0.0)
    low = min((value for clip in clips for _, value in clip.curve if value == value), default=0.0)
    for clip in clips:
        if clip.curve:
            end = max(time for time, _ in clip.curve) + 0.5
            name = f"Sync confidence, {clip.variant}"
            parts.append(
                html.line_plot(clip.curve, end, name, low=min(0.0, low), high=max(0.1, top), reference=0.0)
            )
    return html.section(pair.name, *parts)


def _about(pair: Pair) -> str:
    voice = "its own voice" if pair.own_voice else f"the voice of {pair.voice.name}"
    told = [f"{pair.video.name} with {voice}", pair.group, pair.language]
    return ", ".join(part for part in told if part)


def _pictures(
    clips: Sequence[ClipResult], run: SyncOptions, reference: Path | None, cancel: CancelToken
) -> str:
    """The first and the middle frame: of the source, then of each result."""
    rows: dict[str, list[str]] = {"first": [], "middle": []}
    for clip in clips:
        if clip.result is None:
            continue
        try:
            before, after, time = _frames(clip, run, reference, cancel)
        except LipsyncError:  # its file has gone since
            continue
        for name, place, seconds in (("first", 0, 0.0), ("middle", 1, time)):
            if not rows[name] and before:
                rows[name].append(html.figure(before[place], f"source, {clock_time(seconds, 1)}", _SIDE))
            rows[name].append(html.figure(after[place], f"{clip.variant}, {clock_time(seconds, 1)}", _SIDE))
    return "".join(html.figure_grid(row, large=True) for row in rows.values() if row)


def _frames(
    clip: ClipResult, run: SyncOptions, reference: Path | None, cancel: CancelToken
) -> tuple[list[Frame], list[Frame], float]:
    """Of the source and of the result, the first and the middle one; and the time of the latter."""
    assert clip.result is not None
    result = open_video(clip.result)
    numbers = [0, result.frame_count // 2]
    after = list(result.read(numbers, max_side=_SIDE, cancel=cancel))
    before: list[Frame] = []
    if reference or clip.result != clip.pair.video:
        source = open_video(reference) if reference else open_video(clip.pair.video, run.media)
        shown = shown_frames(result, source, clip.pair, run, by_time=reference is not None)
        wanted = [int(shown[min(number, len(shown) - 1)]) for number in numbers]
        before = list(source.read(wanted, max_side=_SIDE, cancel=cancel))
    return before, after, numbers[1] / float(result.fps)
