"""`which_face=speaking`: each part of the voice goes to the face that speaks then in the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.context import RunContext
from lipsync.dubbing import SpeakerTurn
from lipsync.errors import LipsyncError, NoFaceError
from lipsync.faces import DetectionCache
from lipsync.media import VideoReader, open_audio, open_video
from lipsync.pipeline import active_speakers
from lipsync.pipeline.active_speakers import assign_speakers
from lipsync.pipeline.arguments import JobArguments
from lipsync.pipeline.job import open_job
from lipsync.pipeline.model_provider import CachedModels
from lipsync.segments import FacePoint
from tests.make_media import run_ffmpeg
from tests.material import FACE, VOICE, make_head, make_voice

SPEAKING = lipsync.SyncOptions.from_flat(which_face="speaking", variant="builtin", score=False)
PART = 2.4
"""Seconds for which each of the two speaks."""


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right one of two speaks, then the left one, then somebody else."""
    folder = tmp_path_factory.mktemp("conversation")
    options = lipsync.SyncOptions.from_flat(variant="builtin", score=False, resize_factor=2)
    voice = make_voice(folder / "voice.wav", seconds=PART)
    lipsync.sync(FACE, voice, options, output=folder / "talking.mp4")
    graph = (
        "[0:v]fps=25,scale=-2:240,split=3[a][b][c];[c]trim=end_frame=1,loop=59:1,setpts=N/25/TB,split=4[s1][s2][s3][s4];"
        "[s1][a]hstack[one];[b][s2]hstack[two];[s3][s4]hstack[three];"
        "[0:a]asplit=3[x][y][z];[one][x][two][y][three][z]concat=n=3:v=1:a=1[v][s]"
    )
    talk = folder / "talk.mp4"
    streams = ["-map", "[v]", "-map", "[s]", "-crf", "12"]
    run_ffmpeg("-i", folder / "talking.mp4", "-filter_complex", graph, *streams, talk)
    return talk


def changes(source: VideoReader, result: VideoReader) -> np.ndarray:
    """Largest changes of the left and the right half in each frame, (T, 2)."""
    pairs = zip(*(video.read(np.arange(source.frame_count)) for video in (source, result)), strict=True)
    halves = []
    for first, second in pairs:
        change = np.abs(first.astype(float) - second).mean(2)
        halves.append([np.quantile(part, 0.999) for part in np.split(change, 2, axis=1)])
    return np.array(halves)


@pytest.mark.slow
def test_each_part_of_the_voice_goes_to_who_spoke_then(conversation: Path, tmp_path: Path) -> None:
    """The left one comes first by the ranges of the video; the border is found to a second."""
    dub, seconds = tmp_path / "dub.wav", 3 * PART
    run_ffmpeg("-stream_loop", "9", "-i", VOICE, "-ss", "1", "-t", str(seconds), dub)
    ranges = lipsync.TimeRange.parse_list(f"{PART}-{2 * PART},0-{PART},{2 * PART}-{3 * PART}")
    options = lipsync.SyncOptions.from_flat(**SPEAKING.flat() | {"video_ranges": ranges, "quality": 5})
    result = lipsync.sync(conversation, dub, options, output=tmp_path / "dubbed.mp4")
    reader = open_video(conversation, options.media)
    assert result.frames == reader.frame_count == round(seconds * 25)
    changed = changes(reader, open_video(result.path))
    left, right, nobody = changed[5:50], changed[90:110], changed[-40:]
    quiet = 5  # levels; encoding alone changes up to 3
    assert (left[:, 0] > quiet).mean() > 0.8 and (right[:, 1] > quiet).mean() > 0.8
    assert (
        nobody.max() < quiet and left[:, 1].max() < quiet and right[:, 0].max() < quiet
    )  # who listens is not drawn
    assert any("nobody in the picture" in warning for warning in result.warnings)
    heard, said = (open_audio(path).read().samples for path in (result.path, dub))
    count = min(len(heard), len(said))
    assert np.corrcoef(heard[:count], said[:count])[0, 1] > 0.95  # all of it, whoever speaks


