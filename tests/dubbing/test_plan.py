"""From a script to the segments of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.cli.main import main
from lipsync.errors import InputError
from lipsync.media import open_audio, probe_video
from lipsync.media.subtitle_formats import read_subtitles
from lipsync.segments import FacePoint, Segment, parse_speakers
from lipsync.types import TimeRange
from tests.material import VOICE, make_voice


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("track") / "track.wav", seconds=1.8)


def script(path: Path, *lines: str) -> Path:
    path.write_text("start,end,speaker,text,sound\n" + "\n".join(lines) + "\n", "utf-8")
    return path


def test_lines_are_the_same_stretches_of_the_track(pair: Path, track: Path, tmp_path: Path) -> None:
    made = script(tmp_path / "dub.csv", "1,1.6,Bob,Well,", "0.2,0.8,Ann,Hello,")
    dub = lipsync.plan_dub(pair, made, track, {"ann": 1, "BOB": FacePoint(0.2, 0.5)})
    assert dub.segments == (
        Segment(TimeRange(0.2, 0.8), 1, TimeRange(0.2, 0.8)),
        Segment(TimeRange(1, 1.6), FacePoint(0.2, 0.5), TimeRange(1, 1.6)),
    )
    assert (dub.voice, dub.more_voices, dub.notes) == (track, (), ())
    assert [(cue.start, cue.text) for cue in dub.cues] == [(0.2, "Hello"), (1, "Well")]


def test_lines_with_sounds_of_their_own_start_at_their_times(pair: Path, track: Path, tmp_path: Path) -> None:
    make_voice(tmp_path / "short.wav", seconds=0.3)
    make_voice(tmp_path / "long.wav", seconds=1.5)
    made = script(tmp_path / "dub.csv", "0.2,0.8,,,short.wav", "1,1.6,,,long.wav", "1.6,1.7,,,")
    dub = lipsync.plan_dub(pair, made, track)
    assert [str(segment) for segment in dub.segments] == [
        "0.2-0.5 voice=0-0.3",
        "1-1.6 voice=0-0.6 file=1",
        "1.6-1.7 voice=1.6-1.7 file=2",
    ]
    assert dub.voice.name == "short.wav" and [path.name for path in dub.more_voices] == [
        "long.wav",
        "track.wav",
    ]
    assert dub.notes == (
        "Line 2 (0:01.00-0:01.60) lasts 0.60 s, but its sound 1.50 s: the end is not heard.",
    )
    with pytest.raises(InputError, match=r"no sound.*line 3"):
        lipsync.plan_dub(pair, made)


def test_what_can_be_repaired_is_and_is_told(pair: Path, tmp_path: Path) -> None:
    short = make_voice(tmp_path / "short.wav", seconds=1.2)
    made = script(
        tmp_path / "dub.csv", "0.2,0.8,A,,", "0.6,1,A,,", "0.7,0.9,B,,", "1.3,1.4,A,,", "1.5,2.6,B,,"
    )
    dub = lipsync.plan_dub(pair, made, short, {"A": 0, "B": 1})
    assert [str(segment) for segment in dub.segments] == [
        "0.2-0.6 face=0 voice=0.2-0.6",
        "0.6-1 face=0 voice=0.6-1",
        "0.7-0.9 face=1 voice=0.7-0.9",
    ]
    cut, end, ended, ended_too = dub.notes
    assert "line 2 of the same face" in cut and "end of the video" in end
    assert "Line 4" in ended and "Line 5" in ended_too and "left out" in ended


@pytest.mark.parametrize(
    ("lines", "speakers", "told"),
    [
        (["2.5,3,A,,"], {}, "after the end of the video"),
        (["0.2,0.8,A,,", "0.2,1,B,,"], {}, "start together"),
        (["0.2,0.8,A,,"], {"Anna": 0}, "Nobody of this name"),
        (["0.2,0.8,A,,", "1,1.2,B,,"], {"A": 0}, "no face.*B"),
        (["1.9,2,A,,"], {}, "No line of the script has any sound"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    pair: Path, track: Path, tmp_path: Path, lines: list[str], speakers: dict[str, int], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        lipsync.plan_dub(pair, script(tmp_path / "dub.csv", *lines), track, speakers)


def test_without_a_voice_and_without_a_script_there_is_a_usage(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(pair)])
    assert stopped.value.code == 2
    assert "required: VOICE, or --script" in capsys.readouterr().err


@pytest.mark.parametrize("texts", [["ann"], ["=0"], ["ann="], ["ann=0", "Ann=1"], ["ann=2,0"]])
def test_faces_of_speakers_are_checked(texts: list[str]) -> None:
    with pytest.raises(InputError):
        parse_speakers(texts)
    assert parse_speakers(["ann=0", "b c = d.png"]) == {"ann": 0, "b c": Path("d.png")}


def test_a_conversation_is_dubbed_by_one_command(
    pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_voice(tmp_path / "one.wav", seconds=0.6)
    make_voice(tmp_path / "two.wav", seconds=0.9)
    made = script(tmp_path / "dub.csv", "0.2,0.8,Ann,Hello.,one.wav", "1,1.7,Bob,Well?,two.wav")
    output = tmp_path / "out.mp4"
    command = ["run", pair, "--script", made, "--speaker", "ann=0", "--speaker", "bob=1", "-o", output]
    assert main([*map(str, command), "--subtitles", "file"]) == 0
    assert "Line 2" in capsys.readouterr().err
    assert probe_video(output).frame_count == 50
    heard, given = (open_audio(path).read().samples for path in (output, VOICE))
    piece = slice(int(1.1 * 16_000), int(1.6 * 16_000))
    assert np.corrcoef(heard[piece], given[: len(heard)][int(0.1 * 16_000) : int(0.6 * 16_000)])[0, 1] > 0.95
    cues = read_subtitles(output.with_suffix(".srt"))
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [(0.2, 0.8, "Hello."), (1.0, 1.7, "Well?")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{voice}", "--speaker", "ann=0"], "need a script"),
        (["--script", "{script}", "--segments", "0-1"], "twice"),
        (["--script", "missing.srt"], "does not exist"),
    ],
)
def test_contradictions_are_told_before_anything_is_loaded(
    pair: Path,
    track: Path,
    tmp_path: Path,
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = script(tmp_path / "dub.csv", "0.2,0.8,Ann,Hello.,")
    given = [one.format(voice=track, script=made) for one in arguments]
    assert main(["run", str(pair), *given]) == 1
    assert told in capsys.readouterr().err
