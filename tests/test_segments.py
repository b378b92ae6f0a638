"""Parsing and placing of segments."""

from __future__ import annotations

from pathlib import Path

import pytest

from lipsync.errors import OptionError, RangeError
from lipsync.options import FaceOptions
from lipsync.segments import FacePoint, Segment, parse_segments, place_segments
from lipsync.types import TimeRange

TEXT = """
0-4.5  face=0 voice=0-4.5
5 - 9  face = 1   voice=0-4 file=1
10-    face=0.7,.4@12 voice=1:02-; 20-25 face="my; face=1.png"
30-31
32-33 face=anna.png voice=2-
"""


def test_what_a_person_writes_is_read() -> None:
    assert parse_segments(TEXT) == (
        Segment(TimeRange(0, 4.5), 0, TimeRange(0, 4.5)),
        Segment(TimeRange(5, 9), 1, TimeRange(0, 4), 1),
        Segment(TimeRange(10), FacePoint(0.7, 0.4, 12), TimeRange(62)),
        Segment(TimeRange(20, 25), Path("my; face=1.png")),
        Segment(TimeRange(30, 31)),
        Segment(TimeRange(32, 33), Path("anna.png"), TimeRange(2)),
    )
    assert parse_segments(" \n ; ") == ()


def test_what_is_written_is_read_back() -> None:
    segments = parse_segments(TEXT)
    for separator in ("\n", ";"):
        assert parse_segments(separator.join(map(str, segments))) == segments
    odd = (Segment(TimeRange(0, 1), Path("0")), Segment(TimeRange(1, 2), Path(r"C:\pics\0,1@2.png")))
    assert parse_segments("\n".join(map(str, odd))) == odd


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0-1; 4-2 face=0", r"runs backwards.*segment 2"),
        ("face=0 voice=0-2", "has no time range"),
        ("noon face=0", r"cannot be read.*segment 1.*noon"),
        ("0-1 mouth=3", r"unknown value.*mouth="),
        ("0-1 face=0 face=1", "gives a value twice"),
        ("0-1 face=", "cannot be chosen"),
        ("0-1 face=2,0.5", "outside the frame"),
        ("0-1 file=-1", "index of a voice file"),
        ("0-1 file=b.wav", "index of a voice file"),
        ("0-1 voice=2", "cannot be read"),
        ("\n".join(["0-1"] * 2001), "too many"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises((OptionError, RangeError), match=message):
        parse_segments(text)


@pytest.mark.parametrize(
    "face", ["face=/etc/passwd", 'face="0.png"', 'face=""', "face=²", f"face={'9' * 5000}"]
)
def test_files_of_the_machine_can_be_ruled_out(face: str) -> None:
    with pytest.raises(OptionError, match="cannot be chosen"):
        parse_segments(f"0-1 {face}", allow_files=False)
    assert parse_segments("0-1 face=1; 2-3 face=0.5,0.5", allow_files=False)[0].face == 1


def test_a_segment_chooses_its_face_and_keeps_the_other_settings() -> None:
    settings = FaceOptions(pad_top=3, which_face="central")
    none, index, point, picture = (
        segment.face_options(settings)
        for segment in parse_segments("0-1; 0-1 face=2; 0-1 face=0.25,0.5@3; 0-1 face=a.png")
    )
    assert none == settings
    assert (index.which_face, index.face_index, index.pad_top) == ("index", 2, 3)
    assert (point.which_face, point.face_x, point.face_y, point.face_time) == ("point", 0.25, 0.5, 3)
    assert (picture.which_face, picture.face_reference) == ("reference", Path("a.png"))


def test_a_segment_ends_with_its_time_or_with_its_voice() -> None:
    placed = place_segments(
        parse_segments("8- face=1; 0-4 face=0 voice=1-2; 4-6 face=0 voice=3- file=1"), 10, [5, 4.5]
    )
    assert [(one.start, one.end, one.voice_start) for one in placed] == [(0, 1, 1), (4, 5.5, 3), (8, 10, 0)]
    assert [one.number for one in placed] == [1, 2, 0]


def test_a_photo_lasts_as_long_as_it_is_spoken() -> None:
    [first, second] = place_segments(parse_segments("0-; 7- voice=1-3"), None, [5])
    assert (first.end, second.end) == (5, 9)


def test_times_may_be_as_a_player_has_rounded_them() -> None:
    [one] = place_segments(parse_segments("0-10 voice=0-10.04"), 9.98, [10.0])
    assert one.end == 9.98


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0-4 face=0; 3-5 face=0", r"overlap.*segment 1.*segment 2"),
        ("0-4; 5-9 face=1; 0-1", r"overlap.*segment 1.*segment 3"),
        ("0-11 face=0", r"end of the video.*10\.00 s"),
        ("12- face=0", r"end of the video.*12-.*segment 1"),
        ("0-1 voice=4-6", r"end of the voice.*5\.00 s"),
        ("0-1; 2-3 file=2", r"no such voice.*file=2.*segment 2.*file=1"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises((OptionError, RangeError), match=message):
        place_segments(parse_segments(text), 10, [5, 20])


def test_two_faces_may_speak_at_a_time_and_one_right_after_the_other() -> None:
    assert len(place_segments(parse_segments("0-4 face=0; 3-5 face=1; 4-5 face=0"), 10, [20])) == 3