def turns(*times: tuple[float, float, int | None]) -> Callable[..., tuple[SpeakerTurn, ...]]:
    """A stand-in for `find_speakers`."""

    def found(*_: object, **__: object) -> tuple[SpeakerTurn, ...]:
        points = {face: FacePoint(0.25 + 0.5 * face, 0.4, 0.2) for *_, face in times if face is not None}
        return tuple(
            SpeakerTurn(start, end, face, None if face is None else points[face], 0.9)
            for start, end, face in times
        )

    return found


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.8 s of a person with another sound than the voice."""
    folder = tmp_path_factory.mktemp("head")
    silent = make_head(folder / "silent.mp4", parts=[0.8])
    tone = ["-f", "lavfi", "-i", "sine=300:d=0.8"]
    run_ffmpeg("-i", silent, *tone, "-c:v", "copy", folder / "head.mp4")
    return folder / "head.mp4"


def test_lips_follow_the_turns_and_all_of_the_voice_is_heard(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, voice = tmp_path / "pair.mp4", make_voice(tmp_path / "voice.wav", seconds=0.8)
    run_ffmpeg("-i", head, "-vf", "split[a][b];[b]hflip[c];[c][a]hstack", "-crf", "5", pair)
    monkeypatch.setattr(
        active_speakers, "find_speakers", turns((0.0, 0.24, 1), (0.24, 0.4, None), (0.4, 0.8, 0))
    )
    options = lipsync.SyncOptions.from_flat(**SPEAKING.flat() | {"quality": 5, "in_silence": "speak"})
    result = lipsync.sync(pair, voice, options, output=tmp_path / "o.mp4")
    assert result.warnings[0].startswith("0.2 s of the video's speech come from nobody in the picture")
    drawn = changes(open_video(pair), open_video(result.path)) > 6
    assert drawn[:4].tolist() == [[False, True]] * 4 and drawn[13:17].tolist() == [[True, False]] * 4
    heard, said = (open_audio(path).read().samples for path in (result.path, voice))
    assert np.corrcoef(heard[: len(said)], said[: len(heard)])[0, 1] > 0.95


def test_without_a_speaker_there_is_an_error(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = make_voice(tmp_path / "voice.wav", seconds=0.8)
    monkeypatch.setattr(active_speakers, "find_speakers", turns((0.0, 0.8, None)))
    with pytest.raises(NoFaceError, match="Nobody in the picture"):
        lipsync.sync(head, voice, SPEAKING, output=tmp_path / "o.mp4")
    preview = lipsync.preview(head, voice, 0.4, SPEAKING)
    assert preview.box is None and (preview.source == preview.result).all()
    monkeypatch.setattr(active_speakers, "find_speakers", turns((0.0, 0.8, 0)))
    preview = lipsync.preview(head, voice, 0.4, SPEAKING)
    assert preview.box is not None and (preview.source != preview.result).any()
    assert [path.name for path in tmp_path.iterdir()] == ["voice.wav"]


def test_the_next_preview_near_it_finds_nothing_anew(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another moment near it uses what was found; other settings do not."""
    voice, searched = make_voice(tmp_path / "voice.wav", seconds=0.8), list[object]()
    found = turns((0.0, 0.24, None), (0.24, 0.8, 0))

    def search(*given: object, **settings: object) -> tuple[SpeakerTurn, ...]:
        searched.append(settings["media"])
        return found()

    monkeypatch.setattr(active_speakers, "find_speakers", search)

    def points(at: float | None, options: lipsync.SyncOptions = SPEAKING, kept: bool = True) -> list[object]:
        job = open_job(JobArguments(head, voice, options))
        cache = DetectionCache(tmp_path / "cache") if kept else None
        placed, _ = assign_speakers(job, RunContext(CachedModels(), options), at, cache)
        return [one.segment.face for one in placed.segments]

    assert points(0.4) == points(0.1) == points(0.4) == [FacePoint(0.25, 0.4, 0.2)]
    assert len(searched) == 1
    turned = lipsync.SyncOptions.from_flat(**SPEAKING.flat() | {"resize_factor": 2})
    points(0.4, turned), points(0.4, kept=False), points(None)
    assert len(searched) == 4
    points(None)
    assert len(searched) == 4
    for entry in (tmp_path / "cache").iterdir():
        entry.write_bytes(entry.read_bytes()[:100])
    assert points(0.4) == [FacePoint(0.25, 0.4, 0.2)] and len(searched) == 5


def test_turns_end_with_the_voice(head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = make_voice(tmp_path / "voice.wav", seconds=0.24)
    found = turns((0.0, 0.2, 0), (0.2, 0.6, 1), (0.6, 0.8, 0))
    monkeypatch.setattr(active_speakers, "find_speakers", found)
    result = lipsync.sync(head, voice, SPEAKING, output=tmp_path / "o.mp4")
    assert result.frames == 20 and 6 <= result.frames_synced <= 8  # a mouth fades within two frames
    assert any("The voice lasts 0.24 s and the video 0.80 s" in one for one in result.warnings)


@pytest.mark.parametrize(
    ("name", "segments", "told"),
    [
        ("silent.mp4", "", "no sound by which to find who speaks"),
        ("face.jpg", "", "In a photo nobody speaks"),
        ("head.mp4", "0-0.4 face=0", "Segments say who speaks already"),
    ],
)
def test_what_has_no_speakers_is_told_before_any_work(
    head: Path, tmp_path: Path, name: str, segments: str, told: str
) -> None:
    voice = make_voice(tmp_path / "voice.wav", seconds=0.4)
    video = FACE if name == "face.jpg" else head.with_name(name)
    with pytest.raises(LipsyncError, match=told):
        lipsync.sync(
            video, voice, SPEAKING, output=tmp_path / "o.mp4", segments=lipsync.parse_segments(segments)
        )
    with pytest.raises(LipsyncError, match=told):
        lipsync.plan(video, voice, SPEAKING, segments=lipsync.parse_segments(segments))
