"""One line drawn again: which parts change."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from lipsync.errors import InputError
from lipsync.segments import parse_segments
from lipsync.types import SyncResult, TimeRange
from lipsync.ui.redraw import redraw_request
from lipsync.ui.request import SyncRequest
from tests.material import VOICE, make_head


def parts_of(before: SyncRequest, now: SyncRequest, row: int) -> tuple[TimeRange, ...]:
    result = SyncResult(Path("last.mp4"), 100, 50, Fraction(25), 320, 240, "builtin", {}, ())
    redraw = redraw_request(now, before, result, row).redraw
    assert redraw is not None and redraw.result == result.path
    return redraw.parts


def test_a_line_is_drawn_with_what_else_has_changed(tmp_path: Path) -> None:
    video = make_head(tmp_path / "head.mp4", parts=[4])

    def request(text: str) -> SyncRequest:
        return SyncRequest(str(video), str(VOICE), segments=parse_segments(text))

    before = request("0-1; 1.5-2.5 voice=1-2; 3-3.5")
    assert parts_of(before, before, 1) == (TimeRange(1.5, 2.5),)
    other_voice = request("0-1; 1.5-2.5 voice=2-3; 3-3.5")
    assert parts_of(before, other_voice, 0) == (TimeRange(0, 1), TimeRange(1.5, 2.5))
    moved = request("0-1; 1.5-2.5 voice=1-2; 2.8-3.2")
    assert parts_of(before, moved, 2) == (TimeRange(2.8, 3.2), TimeRange(3, 3.5)), (
        "its old place is drawn too"
    )
    removed = request("0-1; 3-3.5")
    assert parts_of(before, removed, 0) == (TimeRange(0, 1), TimeRange(1.5, 2.5))
    other = make_head(tmp_path / "other.mp4", parts=[2])
    with pytest.raises(InputError):
        parts_of(before, replace(request("0-1"), video=str(other)), 0)
