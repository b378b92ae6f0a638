"""Mouths that stay open while the voice rests are told."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from lipsync.context import RunContext
from lipsync.media import YuvFrame
from lipsync.media.video.yuv import YuvColorSpace
from lipsync.pipeline import rest_watch
from lipsync.pipeline.audio_conditioning import SpeakerAudio
from lipsync.pipeline.model_provider import FreshModels
from lipsync.pipeline.rest_watch import RestWatch
from lipsync.pipeline.stages import Chunk, Speaker
from lipsync.types import FaceTrack
from lipsync.types import FloatArray as Openings

FRAMES = 100  # 4 s


class Meter:
    """Tells the openings of the frames that it is given, whose brightness is their number."""

    def __init__(self, result: Openings, source: Openings) -> None:
        self._of, self.seen = (result, source), list[int]()

    def update(self, result: np.ndarray, _source: np.ndarray, _box: object) -> None:
        self.seen.append(int(result.mean()))

    @property
    def openings(self) -> tuple[Openings, Openings]:
        return self._of[0][self.seen], self._of[1][self.seen]


def watch(
    monkeypatch: pytest.MonkeyPatch,
    result: float,
    source: float,
    *,
    resting: slice | None = slice(None),
    weights: float = 1,
) -> tuple[tuple[str, ...], list[int]]:
    """The warnings for a run whose mouths have these openings, and the frames that were looked at."""
    meter = Meter(np.full(FRAMES, result, np.float32), np.full(FRAMES, source, np.float32))
    monkeypatch.setattr(rest_watch, "_meter", lambda: meter)
    rests = np.zeros(FRAMES, np.bool_)
    if resting:
        rests[resting] = True
    audio = SpeakerAudio(np.zeros((FRAMES, 1), np.float32), np.full(FRAMES, weights, np.float32), rests)
    boxes = np.tile(np.array([16, 16, 48, 48], np.float32), (FRAMES, 1))
    track = FaceTrack(boxes, np.full((FRAMES, 5, 2), np.nan, np.float32), np.ones(FRAMES, np.float32))
    watching = RestWatch([Speaker(track, (), audio, boxes)], Fraction(25), RunContext(FreshModels()))
    for first in range(0, FRAMES, 10):
        frames = [grey(number) for number in range(first, first + 10)]
        watching.update(Chunk(first, [*range(first, first + 10)], frames, [], [], [], [], frames))
    return watching.warnings(), meter.seen


def grey(level: int) -> YuvFrame:
    return YuvFrame.from_rgb(
        np.full((64, 64, 3), level, np.uint8), YuvColorSpace(0.299, 0.114, full_range=True)
    )


def test_a_mouth_that_stays_open_is_told_with_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    [warning], _ = watch(monkeypatch, 0.2, 0.3, resting=slice(20, 90))
    assert "stays open for about 2." in warning and "in_silence" in warning


@pytest.mark.parametrize(
    ("result", "source"),
    [(0.01, 0.3), (0.2, 0.01), (np.nan, 0.3)],
    ids=["closed", "opened by the voice", "no mouth"],
)
def test_other_mouths_are_not(monkeypatch: pytest.MonkeyPatch, result: float, source: float) -> None:
    assert watch(monkeypatch, result, source)[0] == ()


def test_only_drawn_frames_within_a_rest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    _, seen = watch(monkeypatch, 0.2, 0.3, resting=slice(20, 60))
    assert seen and min(seen) >= 25 and max(seen) <= 55  # lips may still close and already open
    assert watch(monkeypatch, 0.2, 0.3, resting=slice(20, 26)) == ((), [])
    assert watch(monkeypatch, 0.2, 0.3, weights=0) == ((), [])
    assert watch(monkeypatch, 0.2, 0.3, resting=None) == ((), [])
