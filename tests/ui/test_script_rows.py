"""Rows of the segment editor: read, written, checked, spoken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lipsync.dubbing import SpeakerTurn, read_script
from lipsync.errors import LipsyncError
from lipsync.media import probe_audio
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken
from lipsync.segments import FacePoint, Segment, parse_segments
from lipsync.types import TimeRange
from lipsync.ui.face_thumbnails import FaceFinder, face_crop
from lipsync.ui.request import SyncRequest
from lipsync.ui.row_checks import face_problems, row_problems
from lipsync.ui.script_rows import (
    ScriptRow,
    cues_of,
    read_rows,
    rows_of_script,
    rows_of_turns,
    segment_text,
    segments_of,
    with_faces,
    write_rows,
)
from lipsync.ui.spoken_rows import overlong_rows, spoken_seconds, with_silence, with_speech
from tests.material import FACE, VOICE, make_head, make_voice, needs_espeak

TEXT = "0-4.5 face=0 voice=0-4.5\n5-9 face=0.7,0.4@12 voice=1- file=1\n10-"


def test_rows_hold_what_the_language_of_segments_says() -> None:
    rows = read_rows(TEXT)
    assert segments_of(rows) == parse_segments(TEXT)
    assert segments_of(read_rows(write_rows(rows))) == parse_segments(TEXT)
    assert parse_segments(segment_text(rows)) == parse_segments(TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '[{"start": 1',
        '[{"unknown": "1"}]',
        '[{"start": "5", "end": "2"}]',
        '[{"start": "0", "end": "2", "face": "/etc/passwd"}]',
        '[{"start": "0", "end": "2", "part": "x"}]',
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(LipsyncError):
        segments_of(read_rows(text))


def test_an_error_names_the_row() -> None:
    with pytest.raises(LipsyncError) as caught:
        segments_of([ScriptRow("0", "1"), ScriptRow("5", "2")])
    assert "line 2" in caught.value.given


def test_spoken_rows_have_no_text_of_segments() -> None:
    assert segment_text([ScriptRow("0", "1", voice="espeak", text="Hi")]) == ""


def test_a_script_fills_the_rows(tmp_path: Path) -> None:
    (tmp_path / "dub.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nAnn: Good day\n", "utf-8")
    script = read_script(tmp_path / "dub.srt")
    [row] = rows_of_script(script, {}, "0")
    assert row == ScriptRow("0:01", "0:02.5", "", "0", "0:01-", "Good day", "Ann")
    assert cues_of([row])[0].text == "Good day"
    [row] = rows_of_script(script, {}, "espeak")
    assert (row.voice, row.part) == ("espeak", "")


def test_sounds_of_a_script_are_looked_for_among_those_given_only(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"x")
    lines = [{"start": 0, "end": 1, "text": "a", "sound": "lines/one.wav"}]
    path = tmp_path / "dub.json"
    path.write_text(json.dumps(lines), "utf-8")
    sound = tmp_path / "kept" / "one.wav"
    [line] = read_script(path, {"one.wav": sound}).lines
    assert line.sound == sound
    path.write_text(json.dumps([{**lines[0], "sound": str(tmp_path / "secret.wav")}]), "utf-8")
    with pytest.raises(LipsyncError, match="missing"):
        read_script(path, {"one.wav": sound})


def test_turns_of_speakers_fill_the_rows() -> None:
    points = [FacePoint(0.2, 0.5, 1), FacePoint(0.8, 0.5, 2), FacePoint(0.21, 0.5, 4)]
    turns = [SpeakerTurn(0, 1, 3, points[0], 0.9), SpeakerTurn(1, 2, None, None, 0.9)]
    turns += [SpeakerTurn(2, 3, 5, points[1], 0.9), SpeakerTurn(3, 4, 3, points[2], 0.9)]
    rows = rows_of_turns(turns)
    assert [row.face for row in rows] == ["0.2,0.5@1", "0.8,0.5@2", "0.2,0.5@1"]
    assert [row.speaker for row in rows] == ["Face 1", "Face 2", "Face 1"]
    assert segments_of(rows)[2] == Segment(TimeRange(3, 4), points[0], TimeRange(3))


def test_lines_of_a_script_get_the_face_that_speaks_then() -> None:
    ann, bob = FacePoint(0.2, 0.5, 1), FacePoint(0.8, 0.5, 2)
    turns = [SpeakerTurn(0, 2, 0, ann, 0.9), SpeakerTurn(2, 4, 1, bob, 0.9), SpeakerTurn(6, 7, None, None, 1)]
    rows = [
        ScriptRow("0", "2.5", text="Hello", speaker="Ann"),
        ScriptRow("2.2", "3", text="Hi", speaker="Bob"),
        ScriptRow("3", "4", text="What?", speaker="Ann"),  # most of Ann's time is that of the first face
        ScriptRow("2", "4", "0", text="kept", speaker="Bob"),
        ScriptRow("3", "3.5", text="nobody by name"),
        ScriptRow("6", "7", text="off screen"),
        ScriptRow("x", "7", text="unreadable"),
    ]
    faces = [row.face for row in with_faces(rows, turns)]
    assert faces == ["0.2,0.5@1", "0.8,0.5@2", "0.2,0.5@1", "0", "0.8,0.5@2", "", ""]


def problems(*rows: ScriptRow, video: float | None = 10, voices: tuple[float, ...] = (10,)) -> list[str]:
    return row_problems(rows, video, voices, ["espeak"])


def test_overlapping_rows_of_one_face_are_marked() -> None:
    found = problems(ScriptRow("4", "6"), ScriptRow("0", "5"), ScriptRow("5", "7", face="1"))
    assert "line 2" in found[0]
    assert "line 1" in found[1]
    assert not found[2]
    long = problems(ScriptRow("0", "9"), ScriptRow("1", "2"), ScriptRow("3", "4"))
    assert "line 1" in long[2]


def test_a_row_ends_with_its_voice() -> None:
    assert problems(ScriptRow("0", "5", part="0-2"), ScriptRow("3", "5", part="0-1")) == ["", ""]
    assert all(problems(ScriptRow("0", "5", part="0-4"), ScriptRow("3", "5", part="0-1")))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ScriptRow("x", "2"), "cannot be read"),
        (ScriptRow("11", "12"), "past the end"),
        (ScriptRow("1", "12"), "past the end"),
        (ScriptRow("1", "2", voice="1"), "no such voice"),
        (ScriptRow("1", "2", part="11-12"), "past the end"),
        (ScriptRow("1", "2", voice="espeak"), "Write what is said"),
        (ScriptRow("1", "2", voice="kokoro", text="Hi"), "not installed"),
        (ScriptRow("1", "2", face="nobody"), "face cannot be chosen"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(row: ScriptRow, said: str) -> None:
    [problem] = problems(row)
    assert said in problem


def test_faces_that_are_not_there_are_marked(tmp_path: Path) -> None:
    video = make_head(tmp_path / "head.mp4", parts=[1, -1])
    finder = FaceFinder(str(video), SyncOptions(), tmp_path, CancelToken())
    [face] = finder.at(0.5)
    rows = [
        ScriptRow("0", "1"),
        ScriptRow("0", "1", "0"),
        ScriptRow("0", "1", "1"),
        ScriptRow("0", "1", face.point),
        ScriptRow("0", "1", "0.02,0.9@0.5"),
        ScriptRow("1.2", "1.8"),
    ]
    found, chosen, _ = face_problems(rows, finder)
    assert [bool(problem) for problem in found] == [False, False, True, False, True, True]
    assert set(chosen) == {"", "0", face.point}
    assert finder.palette([]) == [finder.at(0.25)[0]]
    assert FaceFinder(str(FACE), SyncOptions(), tmp_path, CancelToken()).at(0)


def test_a_thumbnail_shows_the_whole_face_at_a_border_too() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[10:40, 5:25] = 255
    crop = face_crop(frame, (5, 10, 25, 40))
    assert crop.shape == (48, 48, 3)
    assert (crop > 0).sum() == 3 * 20 * 30


@needs_espeak
def test_texts_are_silent_in_a_plan_and_spoken_in_a_run(tmp_path: Path) -> None:
    video = make_head(tmp_path / "head.mp4", parts=[3])
    rows = (
        ScriptRow("0", "1.5", voice="espeak:en", text="Good morning to all of you in this room here."),
        ScriptRow("2", "3", voice="espeak:en", text="Yes"),
    )
    given = SyncRequest(str(video), None, rows=rows)
    assert given.is_complete
    planned = with_silence(given, tmp_path)
    assert planned.plan().frames == 75
    assert spoken_seconds(given, tmp_path) == [None, None]
    spoken = with_speech(given, tmp_path, around=60)
    assert spoken_seconds(given, tmp_path) == [None, None], "nothing is said near that time"
    spoken = with_speech(given, tmp_path)
    first, second = spoken_seconds(given, tmp_path)
    assert first and second
    assert (first > 1.5) and (second < 1)
    assert [one.voice_file for one in spoken.segments] == [0, 1]
    assert probe_audio(str(spoken.voice)).duration == pytest.approx(first)
    assert [cue.text for cue in spoken.cues] == [row.text for row in rows]
    [warning] = overlong_rows(given, tmp_path)
    assert "line 1" in warning
    beside = SyncRequest(
        str(video), str(VOICE), more_voices=(str(VOICE),), rows=(ScriptRow("0", "1"), rows[1])
    )
    assert [one.voice_file for one in with_speech(beside, tmp_path).segments] == [0, 2]
    with pytest.raises(LipsyncError):
        with_silence(SyncRequest(str(video), None, rows=beside.rows), tmp_path)


@pytest.mark.parametrize(
    ("max_speedup", "first", "warned"), [(1, 1.4, True), (1.25, 1.12, True), (2, 1, False)]
)
def test_sounds_of_lines_are_fitted_to_their_times(
    tmp_path: Path, max_speedup: float, first: float, warned: bool
) -> None:
    long, short = (make_voice(tmp_path / f"{length}.wav", seconds=length) for length in (1.4, 0.4))
    rows = (ScriptRow("0", "1", voice="1", text="Long"), ScriptRow("1", "2", voice="2", text="Short"))
    given = SyncRequest(
        str(FACE), str(VOICE), more_voices=(str(long), str(short)), rows=rows, max_speedup=max_speedup
    )
    spoken = with_speech(given, tmp_path)
    files = [Path([spoken.voice, *spoken.more_voices][one.voice_file] or "") for one in spoken.segments]
    lengths = [probe_audio(path).duration for path in files]
    assert lengths == pytest.approx([first, 1], abs=0.03), "what is heard after a short line is silence"
    assert spoken_seconds(given, tmp_path) == pytest.approx([first, 0.4], abs=0.03)
    assert bool(overlong_rows(given, tmp_path)) == warned
    assert [one.voice_file for one in with_silence(given, tmp_path).segments] == [
        one.voice_file for one in spoken.segments
    ]
