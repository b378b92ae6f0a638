"""Smart copy in a whole run: what is not drawn is the source's to the bit, and is not looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lipsync import Cancelled, CancelToken, Progress, Segment, SyncOptions, SyncResult, TimeRange, sync
from lipsync.faces import TrackedFaces, TrackSummary
from lipsync.media import FrameWriter, OutputSpec, VideoReader, open_audio, open_video, probe_video
from lipsync.options import FaceOptions
from lipsync.pipeline.arguments import JobArguments
from lipsync.pipeline.job import Job, open_job
from lipsync.pipeline.output_limits import keeps_depth
from lipsync.pipeline.smart_copy import (
    FEW_KEY_FRAMES,
    fallback_warnings,
    is_certain,
    open_source,
    parts_to_search,
    spoken_frames,
)
from tests.make_media import run_ffmpeg
from tests.material import VOICE, make_head
from tests.media.video.test_smart_copy import hashes

LINES = (Segment(TimeRange(1.2, 2.2)),)
DRAWN = list(range(25, 75))
"""Frames of the groups of pictures with the line."""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """7 s, a key frame every second; without a face from 4 to 6 s."""
    folder = tmp_path_factory.mktemp("head")
    make_head(folder / "raw.mp4", parts=[4, -2, 1], size=(160, 120))
    settings = ("-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3")
    run_ffmpeg("-i", folder / "raw.mp4", *settings, folder / "head.mp4")
    return folder / "head.mp4"


def options(**settings: Any) -> SyncOptions:
    return SyncOptions.from_flat(**{"score": False, "variant": "builtin", "occlusion": False, **settings})


def draw(
    video: Path, output: Path, lines: tuple[Segment, ...] = LINES, voice: Path = VOICE, **settings: Any
) -> SyncResult:
    return sync(video, voice, options(**settings), output=output, segments=lines)


@pytest.fixture(scope="module")
def read() -> dict[str, list[int]]:
    """Numbers of the frames that the copying run has decoded, reduced and at full size."""
    return {"read": [], "read_yuv": []}


@pytest.fixture(scope="module")
def copied(head: Path, read: dict[str, list[int]], tmp_path_factory: pytest.TempPathFactory) -> SyncResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lipsync.pipeline.smart_copy._MARGIN_SECONDS", 1.0)
        for name, numbers in read.items():
            patch.setattr(VideoReader, name, _noting(getattr(VideoReader, name), numbers))
        return draw(head, tmp_path_factory.mktemp("copied") / "copied.mp4", score=True, quality=2)


def _noting(plain: Any, numbers: list[int]) -> Any:
    def reading(self: VideoReader, indices: npt.ArrayLike, **given: Any) -> Any:
        numbers.extend(np.asarray(indices).tolist())
        return plain(self, indices, **given)

    return reading


def differing(one: Path, other: Path) -> list[int]:
    return [number for number, (a, b) in enumerate(zip(hashes(one), hashes(other), strict=True)) if a != b]


def test_what_is_not_said_anew_is_the_source_to_the_bit(head: Path, copied: SyncResult) -> None:
    assert differing(head, copied.path) == DRAWN
    info = probe_video(copied.path)
    assert (info.frame_count, info.fps, info.variable_frame_rate) == (175, 25, False)


def test_faces_are_found_and_frames_read_around_the_line_alone(
    copied: SyncResult, read: dict[str, list[int]]
) -> None:
    assert read["read_yuv"] == DRAWN
    assert read["read"] == list(range(84))
    assert copied.score is not None
    assert not [one for one in copied.warnings if "no face" in one], "of 4 to 6 s nothing is known"


def test_what_is_said_anew_is_as_in_a_run_that_draws_all(
    head: Path, copied: SyncResult, tmp_path: Path
) -> None:
    slow = draw(head, tmp_path / "slow.mp4", smart_copy="off", quality=2)
    assert (slow.frames_synced, slow.frames) == (copied.frames_synced, copied.frames)
    assert len(differing(slow.path, copied.path)) > len(DRAWN)
    frames = [open_video(one.path).read(DRAWN) for one in (slow, copied)]
    differences = [np.abs(one.astype(int) - other) for one, other in zip(*frames, strict=True)]
    assert max(one.mean() for one in differences) < 0.8, "encoding alone differs"
    assert max(np.percentile(one, 99.9) for one in differences) < 8
    sounds = [open_audio(one.path).read(16_000).samples for one in (slow, copied)]
    assert np.array_equal(*sounds)


BOX = (30, 110, 50, 110)


def test_ranges_of_the_video_are_copied(head: Path, tmp_path: Path) -> None:
    """The second one begins within a group of pictures, whose rest is encoded."""
    ranges = (TimeRange(0, 4), TimeRange(4.4, 7))
    result = draw(head, tmp_path / "out.mp4", video_ranges=ranges, box=BOX)
    before, after = hashes(head), hashes(result.path)
    assert after[75:100] == before[75:100]
    assert after[115:] == before[125:]
    assert not set(after[100:115]) & set(before)
    pairs = zip(open_video(head).read([112, 160]), open_video(result.path).read([102, 150]), strict=True)
    assert all(np.abs(one.astype(int) - other).mean() < 6 for one, other in pairs)


def test_what_the_voice_leaves_unchanged_is_copied(head: Path, tmp_path: Path) -> None:
    """Without segments: in_silence=keep, and a voice with a pause."""
    voice = tmp_path / "voice.wav"
    run_ffmpeg("-t", "1", "-i", VOICE, "-af", "apad=pad_dur=5", "-t", "5", voice)
    result = draw(head, tmp_path / "out.mp4", (), voice, in_silence="keep", box=BOX)
    assert result.frames == 125
    same = [a == b for a, b in zip(hashes(head), hashes(result.path), strict=False)]
    assert all(same[75:])
    assert not any(same[:25])


def test_frames_of_a_variable_rate_keep_their_places(head: Path, tmp_path: Path) -> None:
    """Where frames are missing, they are repeated and encoded; what follows is copied."""
    varying = tmp_path / "varying.mp4"
    missing = ("-vf", "select='not(between(n,80,87))'", "-fps_mode", "vfr")
    run_ffmpeg("-i", head, *missing, "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", varying)
    result = draw(varying, tmp_path / "out.mp4", box=BOX)
    frames = [open_video(one).read(np.arange(175)) for one in (varying, result.path)]
    differences = [np.abs(one.astype(int) - other).mean() for one, other in zip(*frames, strict=True)]
    assert sum(one == 0 for one in differences) > 90
    assert max(differences) < 6


@pytest.mark.slow
def test_frames_without_a_face_are_copied(head: Path, tmp_path: Path) -> None:
    result = draw(head, tmp_path / "out.mp4", (), length_mode="picture")
    assert set(differing(head, result.path)).isdisjoint(range(100, 150))
    assert len(differing(head, result.path)) == 125


def test_a_cancelled_copy_leaves_nothing(head: Path, tmp_path: Path) -> None:
    cancel = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.stage == "Drawing lips":
            cancel.cancel()

    with pytest.raises(Cancelled):
        sync(head, VOICE, options(), stop, cancel, output=tmp_path / "out.mp4", segments=LINES)
    assert list(tmp_path.iterdir()) == []


# --- what is decided before the work -----------------------------------------------------------


def job_of(video: Path, lines: tuple[Segment, ...] = LINES, **settings: Any) -> tuple[Job, SyncOptions]:
    given = options(**settings)
    return open_job(JobArguments(video, VOICE, given, lines)), given


def why_not(video: Path, folder: Path, **settings: Any) -> tuple[str, list[str]]:
    """Why a source is not copied, and the warnings."""
    job, given = job_of(video, **settings)
    deep = keeps_depth(job.video, False, given)
    spec = OutputSpec(
        job.video.width, job.video.height, job.video.fps, len(job.timeline), None, job.video.info,
        encoder=given.media.encoder, codec=given.media.codec, deep=deep,
    )  # fmt: skip
    source, reason = open_source(job, FrameWriter(folder / "out.mp4", spec), given)
    assert (source is None) == bool(reason)
    return reason, fallback_warnings(job, reason, given, int((~spoken_frames(job)).sum()), False)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, ""),
        ({"codec": "h265"}, "H.264, and the result is not"),
        ({"ai_label": "top-left"}, "label"),
        ({"crop": (0, 118, 0, -1)}, "size or place"),
        ({"resize_factor": 2}, "size or place"),
        ({"rotate": 180}, "size or place"),
        ({"upscaler": "realesrgan_x2"}, "size or place"),
        ({"fps": 50.0}, "frame rate"),
    ],
)
def test_where_it_cannot_be_exact_all_is_encoded(
    head: Path, tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    found, _ = why_not(head, tmp_path, **settings)
    assert reason in found
    assert bool(found) == bool(reason)


def test_other_sources_are_encoded(head: Path, tmp_path: Path) -> None:
    kinds = {
        "stream.ts": ("-c", "copy"),
        "mpeg4.mp4": ("-c:v", "mpeg4"),
        "chroma.mp4": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p"),
        "turned.mp4": (),
    }
    reasons = {"stream.ts": "in the stream", "mpeg4.mp4": "Only H.264", "chroma.mp4": "yuv444p"}
    run_ffmpeg("-ss", "0.7", "-i", head, "-c", "copy", tmp_path / "edited.mp4")
    assert "edit list" in why_not(tmp_path / "edited.mp4", tmp_path)[0]
    run_ffmpeg("-display_vflip", "-i", head, "-c", "copy", tmp_path / "flipped.mp4")
    assert "turns or flips" in why_not(tmp_path / "flipped.mp4", tmp_path)[0]
    for name, settings in kinds.items():
        before = ("-display_rotation", "90") if not settings else ()
        run_ffmpeg(*before, "-i", head, *(settings or ("-c", "copy")), tmp_path / name)
        assert reasons.get(name, "size or place").lower() in why_not(tmp_path / name, tmp_path)[0].lower()


def test_the_result_says_so_where_much_does_not_change(head: Path, tmp_path: Path) -> None:
    assert why_not(head, tmp_path, codec="h265")[1] == [], "it is short"
    assert len(why_not(head, tmp_path, codec="h265", smart_copy="on")[1]) == 1
    assert why_not(head, tmp_path, smart_copy="on")[1] == []
    job, given = job_of(head, codec="h265")
    longer = replace(job, timeline=np.arange(1000))
    assert len(fallback_warnings(longer, "why", given, 600, False)) == 1
    assert len(fallback_warnings(longer, "why", given, 600, True)) == 1, "more is encoded than copied"
    assert fallback_warnings(longer, "why", given, 200, True) == []
    assert fallback_warnings(longer, "", given, 600, False) == []


def test_a_source_with_one_key_frame_is_encoded_and_it_is_said(head: Path, tmp_path: Path) -> None:
    run_ffmpeg("-i", head, "-c:v", "libx264", "-g", "999", "-sc_threshold", "0", tmp_path / "one.mp4")
    result = draw(tmp_path / "one.mp4", tmp_path / "out.mp4", smart_copy="on", box=BOX)
    assert [one for one in result.warnings if FEW_KEY_FRAMES in one]


def test_faces_are_searched_around_what_is_said(head: Path) -> None:
    job = replace(job_of(head, (Segment(TimeRange(6, 7)),))[0], timeline=np.arange(500))
    spoken = spoken_frames(job)
    assert (int(np.flatnonzero(spoken)[0]), int(spoken.sum())) == (147, 31)
    assert parts_to_search(job, spoken, [FaceOptions()]) == [range(328)]
    spoken = np.roll(spoken, 250)
    assert parts_to_search(job, spoken, [FaceOptions()]) == [range(240, 500)]
    chosen = FaceOptions(which_face="point", face_time=2.0)
    assert parts_to_search(job, spoken, [chosen]) == [range(500)], "the person is followed from there"


def test_a_choice_among_several_needs_the_whole_video() -> None:
    def tracked(*shots: tuple[int, bool]) -> TrackedFaces:
        people = [TrackSummary(shot, 0, 0, 0.0, 9, np.zeros(4, np.float32), one) for shot, one in shots]
        return TrackedFaces(None, tuple(people), ())  # type: ignore[arg-type]

    assert is_certain([tracked((0, True), (1, True))])
    assert not is_certain([tracked((0, True), (0, False))])
    assert not is_certain([tracked((0, True)), tracked((0, False))])
