"""Disk space is told before the run, and is enough for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import lipsync
from lipsync import Segment, SyncOptions, TimeRange
from lipsync.pipeline.arguments import JobArguments
from lipsync.pipeline.disk_use import disk_use
from lipsync.pipeline.job import Job, open_job
from tests.material import SAMPLES, VOICE

TALK = SAMPLES / "talk.mp4"


def long_job(hours: float, options: SyncOptions) -> Job:
    """The sample, as if it went on for so long."""
    job = open_job(JobArguments(TALK, VOICE, options))
    return replace(job, timeline=np.zeros(round(hours * 3600 * job.video.fps), np.int64))


def test_an_hour_tells_its_temporary_files() -> None:
    options = SyncOptions()
    plain = disk_use(long_job(1, options), 1, options, False, Path("out.mp4"))
    resumed = disk_use(long_job(1, options), 1, options, True, Path("out.mp4"))
    assert resumed.temporary - plain.temporary > 0.8 * plain.result, "the parts"
    [told] = resumed.warnings(Path.cwd())[:1]
    assert "GB of temporary files" in told
    assert disk_use(long_job(0.01, options), 1, options, False, Path("out.mp4")).temporary < 10**9
    unsigned = SyncOptions.from_flat(provenance="metadata", smart_copy="off")
    least = disk_use(long_job(1, unsigned), 1, unsigned, False, Path("out.mp4"))
    samples = 2 * 4 * 16_000 * 3600
    assert samples < least.temporary < 1.3 * samples, "the sound alone"
    assert plain.temporary - least.temporary > 0.8 * plain.result, "the pictures a second time"
    better = SyncOptions.from_flat(quality=11)
    assert disk_use(long_job(1, better), 1, better, False, Path("o.mp4")).result > 1.8 * plain.result


def test_a_disk_that_is_too_full_is_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    output = tmp_path / "new" / "out.mp4"
    assert lipsync.plan(TALK, VOICE, output=output).warnings == ()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(1_000_000))
    [told] = [one for one in lipsync.plan(TALK, VOICE, output=output).warnings if "disk" in one]
    assert "0.0 GB left" in told
    assert lipsync.plan(TALK, VOICE).warnings == (), "where it goes is not known"


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_takes_no_more_than_was_told(tmp_path: Path, resume: bool) -> None:
    """Its private folders are looked at all the time."""
    output, most, stop = tmp_path / "out.mp4", [0], threading.Event()
    settings: dict[str, Any] = {"score": False, "variant": "builtin", "box": (100, 400, 100, 400)}
    options = SyncOptions.from_flat(**settings)

    def look() -> None:
        while not stop.wait(0.01):
            sizes = []
            for path in tmp_path.rglob("*"):
                try:
                    sizes.append(path.stat().st_size if path.is_file() else 0)
                except OSError:
                    continue
            most.append(sum(sizes))

    lines = (Segment(TimeRange(0.2, 0.5)),)
    told = lipsync.plan(TALK, VOICE, options, output=output, segments=lines, resume=resume)
    watch = threading.Thread(target=look)
    watch.start()
    try:
        result = lipsync.sync(TALK, VOICE, options, output=output, segments=lines, resume=resume)
    finally:
        stop.set()
        watch.join()
    assert result.frames == told.frames
    assert max(most) <= told.temporary_bytes + 1.2 * output.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
