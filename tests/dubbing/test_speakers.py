"""Who speaks when, from made-up evidence and from a video."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.cli.main import main
from lipsync.dubbing.joined_faces import join_tracks
from lipsync.dubbing.speaker_evidence import TrackEvidence
from lipsync.dubbing.speakers import SpeakerTurn, decide_turns
from lipsync.dubbing.turn_formats import format_turns
from lipsync.dubbing.voice_pooling import Voices
from lipsync.errors import InputError
from lipsync.faces.aligned_faces import encode_aligned_face
from lipsync.faces.detection_schedule import Detection
from lipsync.faces.recognition import AlignedFace
from lipsync.media.subtitle_formats import parse_subtitles
from lipsync.metrics.lse_tracks import ShotTrack
from lipsync.segments import FacePoint, parse_segments
from lipsync.speech import SpeechSpans
from lipsync.types import Face
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


def test_a_voice_that_is_known_needs_no_lips() -> None:
    first, second = face(0, [(0, 100)]), face(1, [])
    spans = SpeechSpans(np.array([(0.0, 4.0), (5.0, 9.0)]), FRAMES / 25)
    frames = np.arange(0, FRAMES, 5)
    one_voice = Voices(frames, np.tile(np.array([[1.0, 0.0]], np.float32), (len(frames), 1)))
    two_voices = Voices(
        frames, np.where(frames[:, None] < 110, [[1.0, 0.0]], [[0.0, 1.0]]).astype(np.float32)
    )
    found = [
        [turn.face for turn in decide_turns((first, second), SOUND, spans, FRAMES, SIZE, None, voices)]
        for voices in (None, one_voice, two_voices)
    ]
    assert found == [[0, None], [0, 0], [0, None]]


def test_who_is_not_seen_does_not_speak() -> None:
    turns = turns_of(face(0, [(0, 250)], seen=(0, 100)), face(1, []), spans=[(0.0, 10.0)])
    assert [turn.face for turn in turns] == [0, None]
    assert turns[0].end <= 100 / 25 + 0.01


def test_a_person_keeps_the_number_in_another_shot() -> None:
    """Who speaks on after a cut is one face with a turn a shot; each shot has its own point."""
    first, listener = face(0, [(0, 110)], seen=(0, 100)), face(1, [])
    second = face(2, [(100, 250)], seen=(100, 250))
    spans = SpeechSpans(np.array([(0.0, 10.0)]), FRAMES / 25)
    turns = decide_turns((first, listener, second), SOUND, spans, FRAMES, SIZE, [[0, 2], [1]])
    assert [(turn.face, turn.start, turn.end) for turn in turns] == [(0, 0.0, 4.0), (0, 4.0, 10.0)]
    assert [turn.point and round(turn.point.x, 2) for turn in turns] == [0.1, 0.6]
    assert [turn.track for turn in turns] == [0, 2]


def test_a_border_is_found_to_a_few_frames() -> None:
    turns = turns_of(face(0, [(0, 118)]), face(2, [(118, 250)]), spans=[(0.0, 10.0)])
    assert [turn.face for turn in turns] == [0, 1]
    assert turns[0].end == pytest.approx(118 / 25, abs=0.25)


class _Named:
    """A similarity that knows people by the first value of their appearance."""

    threshold = 0.3

    def compare(self, face: AlignedFace, others: Sequence[AlignedFace]) -> np.ndarray:
        mine = face.appearance.flat[0]
        return np.array([1.0 if one.appearance.flat[0] == mine else -1.0 for one in others], np.float32)


def shot(first: int, x: float, person: int, color: int) -> ShotTrack:
    """20 frames of a person."""
    looks = np.full((10, 6, 3), color, np.uint8)
    looks[0, 0, 0] = person
    box = np.array([x, 20, x + 60, 80], np.float64)
    picture = encode_aligned_face(
        np.zeros((100, 100, 3), np.uint8), Face(np.array([5, 5, 90, 90]), 1.0, None)
    )
    detection = Detection(first, Face(box.astype(np.float32), 1.0, None), looks, picture)
    return ShotTrack(first, np.tile(box, (20, 1)), (detection,))


def test_people_are_recognised_over_shots() -> None:
    tracks = [
        shot(0, 10, 1, 50),
        shot(0, 200, 2, 120),
        shot(20, 12, 1, 90),  # in the same place after a cut: other light
        shot(40, 300, 1, 95),  # elsewhere, in like colours
        shot(40, 10, 3, 95),  # another one where the first was
        shot(60, 10, 1, 200),  # elsewhere and in other colours
        shot(5000, 300, 1, 95),  # much later
    ]
    assert join_tracks(tracks, _Named()) == [[0, 2, 3], [1], [4], [5], [6]]
    bare = [ShotTrack(one.first, one.boxes) for one in tracks[:3]]
    assert join_tracks(bare, _Named()) == [[0], [1], [2]]


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
