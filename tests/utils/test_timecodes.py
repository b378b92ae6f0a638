"""Times in text, written and read back."""

from __future__ import annotations

import pytest

from lipsync.types import TimeRange
from lipsync.utils.timecodes import clock_time, parse_time, spoken_duration, subtitle_time, typed_time


def test_clock() -> None:
    assert [clock_time(time) for time in (3, 760, 3723)] == ["0:03", "12:40", "1:02:03"]
    assert [clock_time(time, 1) for time in (3723.44, 59.97, 0)] == ["1:02:03.4", "1:00.0", "0:00.0"]


def test_typed_times() -> None:
    assert [typed_time(time) for time in (0, 62.5, 3599.996)] == ["0:00", "1:02.5", "60:00"]
    assert TimeRange.parse(f"{typed_time(62.5)}-") == TimeRange(62.5)


def test_durations() -> None:
    assert [spoken_duration(time) for time in (4.25, 59, 125)] == ["4.2 s", "59 s", "2 min 5 s"]


@pytest.mark.parametrize("seconds", [0.0, 0.001, 59.9996, 3661.25, 360_000.5])
def test_subtitles_keep_milliseconds(seconds: float) -> None:
    text = subtitle_time(seconds, ".")
    assert parse_time(text) == pytest.approx(seconds, abs=0.0005)
    assert subtitle_time(seconds, ",") == text.replace(".", ",")


def test_subtitle_times_have_two_digits_each() -> None:
    assert subtitle_time(3723.4561, ",") == "01:02:03,456"


def test_seconds_alone_and_with_minutes() -> None:
    assert [parse_time(text) for text in ("1:02:03.5", "62:03.5", "3723.5", ".5")] == [3723.5] * 3 + [0.5]
