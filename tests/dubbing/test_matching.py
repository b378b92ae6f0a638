"""Speakers of a script get the face that speaks at the times of their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

import lipsync
from lipsync.cli.conversation import Inputs, _must_match
from lipsync.cli.main import main
from lipsync.dubbing import Script, ScriptLine, SpeakerTurn, matching
from lipsync.dubbing.matching import match_turns
from lipsync.errors import InputError, NoFaceError, OptionError
from lipsync.options import SyncOptions
from lipsync.segments import FaceChoice, FacePoint
from tests.make_media import run_ffmpeg
from tests.material import FACE, make_voice

LEFT, RIGHT = FacePoint(0.25, 0.4, 0.5), FacePoint(0.75, 0.4, 1.5)


def turn(start: float, end: float, face: int | None, confidence: float = 0.9) -> SpeakerTurn:
    point = None if face is None else (LEFT, RIGHT)[face]
    return SpeakerTurn(start, end, face, point, confidence)


def script(*lines: tuple[float, float, str]) -> Script:
    return Script(tuple(ScriptLine(n, a, b, "Hello", who) for n, (a, b, who) in enumerate(lines, 1)))


def test_the_lines_of_a_speaker_vote() -> None:
    """Borders are a bit off, and one line of three goes astray."""
    lines = script((0, 2, "Ann"), (2, 4, "Bob"), (4, 6, "Ann"), (6, 7, "Ann"))
    turns = (turn(0.1, 2.4, 0), turn(2.4, 4.2, 1), turn(4.2, 6, 0), turn(6, 7, None))
    matched = match_turns(lines, ["Ann", "Bob"], turns)
    assert matched.faces == {"Ann": LEFT, "Bob": RIGHT}
    assert matched.notes[0].startswith("Ann is the face at 0.25,0.40, which speaks in 76%")


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ((), "nobody is heard.*Ann"),
        ((turn(0, 0.3, 0), turn(2, 4, 1)), "nobody is heard.*Ann"),
        ((turn(0, 1, 0), turn(1, 2, 1), turn(2, 4, 1)), "cannot be told.*Ann; face 0 50%, face 1 50%"),
        ((turn(0, 2, None), turn(2, 4, 1)), "cannot be told.*Ann; nobody in the picture 100%"),
        ((turn(0, 2, 0, 0.3), turn(2, 4, 0)), "Two speakers.*Ann and Bob"),
    ],
)
def test_what_cannot_be_told_is_refused(turns: tuple[SpeakerTurn, ...], told: str) -> None:
    with pytest.raises(NoFaceError, match=f"(?s){told}.*=0 for the leftmost"):
        match_turns(script((0, 2, "Ann"), (2, 4, "Bob")), ["Ann", "Bob"], turns)


def test_known_faces_stay_and_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = script((0, 2, "Ann"), (2, 4, "Bob"))
    monkeypatch.setattr(matching, "find_speakers", lambda *_, **__: (turn(0, 2, 0), turn(2, 4, 1)))
    known: dict[str, FaceChoice] = {"ANN": 3}
    assert lipsync.match_speakers("a.mp4", lines, known).faces == {"Ann": 3, "Bob": RIGHT}
    monkeypatch.setattr(matching, "find_speakers", None)
    assert lipsync.match_speakers("a.mp4", lines, {"ann": 3, "bob": tmp_path}).notes == ()
    with pytest.raises(OptionError, match="Nobody of this name"):
        lipsync.match_speakers("a.mp4", lines, {"Anna": 3})


@pytest.fixture(scope="module")
def talk(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two people with a sound of their own."""
    folder = tmp_path_factory.mktemp("talk")
    voice = make_voice(folder / "voice.wav", seconds=2)
    run_ffmpeg("-i", pair, "-i", voice, "-c:v", "copy", folder / "talk.mp4")
    return folder / "talk.mp4"


def written(folder: Path) -> Path:
    path = folder / "dub.srt"
    path.write_text(
        "1\n00:00:00,200 --> 00:00:00,900\nAnn: Hello.\n\n2\n00:00:01,000 --> 00:00:01,800\nBob: Well?\n",
        "utf-8",
    )
    return path


def test_one_command_finds_them(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matching, "find_speakers", lambda *_, **__: (turn(0, 0.95, 1), turn(0.95, 2, 0)))
    voice, output = make_voice(tmp_path / "voice.wav", seconds=2), tmp_path / "out.mp4"
    command = ["run", talk, voice, "--script", written(tmp_path), "-o", output, "--no-score", "--variant"]
    assert main([*map(str, command), "builtin"]) == 0
    told = capsys.readouterr().err
    assert "Ann is the face at 0.75,0.40" in told and "Bob is the face at 0.25,0.40" in told
    monkeypatch.setattr(matching, "find_speakers", lambda *_, **__: (turn(0, 2, None),))
    again = [*map(str, command), "builtin", "--overwrite"]
    assert main([*again, "--speaker", "bob=0"]) == 1
    assert "cannot be told which face speaks" in capsys.readouterr().err


def test_they_are_not_looked_for_where_the_settings_choose(talk: Path, tmp_path: Path) -> None:
    lines = script((0, 1, "Ann"), (1, 2, "Bob"))
    usual, central = SyncOptions(), SyncOptions.from_flat(which_face="central")
    for options, faces, wanted in ((usual, {}, True), (central, {}, False), (central, {"ann": 0}, True)):
        inputs = Inputs(talk, None, options, tmp_path)
        assert _must_match(inputs, lines, faces) is wanted
    assert not _must_match(Inputs(talk, None, usual, tmp_path), script((0, 1, "Ann")), {})


def test_a_silent_video_does_not_tell(pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voice = make_voice(tmp_path / "voice.wav", seconds=2)
    command = ["run", pair, voice, "--script", written(tmp_path), "-o", tmp_path / "out.mp4"]
    assert main([*map(str, command), "--speaker", "ann=0"]) == 1
    assert "A speaker of the script has no face: Bob" in capsys.readouterr().err


def test_a_picture_tells_a_speaker_s_face(
    talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both faces are of one person, one of them mirrored; a picture that is missing is told at once."""
    voice, output = make_voice(tmp_path / "voice.wav", seconds=2), tmp_path / "out.mp4"
    command = ["run", talk, voice, "--script", written(tmp_path), "-o", output, "--no-score", "--variant"]
    faces = ["builtin", "--speaker", f"ann={FACE}", "--speaker"]
    assert main([*map(str, command), *faces, "bob=missing.jpg"]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main([*map(str, command), *faces, "bob=0"]) == 0
    dub = lipsync.plan_dub(talk, written(tmp_path), voice, {"ann": FACE, "bob": 0})
    assert [segment.face for segment in dub.segments] == [FACE, 0]
    with pytest.raises(InputError, match="Nobody of this name"):
        lipsync.plan_dub(talk, written(tmp_path), voice, {"carl": FACE})
