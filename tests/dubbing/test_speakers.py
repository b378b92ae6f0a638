"""Who speaks when, from made-up evidence and from a video."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.cli.main import main
from lipsync.dubbing.speaker_evidence import TrackEvidence
from lipsync.dubbing.speakers import SpeakerTurn, decide_turns
from lipsync.dubbing.turn_formats import format_turns
from lipsync.errors import InputError
from lipsync.media.subtitle_formats import parse_subtitles
from lipsync.metrics.lse_tracks import ShotTrack
from lipsync.segments import FacePoint, parse_segments
from lipsync.speech import SpeechSpans
from tests.make_media import run_ffmpeg
from tests.material import FACE, make_voice

FRAMES = 250
SIZE = (400, 100)
RNG = np.random.default_rng(0)
SOUND = np.convolve(RNG.normal(0, 1, FRAMES), np.ones(4) / 2, mode="same").astype(np.float32) * 0.05


def face(number: int, speaks: list[tuple[int, int]], seen: tuple[int, int] = (0, FRAMES)) -> TrackEvidence:
    """A face in the given quarter of the picture, whose lips follow the sound in some frames."""
    active = np.zeros(FRAMES, bool)
    for first, last in speaks:
        active[first:last] = True
    similarity = RNG.normal(0, 0.03, (FRAMES, 31)).astype(np.float32)
    similarity[active, 14] += 0.3  # the sound is a frame late
    opening = np.where(active, SOUND, RNG.permutation(SOUND)).astype(np.float32) + 0.1
    part = slice(*seen)
    box = np.tile(np.array([100.0 * number + 10, 20, 100.0 * number + 70, 80]), (seen[1] - seen[0], 1))
    return TrackEvidence(ShotTrack(seen[0], box), similarity[part], opening[part])


def turns_of(*faces: TrackEvidence, spans: list[tuple[float, float]]) -> tuple[SpeakerTurn, ...]:
    return decide_turns(faces, SOUND, SpeechSpans(np.array(spans), FRAMES / 25), FRAMES, SIZE)


def test_each_stretch_of_speech_goes_to_the_face_that_follows_it() -> None:
    first, second = face(0, [(0, 75)]), face(2, [(75, 150), (175, 250)])
    turns = turns_of(first, second, spans=[(0.0, 5.8), (7.1, 9.9)])
    assert [turn.face for turn in turns] == [0, 1, 1]
    assert (turns[0].start, turns[1].end, turns[2].start, turns[2].end) == (0.0, 5.8, 7.1, 9.9)
    assert turns[0].end == turns[1].start == pytest.approx(3.0, abs=0.5)
    assert [turn.point and round(turn.point.x, 2) for turn in turns] == [0.1, 0.6, 0.6]
    assert all(turn.confidence > 0.8 for turn in turns)


def test_a_voice_that_no_lips_follow_is_nobody_s() -> None:
    turns = turns_of(face(0, []), face(1, []), spans=[(1.0, 8.0)])
    assert [(turn.face, turn.point) for turn in turns] == [(None, None)]
    assert turns_of(spans=[(1.0, 8.0)])[0].face is None


def test_who_is_not_seen_does_not_speak() -> None:
    turns = turns_of(face(0, [(0, 250)], seen=(0, 100)), face(1, []), spans=[(0.0, 10.0)])
    assert [turn.face for turn in turns] == [0, None]
    assert turns[0].end <= 100 / 25 + 0.01


TURNS = (
    SpeakerTurn(0.0, 1.5, 1, FacePoint(0.7, 0.4, 0.76), 0.93),
    SpeakerTurn(2.0, 3.25, None, None, 0.8),
)


def test_turns_are_written_as_every_tool_reads_them() -> None:
    texts = {
        kind: format_turns(TURNS, Path(f"a{kind}"), Path("my film.mp4")) for kind in (".txt", ".srt", ".rttm")
    }
    [segment] = parse_segments(texts[".txt"])
    assert segment == TURNS[0].segment()
    assert [cue.text for cue in parse_subtitles(texts[".srt"])] == ["[face 1]", "[nobody in the picture]"]
    assert texts[".rttm"].splitlines()[0] == "SPEAKER my_film 1 0.000 1.500 <NA> <NA> face_1 0.93 <NA>"
    values = json.loads(format_turns(TURNS, Path("a.JSON"), Path("my film.mp4")))
    assert values["turns"][0]["point"] == [0.7, 0.4, 0.76] and values["turns"][1]["face"] is None


def test_the_talking_one_of_two_is_found_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talking, pair, out = tmp_path / "talking.mp4", tmp_path / "pair.mp4", tmp_path / "turns.txt"
    options = lipsync.SyncOptions(report=lipsync.ReportOptions(score=False))
    voice = make_voice(tmp_path / "voice.wav", seconds=2.4)
    lipsync.sync(FACE, voice, options, output=talking)
    still = "[0:v]trim=end_frame=1,loop=-1:1,hflip[still];[still][0:v]hstack=shortest=1[out]"
    run_ffmpeg("-i", talking, "-filter_complex", still, "-map", "[out]", "-map", "0:a", pair)
    assert main(["speakers", str(pair), "--json", "-o", str(out)]) == 0
    turns = json.loads(capsys.readouterr().out)
    spoken = {True: 0.0, False: 0.0}
    for turn in turns:
        spoken[bool(turn["point"] and turn["point"][0] > 0.5)] += turn["end"] - turn["start"]
    assert spoken[True] > 3 * spoken[False] and spoken[True] > 1
    assert parse_segments(out.read_text("utf-8"))
    assert main(["speakers", str(pair), "-o", str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "told"), [("face.jpg", "nobody speaks"), ("silent.mp4", "no audio|no sound")]
)
def test_what_has_no_speakers_is_told(tmp_path: Path, name: str, told: str) -> None:
    video = FACE
    if name == "silent.mp4":
        video = tmp_path / name
        run_ffmpeg("-f", "lavfi", "-i", "testsrc2=d=1", video)
    with pytest.raises(InputError, match=told):
        lipsync.find_speakers(video)
