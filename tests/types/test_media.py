"""Time ranges as people write them, and the checks of the value types."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.errors import RangeError
from lipsync.types import AudioClip, FaceTrack, TimeRange


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2-4.5", 2, 4.5),
        ("1:02.5-1:10", 62.5, 70),
        ("1:00:00-1:00:01.25", 3600, 3601.25),
        (" 3 - 5 ", 3, 5),
        ("3–5", 3, 5),
        ("3 to 5", 3, 5),
        ("7-", 7, None),
        ("-4", 0, 4),
        (".5-1.", 0.5, 1),
    ],
)
def test_ranges_are_read_as_people_write_them(text: str, start: float, end: float | None) -> None:
    assert TimeRange.parse(text) == TimeRange(start, end)


@pytest.mark.parametrize("text", ["", "-", "5", "a-b", "1:2:3:4-5", "3-4-5", "--3", "1e3-2e3"])
def test_what_is_no_range_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RangeError, match="for example"):
        TimeRange.parse(text)


@pytest.mark.parametrize("text", ["5-5", "9-2", "1:00-30"])
def test_empty_and_reversed_ranges_are_refused(text: str) -> None:
    with pytest.raises(RangeError, match="empty or runs backwards"):
        TimeRange.parse(text)


def test_a_list_keeps_its_order() -> None:
    ranges = TimeRange.parse_list("8-9, 1-2;\n3-")
    assert ranges == (TimeRange(8, 9), TimeRange(1, 2), TimeRange(3, None))
    assert [str(part) for part in ranges] == ["8-9", "1-2", "3-"]


def test_sound_must_be_mono_float32() -> None:
    assert AudioClip(np.zeros(8000, np.float32)).duration == 0.5
    with pytest.raises(ValueError, match="float32"):
        AudioClip(np.zeros((2, 100), np.float32))


def test_a_track_knows_which_frames_have_a_face() -> None:
    boxes = np.array([[0, 0, 5, 5], [np.nan] * 4], np.float32)
    track = FaceTrack(boxes, np.full((2, 5, 2), np.nan, np.float32), np.array([1, 0], np.float32))
    assert track.present.tolist() == [True, False]
    with pytest.raises(ValueError, match="do not fit"):
        FaceTrack(boxes, np.zeros((3, 5, 2), np.float32), np.zeros(2, np.float32))
