"""Table of time ranges: text fields, and buttons that take the player's position."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.errors import RangeError
from lipsync.types import TimeRange
from lipsync.ui.components.status import UNQUEUED, Updates, Values
from lipsync.ui.handlers import range_error
from lipsync.ui.languages import strings
from lipsync.utils.timecodes import typed_time

MAX_ROWS = 6
"""Rows of a table; more ranges can be given on the command line."""
# Formatted as `typed_time` does. Without a player the field keeps its value.
_POSITION = """(now) => {{
  const player = [...document.querySelectorAll('{players}')].find((one) => one.duration > 0);
  if (!player) return now;
  const minutes = Math.floor(player.currentTime / 60);
  return minutes + ':' + (player.currentTime - 60 * minutes).toFixed(2).padStart(5, '0');
}}"""


@dataclass(frozen=True)
class RangeRow:
    """One row: start and end of a range, and an error note below."""

    group: gr.Group
    start: gr.Textbox
    end: gr.Textbox
    note: gr.HTML
    remove: gr.Button


@dataclass(frozen=True)
class RangeTable:
    """A table of time ranges.

    Attributes:
        rows: all `MAX_ROWS` of them.
        count: how many of the rows are shown.
    """

    rows: tuple[RangeRow, ...]
    count: gr.State

    @property
    def fields(self) -> list[gr.Textbox]:
        """The text fields, in order."""
        return [field for row in self.rows for field in (row.start, row.end)]

    @property
    def notes(self) -> list[gr.HTML]:
        """The notes of the rows, in order."""
        return [row.note for row in self.rows]

    @property
    def outputs(self) -> list[Any]:
        """All components that `show` updates."""
        return [*self.fields, *self.notes, *(row.group for row in self.rows), self.count]

    def texts(self, values: Values) -> list[tuple[str, str]]:
        """Return start and end of every row, as typed."""
        return [((values[row.start] or "").strip(), (values[row.end] or "").strip()) for row in self.rows]

    def read(self, values: Values) -> tuple[TimeRange, ...]:
        """Parse the rows; empty ones are skipped.

        Raises:
            RangeError: a row is invalid; names it.
        """
        return parse_ranges(self.texts(values))

    def show(self, ranges: tuple[TimeRange, ...]) -> Updates:
        """Return the updates that fill the table with ranges; those beyond `MAX_ROWS` are dropped."""
        texts = [
            (
                "" if part.start == 0 and part.end else typed_time(part.start),
                typed_time(part.end) if part.end else "",
            )
            for part in ranges[:MAX_ROWS]
        ]
        return self._show_texts(texts, max(1, len(texts)))

    def _show_texts(self, texts: list[tuple[str, str]], count: int) -> Updates:
        padded = [*texts, *[("", "")] * (MAX_ROWS - len(texts))]
        updates: Updates = {**self._show_rows(count), **dict.fromkeys(self.notes, "")}
        for row, (start, end) in zip(self.rows, padded, strict=True):
            updates |= {row.start: start, row.end: end}
        return updates

    def _show_rows(self, count: int) -> Updates:
        groups = {row.group: gr.Group(visible=number < count) for number, row in enumerate(self.rows)}
        return {self.count: count, **groups}

    def add_row(self, count: int) -> Updates:
        """Handle the button that adds a row."""
        return self._show_rows(min(MAX_ROWS, count + 1))

    def remove_row(self, number: int) -> Callable[[Values], Updates]:
        """Return the handler of the button that removes a row; the rows below move up."""

        def remove(values: Values) -> Updates:
            texts = [(values[row.start], values[row.end]) for row in self.rows]
            return self._show_texts([*texts[:number], *texts[number + 1 :]], max(1, values[self.count] - 1))

        return remove

    def check(self, values: Values, path: str | None, *, audio: bool) -> Updates:
        """Return the error notes of all rows.

        Args:
            path: the file that the ranges are of; None while not given.
            audio: they are of the file's audio.
        """
        return {
            row.note: problem_note(range_error(*texts, path, audio=audio))
            for row, texts in zip(self.rows, self.texts(values), strict=True)
        }


def parse_ranges(texts: list[tuple[str, str]]) -> tuple[TimeRange, ...]:
    """Parse pairs of start and end, as typed; empty pairs are skipped.

    Raises:
        RangeError: a pair is invalid; names its row, counted from 1.
    """
    ranges = []
    for number, (start, end) in enumerate(texts, 1):
        if start or end:
            try:
                ranges.append(TimeRange.parse(f"{start}-{end}"))
            except RangeError as error:
                raise RangeError(
                    strings.RANGE_BAD.format(number=number), given=error.given, hint=error.hint
                ) from error
    return tuple(ranges)


def problem_note(text: str) -> str:
    """Render a problem of a row as HTML; "" for none."""
    return f'<div class="problem" role="alert">✕ {html.escape(text)}</div>' if text else ""


def build_ranges(name: str, players: str) -> RangeTable:
    """Build a table and connect its buttons.

    Args:
        name: "video" or "voice".
        players: CSS selector of the players whose position the buttons take.
    """
    position = _POSITION.format(players=players)
    with gr.Accordion(strings.RANGES[name], open=False, elem_id=f"{name}-ranges"):
        gr.Markdown(strings.RANGES_ABOUT)
        rows = tuple(_build_row(name, number, position) for number in range(1, MAX_ROWS + 1))
        add = gr.Button(strings.RANGE_ADD, size="sm", elem_id=f"{name}-add")
    table = RangeTable(rows, gr.State(1))
    add.click(table.add_row, table.count, [table.count, *(row.group for row in rows)], **UNQUEUED)
    for number, row in enumerate(rows):
        row.remove.click(table.remove_row(number), {table.count, *table.fields}, table.outputs, **UNQUEUED)
    return table


def _build_row(name: str, number: int, position: str) -> RangeRow:
    with gr.Group(visible=number == 1) as group:
        with gr.Row(elem_classes="range-row"):
            start = _build_field(
                strings.RANGE_START, strings.RANGE_START_HERE, f"{name}-start-{number}", number, position
            )
            end = _build_field(
                strings.RANGE_END, strings.RANGE_END_HERE, f"{name}-end-{number}", number, position
            )
        remove = gr.Button(strings.RANGE_REMOVE, size="sm", elem_id=f"{name}-remove-{number}")
        note = gr.HTML(elem_classes="range-note")
    return RangeRow(group, start, end, note, remove)


def _build_field(label: str, here: str, name: str, number: int, position: str) -> gr.Textbox:
    """A time field, and the button below it that takes the player's position (in JavaScript)."""
    with gr.Column(min_width=120):
        field = gr.Textbox(
            label=label.format(number=number),
            placeholder=strings.RANGE_PLACEHOLDER,
            max_lines=1,
            elem_id=name,
        )
        button = gr.Button(here, size="sm", elem_id=f"{name}-here")
    button.click(None, field, field, js=position)
    return field
