"""Progress reports, their estimate, and the cancel token."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.errors import Cancelled
from lipsync.progress import CancelToken, Progress, StageProgress


def test_a_stage_reports_its_start_and_its_end() -> None:
    seen: list[Progress] = []
    stage = StageProgress("Drawing", 50, seen.append)
    for _ in range(50):
        stage.advance()
    assert (seen[0].done, seen[-1].done, seen[-1].fraction) == (0, 50, 1.0)
    assert len(seen) < 20  # not one report a frame


def test_the_time_left_is_estimated_from_the_rate() -> None:
    now = [100.0]
    seen: list[Progress] = []
    stage = StageProgress("Drawing", 10, seen.append, clock=lambda: now[0])
    now[0] += 5  # a slow start must not spoil the estimate
    stage.advance()
    for _ in range(4):
        now[0] += 2
        stage.advance()
    assert seen[-1].seconds_left == pytest.approx(5 * 2)


def test_an_unknown_total_has_no_fraction() -> None:
    assert Progress("Fetching", 10, 0).fraction == 0


def test_a_cancelled_stage_stops_at_the_next_step() -> None:
    token = CancelToken()
    stage = StageProgress("Drawing", 10, cancel=token)
    stage.advance()
    token.cancel()
    with pytest.raises(Cancelled, match="Drawing"):
        stage.advance()
    assert stage.done == 1


def test_a_preview_is_asked_for_once_a_second() -> None:
    now = [100.0]
    seen: list[Progress] = []
    stage = StageProgress("Drawing", 100, seen.append, clock=lambda: now[0])
    for number in range(12):
        stage.advance(preview=lambda number=number: np.full((2, 2, 3), number, np.uint8))  # type: ignore[misc]
        now[0] += 0.25
    assert [report.preview[0, 0, 0] for report in seen if report.preview is not None] == [0, 4, 8]


@pytest.mark.parametrize(
    ("unit", "done", "total", "told"),
    [
        ("frame", 3, 10, "3 of 10 frames"),
        ("line", 0, 5, "0 of 5 lines"),
        ("s", 7, 90, "7 of 90 s"),
        ("byte", 500_000, 900_000, "0.5 of 0.9 MB"),
        ("line", 3, 0, ""),
    ],
)
def test_each_stage_tells_what_it_counts(unit: str, done: int, total: int, told: str) -> None:
    reports: list[Progress] = []
    stage = StageProgress("Working", total, reports.append, done=done, unit=unit)
    assert reports[-1].amount == told
    stage.advance(0)
    assert reports[-1].amount == told
