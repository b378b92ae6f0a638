"""Smart copy in a whole run: what is not drawn is the source's to the bit, and is not looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync import Segment, SyncOptions, SyncResult, TimeRange, sync
from lipsync.media import open_audio, open_video, probe_video
from tests.make_media import run_ffmpeg
from tests.material import VOICE, make_head
from tests.media.video.test_smart_copy import hashes

FRAMES = 500
LINES = (Segment(TimeRange(12.2, 13.2)),)
DRAWN = range(300, 336)
"""Frames with a mouth: those of the line, and those in which it opens and closes."""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s, a key frame every second."""
    folder = tmp_path_factory.mktemp("head")
    make_head(folder / "raw.mp4", parts=[20])
    settings = ("-c:v", "libx264", "-g", "25", "-bf", "3", "-crf", "20", "-c:a", "copy")
    run_ffmpeg("-i", folder / "raw.mp4", *settings, folder / "head.mp4")
    return folder / "head.mp4"


def draw(video: Path, output: Path, lines: tuple[Segment, ...] = LINES, **settings: object) -> SyncResult:
    options = SyncOptions.from_flat(**{"score": False, "variant": "builtin", **settings})
    return sync(video, VOICE, options, output=output, segments=lines)


@pytest.fixture(scope="module")
def slow(head: Path, tmp_path_factory: pytest.TempPathFactory) -> SyncResult:
    return draw(head, tmp_path_factory.mktemp("slow") / "slow.mp4", smart_copy="off")


@pytest.fixture(scope="module")
def copied(head: Path, tmp_path_factory: pytest.TempPathFactory) -> SyncResult:
    return draw(head, tmp_path_factory.mktemp("copied") / "copied.mp4")


def differing(one: Path, other: Path) -> list[int]:
    return [number for number, (a, b) in enumerate(zip(hashes(one), hashes(other), strict=True)) if a != b]


def test_what_is_not_said_anew_is_the_source_to_the_bit(head: Path, copied: SyncResult) -> None:
    assert differing(head, copied.path) == list(range(300, 350))
    assert copied.warnings == ()
    info = probe_video(copied.path)
    assert (info.frame_count, info.fps, info.variable_frame_rate) == (FRAMES, 25, False)


def test_what_is_said_anew_is_as_in_a_run_that_draws_all(slow: SyncResult, copied: SyncResult) -> None:
    assert (slow.frames_synced, slow.frames) == (copied.frames_synced, copied.frames)
    assert differing(slow.path, copied.path) != []
    frames = [open_video(one.path).read(np.arange(300, 350)) for one in (slow, copied)]
    differences = [np.abs(one.astype(int) - other) for one, other in zip(*frames, strict=True)]
    assert max(one.mean() for one in differences) < 1.5, "encoding alone differs"
    assert max(np.percentile(one, 99.9) for one in differences) < 25
    sounds = [open_audio(one.path).read(16_000).samples for one in (slow, copied)]
    assert np.array_equal(*sounds)
