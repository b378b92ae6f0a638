"""Excerpts: a part of a job as a job of its own shows and says what the whole does there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import RangeError
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import JobArguments, check_arguments
from lipsync.pipeline.excerpt import cut_ranges, excerpt
from lipsync.pipeline.job import Job, open_job
from lipsync.segments import parse_segments
from lipsync.types import TimeRange
from tests.make_media import run_ffmpeg
from tests.material import FACE, VOICE, make_voice

RATE = 16_000


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s, of which every frame has its own brightness."""
    path = tmp_path_factory.mktemp("video") / "ramp.mp4"
    luma = "geq=lum='16+2*N':cb=128:cr=128"
    run_ffmpeg("-f", "lavfi", "-i", f"color=black:s=64x64:r=25:d=4,{luma}", "-crf", "5", path)
    return path


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=6.5)


def open_with(video: Path, voice: Path, options: SyncOptions, segments: str = "") -> Job:
    parsed = parse_segments(segments) if isinstance(segments, str) else segments
    return open_job(check_arguments(JobArguments, options, video=video, voice=voice, segments=parsed))


def brightness(job: Job, timeline: np.ndarray) -> list[float]:
    return [float(frame.mean()) for frame in job.video.read(timeline.tolist())]


@pytest.mark.parametrize(
    ("at", "settings"),
    [
        (1.0, {}),
        (3.2, {"length_mode": "loop"}),  # over the joint
        (3.9, {"length_mode": "pingpong"}),  # over the turn
        (5.5, {"length_mode": "hold"}),
        (1.5, {"length_mode": "picture"}),
        (1.2, {"video_ranges": (TimeRange(0.4, 1.2), TimeRange(2, 3.6)), "length_mode": "loop"}),
        (2.0, {"voice_ranges": (TimeRange(1, 2.5), TimeRange(3, 6))}),
        (0.0, {"voice_shift": 400.0, "length_mode": "picture"}),
        (2.0, {"voice_shift": 400.0, "length_mode": "picture"}),
        (2.0, {"voice_shift": -400.0}),
    ],
)
def test_a_part_shows_and_says_what_the_whole_does(
    video: Path, voice: Path, at: float, settings: dict[str, object]
) -> None:
    options = SyncOptions.from_flat(**settings)
    whole = open_with(video, voice, options)
    part = excerpt(whole, options, at, seconds=2)
    alone = open_with(video, voice, part.options)
    fps = float(whole.video.fps)
    first, last = round(part.start * fps), round(part.end * fps)
    assert last - first == 50 and part.start <= at <= part.end
    assert len(alone.timeline) == pytest.approx(50, abs=1)
    expected = brightness(whole, whole.timeline[first:last])
    shown = brightness(alone, alone.timeline)[: len(expected)]
    np.testing.assert_allclose(shown, expected[: len(shown)], atol=2.1)  # a frame more or less is 2
    heard = alone.voices[0].read(RATE).samples
    said = whole.voices[0].read(RATE).samples[first * RATE // 25 : last * RATE // 25]
    length = min(len(heard), len(said))
    assert length > 1.5 * RATE or settings.get("voice_shift")
    assert np.corrcoef(heard[:length], said[:length])[0, 1] > 0.95


def test_a_backward_part_shows_the_same_frames_forwards(video: Path, voice: Path) -> None:
    options = SyncOptions.from_flat(length_mode="pingpong")
    whole = open_with(video, voice, options)
    part = excerpt(whole, options, 6, seconds=1)  # on the way back
    alone = open_with(video, voice, part.options)
    first = round(part.start * 25)
    expected = sorted(brightness(whole, whole.timeline[first : first + 25]))
    np.testing.assert_allclose(brightness(alone, alone.timeline), expected, atol=2.1)


def test_segments_keep_their_place_their_face_and_their_words(video: Path, voice: Path) -> None:
    options = SyncOptions()
    whole = open_with(video, voice, options, "0-1 face=1; 1.5-3.5 face=0 voice=2-4")
    part = excerpt(whole, options, 2.0, seconds=2)
    assert (part.start, part.end) == (1.0, 3.0)
    [one] = part.segments
    assert (one.face, one.time, one.voice) == (0, TimeRange(0.5, 2.0), TimeRange(2.0, 3.5))
    assert part.options.media.video_ranges == (TimeRange(1.0, 3.0),)


def test_where_nobody_speaks_there_is_nothing_to_show(video: Path, tmp_path: Path) -> None:
    options = SyncOptions.from_flat(length_mode="picture")
    short = make_voice(tmp_path / "short.wav", seconds=1)
    with pytest.raises(RangeError, match="Nobody speaks there"):
        excerpt(open_with(video, short, options), options, 3.5, seconds=1)
    whole = open_with(video, short, options, "0-1")
    with pytest.raises(RangeError, match="Nobody speaks there"):
        excerpt(whole, options, 3.5, seconds=1)


def test_a_photo_needs_no_range_and_nothing_is_measured() -> None:
    options = SyncOptions()
    part = excerpt(open_with(FACE, VOICE, options), options, 3)
    assert part.options.media.video_ranges == ()
    assert not part.options.report.score


def test_ranges_are_cut_by_their_joined_time() -> None:
    parts = (TimeRange(1, 2), TimeRange(5, 9), TimeRange(20, None))
    assert cut_ranges(parts, 0.5, 2) == (TimeRange(1.5, 2), TimeRange(5, 6))
    assert cut_ranges(parts, 4.5, 7) == (TimeRange(8.5, 9), TimeRange(20, 22))
    assert cut_ranges((), 3, 4) == (TimeRange(3, 4),)
