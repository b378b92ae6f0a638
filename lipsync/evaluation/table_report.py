"""HTML report of an evaluation: the table, then frames and curves of each clip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lipsync.errors import LipsyncError
from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.evaluator import match_pair_frames
from lipsync.evaluation.table import ClipResult, ResultTable, clip_cells, columns
from lipsync.media import open_video
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken
from lipsync.types import Frame
from lipsync.utils import html_report as html
from lipsync.utils.timecodes import clock_time

MAX_CLIPS = 60
"""Clips that are shown with frames; a page with more is too large to open."""
_SIDE = 320


@dataclass(frozen=True)
class EvaluationPage:
    """An HTML page about an evaluation.

    Attributes:
        run: settings that the results were made with, to find the source frame of a result's frame.
        notes: remarks about the whole evaluation.
        reference: the video that a single one was compared with.
        cancel: checked between clips.
    """

    run: SyncOptions
    notes: Sequence[str] = ()
    reference: Path | None = None
    cancel: CancelToken = field(default_factory=CancelToken)

    def render(self, table: ResultTable, clips: Sequence[ClipResult], title: str = "Evaluation") -> str:
        """The page as an HTML document.

        Raises:
            Cancelled: the token was cancelled.
        """
        return html.page(title, self._sections(table, clips))

    def _sections(self, table: ResultTable, clips: Sequence[ClipResult]) -> Iterator[str]:
        header, cells = table.header(), table.cells()
        labels = len(header) - len(table.columns)
        yield html.section("Results", html.table(header, cells, labels, _best(table, labels)), _legend(table))
        failed = [f"{clip.variant}, {clip.pair.name}: {clip.failure}" for clip in clips if clip.failure]
        if failed or self.notes:
            texts = [*((True, text) for text in failed), *((False, text) for text in self.notes)]
            yield html.section("Notes", html.notices(texts))
        by_pair: dict[str, list[ClipResult]] = {}
        for clip in clips:
            by_pair.setdefault(clip.pair.name, []).append(clip)
        for number, variants in enumerate(by_pair.values()):
            self.cancel.check("Writing the page")
            if number == MAX_CLIPS:
                left = len(by_pair) - MAX_CLIPS
                yield html.paragraph(f"{left} more clips are in the table, but not shown here.", "soft")
                return
            yield self._clip(variants)

    def _clip(self, variants: Sequence[ClipResult]) -> str:
        pair = variants[0].pair
        parts = [html.paragraph(_description(pair), "soft small")]
        used = {key for clip in variants for key in clip.values}
        measured = [column for column in columns() if column.key in used]
        if measured:
            header, cells = clip_cells(variants, measured)
            parts.append(html.table(header, cells, 1))
        for clip in variants:
            if clip.failure:
                parts.append(html.notices([(True, f"{clip.variant}: {clip.failure}")]))
            parts.append(html.notices((False, f"{clip.variant}: {note}") for note in clip.notes))
        parts.append(self._images(variants))
        parts += _curves(variants)
        return html.section(pair.name, *parts)

    def _images(self, variants: Sequence[ClipResult]) -> str:
        """The first and the middle frame: of the source, then of each result."""
        rows: dict[str, list[str]] = {"first": [], "middle": []}
        for clip in variants:
            if clip.result is None:
                continue
            try:
                source, result, time = self._frames(clip)
            except LipsyncError:  # the file is gone
                continue
            for name, index, seconds in (("first", 0, 0.0), ("middle", 1, time)):
                at = clock_time(seconds, 1)
                if not rows[name] and source:
                    rows[name].append(html.figure(source[index], f"source, {at}", _SIDE))
                rows[name].append(html.figure(result[index], f"{clip.variant}, {at}", _SIDE))
        return "".join(html.figure_grid(row, large=True) for row in rows.values() if row)

    def _frames(self, clip: ClipResult) -> tuple[list[Frame], list[Frame], float]:
        """First and middle frame of source and result, and the time of the middle one."""
        assert clip.result is not None
        result = open_video(clip.result)
        numbers = [0, result.frame_count // 2]
        result_frames = list(result.read(numbers, max_side=_SIDE, cancel=self.cancel))
        source_frames: list[Frame] = []
        if self.reference or clip.result != clip.pair.video:
            by_time = self.reference is not None
            source = open_video(self.reference or clip.pair.video, None if by_time else self.run.media)
            matches = match_pair_frames(result, source, clip.pair, self.run, by_time=by_time)
            wanted = [int(matches[min(number, len(matches) - 1)]) for number in numbers]
            source_frames = list(source.read(wanted, max_side=_SIDE, cancel=self.cancel))
        return source_frames, result_frames, numbers[1] / float(result.fps)


def _best(table: ResultTable, labels: int) -> Iterator[tuple[int, int]]:
    """Row and column of the best values, as displayed, among the variants of a set and language."""
    for index, column in enumerate(table.columns):
        groups: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for number, row in enumerate(table.rows):
            value = row.values.get(column.key, math.nan)
            if column.better and not math.isnan(value):
                groups.setdefault(row.key[:2], []).append((round(value, column.digits), number))
        for group in groups.values():
            values = {value for value, _ in group}
            best = (min if column.better == "lower" else max)(values)
            yield from (
                (number, labels + index) for value, number in group if value == best and len(values) > 1
            )


def _legend(table: ResultTable) -> str:
    texts = (
        f"{column.title}: {column.what}{f'; {column.better} is better' if column.better else ''}."
        for column in table.columns
    )
    return "".join(html.paragraph(text, "soft small") for text in texts)


def _description(pair: Pair) -> str:
    voice = "its own voice" if pair.own_voice else f"the voice of {pair.voice.name}"
    parts = [f"{pair.video.name} with {voice}", pair.group, pair.language]
    return ", ".join(part for part in parts if part)


def _curves(variants: Sequence[ClipResult]) -> Iterator[str]:
    """Sync confidence over time of each variant, on one scale."""
    top = max((value for clip in variants for _, value in clip.curve if value == value), default=0.0)
    low = min((value for clip in variants for _, value in clip.curve if value == value), default=0.0)
    for clip in variants:
        if clip.curve:
            end = max(time for time, _ in clip.curve) + 0.5
            name = f"Sync confidence, {clip.variant}"
            yield html.line_plot(clip.curve, end, name, low=min(0.0, low), high=max(0.1, top), reference=0.0)
