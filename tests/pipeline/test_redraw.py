"""A part drawn again alone: the rest is copied from the earlier result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync import Redraw, ReportOptions, Segment, SyncOptions, SyncResult, TimeRange, sync
from lipsync.errors import OptionError, RangeError
from lipsync.media import open_audio, open_video
from lipsync.media.provenance import read_provenance
from lipsync.media.video.smart_copy import NotCopyableError
from lipsync.types import Frame
from tests.make_media import run_ffmpeg
from tests.material import VOICE, make_head

LINES = (Segment(TimeRange(0.2, 1.8)), Segment(TimeRange(4.4, 5.6), voice=TimeRange(1, 3)))


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_head(tmp_path_factory.mktemp("head") / "head.mp4", parts=[7])


@pytest.fixture(scope="module")
def other_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    run_ffmpeg("-ss", "2.5", "-i", VOICE, "-t", "1.5", path)
    return path


@pytest.fixture(scope="module")
def first(head: Path, tmp_path_factory: pytest.TempPathFactory) -> SyncResult:
    return draw(head, VOICE, tmp_path_factory.mktemp("first") / "first.mp4", score=True)


def draw(
    video: Path, voice: Path, output: Path, lines: tuple[Segment, ...] = LINES, **more: object
) -> SyncResult:
    options = SyncOptions(report=ReportOptions(score=bool(more.pop("score", False))))
    return sync(video, voice, options, output=output, segments=lines, **more)  # type: ignore[arg-type]


def frames(path: Path) -> list[Frame]:
    return list(open_video(path).read(np.arange(175)))


def moved(one: list[Frame], other: list[Frame]) -> float:
    """Share of pixels that differ by more than encoding does, in the frames of the second line."""
    pairs = zip(one[112:138], other[112:138], strict=True)
    return float(np.mean([np.abs(first.astype(int) - second).max(axis=2) > 40 for first, second in pairs]))


def test_one_line_is_drawn_again_and_the_rest_is_the_same_to_the_bit(
    head: Path, other_voice: Path, first: SyncResult, tmp_path: Path
) -> None:
    changed = (LINES[0], Segment(TimeRange(4.4, 5.6), voice_file=1))
    given = {"more_voices": [other_voice], "lines": changed}
    seen = []
    again = draw(
        head, VOICE, tmp_path / "again.mp4", redraw=Redraw(first.path, (TimeRange(4.4, 5.6),)),
        progress=seen.append, **given,
    )  # fmt: skip
    whole = draw(head, VOICE, tmp_path / "whole.mp4", **given)
    before, after, wanted = (frames(one.path) for one in (first, again, whole))
    assert [bool(np.array_equal(*pair)) for pair in zip(before, after, strict=True)] == [
        not 100 <= number < 150 for number in range(175)
    ]
    assert moved(after, wanted) < 0.02 * moved(before, wanted), "the new line is said as in a whole run"
    assert read_provenance(again.path).state == read_provenance(whole.path).state
    sounds = [open_audio(one.path).read(16_000) for one in (again, whole)]
    assert np.abs(sounds[0].samples - sounds[1].samples).max() < 1e-3
    assert [one for one in again.warnings if "encoded again" in one] == []
    drawing = [one for one in seen if one.stage == "Drawing lips"]
    assert drawing[0].done >= 125
    assert drawing[-1].done == drawing[-1].total == 175


def test_the_score_is_that_of_the_whole(head: Path, first: SyncResult, tmp_path: Path) -> None:
    part = Redraw(first.path, (TimeRange(0.2, 1.8),))
    again = draw(head, VOICE, tmp_path / "again.mp4", redraw=part, score=True)
    assert again.score and first.score
    assert again.score.result.confidence == pytest.approx(first.score.result.confidence, abs=0.2)


def test_what_cannot_be_drawn_alone_is_refused_before_the_work(
    head: Path, first: SyncResult, tmp_path: Path
) -> None:
    part, out = (TimeRange(1, 2),), tmp_path / "out.mp4"
    with pytest.raises(NotCopyableError, match="other frames"):
        draw(head, VOICE, out, redraw=Redraw(make_head(tmp_path / "short.mp4", parts=[1]), part))
    with pytest.raises(RangeError, match="after the end"):
        draw(head, VOICE, out, redraw=Redraw(first.path, (TimeRange(9, 10),)))
    with pytest.raises(OptionError, match="resumed"):
        draw(head, VOICE, out, redraw=Redraw(first.path, part), resume=True)
    assert not out.exists()
