"""The table of time ranges: filling, reading, checking, adding and removing rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from lipsync.errors import RangeError
from lipsync.types import TimeRange
from lipsync.ui.components.range_table import MAX_ROWS, RangeTable, build_ranges
from tests.make_media import make_video


@pytest.fixture
def table() -> RangeTable:
    with gr.Blocks():
        return build_ranges("video", "#video video")


def shown_rows(table: RangeTable, updates: dict[Any, Any]) -> int:
    return sum(updates[row.group].visible for row in table.rows)


def typed(table: RangeTable, *texts: tuple[str, str]) -> dict[Any, Any]:
    """What Gradio passes to a handler when these ranges were typed."""
    values: dict[Any, Any] = {table.count: max(1, len(texts)), **dict.fromkeys(table.fields, "")}
    for row, (start, end) in zip(table.rows, texts, strict=False):
        values |= {row.start: start, row.end: end}
    return values


def test_ranges_go_to_the_table_and_back(table: RangeTable) -> None:
    ranges = (TimeRange(0, 2.5), TimeRange(62, None))
    updates = table.show(ranges)
    assert set(updates) == set(table.outputs)
    assert (updates[table.count], shown_rows(table, updates)) == (2, 2)
    assert table.read(updates) == ranges
    empty = table.show(())
    assert (empty[table.count], shown_rows(table, empty)) == (1, 1)
    assert table.read(empty) == ()


def test_an_empty_row_is_skipped_and_an_invalid_one_named(table: RangeTable) -> None:
    assert table.read(typed(table, ("", ""), (" 1", "2 "))) == (TimeRange(1, 2),)
    with pytest.raises(RangeError, match="Part 2 cannot be read"):
        table.read(typed(table, ("", "1"), ("2", "1")))


def test_invalid_rows_are_marked_in_their_place(table: RangeTable, tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", frames=50)
    values = typed(table, ("1", "2"), ("2", "1"), ("<b>", ""))
    notes = table.check(values, str(video), audio=False)
    assert [bool(notes[row.note]) for row in table.rows] == [False, True, True, *[False] * (MAX_ROWS - 3)]
    assert "<b>" not in notes[table.rows[2].note]


def test_rows_are_added_up_to_the_last(table: RangeTable) -> None:
    assert shown_rows(table, table.add_row(1)) == 2
    updates = table.add_row(MAX_ROWS)
    assert (updates[table.count], shown_rows(table, updates)) == (MAX_ROWS, MAX_ROWS)


def test_rows_below_a_removed_one_move_up(table: RangeTable) -> None:
    updates = table.remove_row(0)(typed(table, ("1", "2"), ("5", "")))
    assert (updates[table.rows[0].start], updates[table.rows[1].start]) == ("5", "")
    assert (updates[table.count], shown_rows(table, updates)) == (1, 1)
    last = table.remove_row(0)(typed(table, ("1", "2")))
    assert shown_rows(table, last) == 1  # one row stays
    assert table.read(last) == ()
