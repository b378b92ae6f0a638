"""A table of parts to use: start and end as text, buttons that take the player's position."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.errors import RangeError
from lipsync.types import TimeRange
from lipsync.ui import strings
from lipsync.ui.handlers import range_problem
from lipsync.utils.timecodes import typed_time

MOST = 6
"""Rows of a table. More parts than that are for the command line."""
# Written as people write times. Without a player the field stays as it is.
_POSITION = """(now) => {{
  const player = [...document.querySelectorAll('{players}')].find((one) => one.duration > 0);
  if (!player) return now;
  const minutes = Math.floor(player.currentTime / 60);
  return minutes + ':' + (player.currentTime - 60 * minutes).toFixed(2).padStart(5, '0');
}}"""


@dataclass(frozen=True)
class RangeTable:
    """The components of one table.

    Attributes:
        fields: start and end of the first row, of the second, ...
        notes: what is wrong with a row, under it.
        rows: the rows, of which the first `count` are shown.
    """

    fields: list[gr.Textbox]
    notes: list[gr.HTML]
    rows: list[gr.Group]
    count: gr.State

    @property
    def all(self) -> list[Any]:
        """Everything that `shown` gives values for."""
        return [*self.fields, *self.notes, *self.rows, self.count]


def read_ranges(fields: tuple[str, ...] | list[str]) -> tuple[TimeRange, ...]:
    """The parts in the fields of a table; rows with nothing in them do not count.

    Raises:
        RangeError: a row cannot be read; says which.
    """
    parts = []
    for number, (start, end) in enumerate(zip(fields[::2], fields[1::2], strict=True)):
        if (start or "").strip() or (end or "").strip():
            try:
                parts.append(TimeRange.parse(f"{start.strip()}-{end.strip()}"))
            except RangeError as error:
                raise RangeError(
                    strings.RANGE_BAD.format(number=number + 1), given=error.given, hint=error.hint
                ) from error
    return tuple(parts)


def shown(ranges: tuple[TimeRange, ...]) -> list[Any]:
    """Values for `RangeTable.all` that show these parts."""
    parts = [
        (
            "" if part.start == 0 and part.end else typed_time(part.start),
            typed_time(part.end) if part.end else "",
        )
        for part in ranges[:MOST]
    ]
    filled = [text for part in parts for text in part]
    count = max(1, len(parts))
    rows = [gr.Group(visible=number < count) for number in range(MOST)]
    return [*filled, *[""] * (2 * MOST - len(filled)), *[""] * MOST, *rows, count]


def build_ranges(name: str, players: str) -> RangeTable:
    """Lay out a table.

    Args:
        name: "video" or "voice".
        players: CSS selector of the players whose position the buttons take.
    """
    position = _POSITION.format(players=players)
    fields: list[gr.Textbox] = []
    notes: list[gr.HTML] = []
    rows: list[gr.Group] = []
    removers: list[gr.Button] = []
    with gr.Accordion(strings.RANGES[name], open=False, elem_id=f"{name}-ranges"):
        gr.Markdown(strings.RANGES_ABOUT)
        for number in range(1, MOST + 1):
            with gr.Group(visible=number == 1) as row:
                with gr.Row(elem_classes="range-row"):
                    for side, words, here in (
                        ("start", strings.RANGE_START, strings.RANGE_START_HERE),
                        ("end", strings.RANGE_END, strings.RANGE_END_HERE),
                    ):
                        place = f"{name}-{side}-{number}"
                        with gr.Column(min_width=120):
                            field = gr.Textbox(
                                label=words.format(number=number),
                                placeholder=strings.RANGE_PLACE,
                                max_lines=1,
                                elem_id=place,
                            )
                            button = gr.Button(here, size="sm", elem_id=f"{place}-here")
                        button.click(None, field, field, js=position)
                        fields.append(field)
                remove = gr.Button(strings.RANGE_REMOVE, size="sm", elem_id=f"{name}-remove-{number}")
                removers.append(remove)
                notes.append(gr.HTML(elem_classes="range-note"))
            rows.append(row)
        add = gr.Button(strings.RANGE_ADD, size="sm", elem_id=f"{name}-add")
    table = RangeTable(fields, notes, rows, gr.State(1))
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    add.click(_one_more, table.count, [table.count, *rows], **quiet)
    for number, remove in enumerate(removers):
        remove.click(_without(number), [table.count, *fields], table.all, **quiet)
    return table


def mark_problems(path: str | None, sound: bool, fields: tuple[str, ...]) -> list[str]:
    """A note for every row: what is wrong with it, as HTML; "" when nothing is."""
    problems = (
        range_problem(start or "", end or "", path, sound=sound)
        for start, end in zip(fields[::2], fields[1::2], strict=True)
    )
    return [
        f'<div class="problem" role="alert">✕ {html.escape(words)}</div>' if words else ""
        for words in problems
    ]


def _one_more(count: int) -> list[Any]:
    count = min(MOST, count + 1)
    return [count, *(gr.Group(visible=number < count) for number in range(MOST))]


def _without(number: int) -> Callable[..., list[Any]]:
    """What removing a row does: the rows below move up."""

    def remove(count: int, *fields: str) -> list[Any]:
        left = [*fields[: 2 * number], *fields[2 * number + 2 :], "", ""]
        count = max(1, count - 1)
        return [*left, *[""] * MOST, *(gr.Group(visible=row < count) for row in range(MOST)), count]

    return remove
