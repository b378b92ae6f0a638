"""Meters of a run: what each is given, in one thread and in several."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from lipsync.context import RunContext
from lipsync.media import open_audio
from lipsync.pipeline import scoring
from lipsync.pipeline.model_provider import FreshModels
from lipsync.pipeline.scoring import SyncScorer, _read_part
from lipsync.pipeline.stages import Chunk
from lipsync.progress import CancelToken
from tests.make_media import run_ffmpeg

FRAMES, CHUNK = 12, 4
GAP = 8
"""Frame before which others were copied."""


class Meter:
    """Keeps what it is given, and the thread."""

    def __init__(self, fails_at: float = -1) -> None:
        self.given: list[Any] = []
        self.threads: set[str] = set()
        self._fails_at = fails_at

    def update(self, when: float, frames: Any, box: Any, points: Any) -> None:
        if when == self._fails_at:
            raise RuntimeError("the meter broke")
        self.threads.add(threading.current_thread().name.partition("_")[0])
        self.given.append((when, frames, None if box is None else box.tolist()))


def measured(monkeypatch: pytest.MonkeyPatch, threads: int, source: Meter | None = None) -> list[Meter]:
    """Meters of result, source and lips after a run of two speakers who take turns."""
    monkeypatch.setattr(scoring, "frames_at_a_time", lambda: threads)
    speakers = []
    for number in range(2):
        boxes = np.full((20, 4), number, np.float32)
        boxes[2 + number] = np.nan
        weights = np.array([(n // 5) % 2 == number for n in range(20)], np.float32)
        track = SimpleNamespace(boxes=boxes, points=np.zeros((20, 5, 2), np.float32))
        speakers.append(
            SimpleNamespace(track=track, score_boxes=boxes, audio=SimpleNamespace(weights=weights))
        )
    job = SimpleNamespace(video=SimpleNamespace(fps=Fraction(25)))
    meters = [Meter(), source or Meter(), Meter()]
    context = RunContext(FreshModels())
    scorer = SyncScorer(
        cast(Any, job), cast(Any, speakers), cast(Any, meters[:2]), "", context, cast(Any, meters[2])
    )
    for first in range(0, FRAMES, CHUNK):
        start = first + 3 * (first >= GAP)
        shown = [start, start + 1, start, start + 2]  # backwards once
        names = cast(Any, [f"{kind}{start + n}" for kind in ("source", "result") for n in range(CHUNK)])
        scorer.update(Chunk(start, shown, names[:CHUNK], [], [], [], [], names[CHUNK:]))
    return meters


def test_meters_in_threads_of_their_own_are_given_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    one, several = measured(monkeypatch, 1), measured(monkeypatch, 4)
    assert [meter.given for meter in several] == [meter.given for meter in one]
    assert {name for meter in one for name in meter.threads} == {"MainThread"}
    assert {name for meter in several for name in meter.threads} == {"lipsync measure"}
    of_result, of_source, of_lips = (meter.given for meter in one)
    assert [given[0] for given in of_result] == [n / 25 for n in (*range(8), *range(11, 15))]
    assert len(of_source) == 9  # not where it goes backwards
    assert sum(given[2] is None for given in of_result) > sum(given[2] is None for given in of_lips)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_meter_that_fails_is_heard_of(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    with pytest.raises(RuntimeError, match="the meter broke"):
        measured(monkeypatch, threads, Meter(fails_at=5 / 25))
    assert not [one for one in threading.enumerate() if one.name.startswith("lipsync measure")]


def test_sound_around_what_is_measured_is_that_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    run_ffmpeg("-f", "lavfi", "-i", "aevalsrc=0.3*sin(300*t*t):s=22050:d=40", path)
    audio = open_audio(path)
    whole = audio.read().samples
    part = _read_part(audio, (20.5, 21.5), CancelToken()).samples
    assert len(part) == len(whole)
    around = slice(round(8.6 * 16_000), round(33.4 * 16_000))
    assert np.array_equal(part[around], whole[around])
    assert not part[: 8 * 16_000].any() and not part[34 * 16_000 :].any()
    assert np.array_equal(_read_part(audio, (0.0, 40.0), CancelToken()).samples, whole)
