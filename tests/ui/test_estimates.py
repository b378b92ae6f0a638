"""Estimates of time and size from past runs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from lipsync.options import SyncOptions
from lipsync.types import Plan, SyncResult
from lipsync.ui.estimates import PastRuns


def result(path: Path, frames: int, width: int, seconds: float) -> SyncResult:
    return SyncResult(
        path=path,
        frames=frames,
        frames_synced=frames,
        fps=Fraction(25),
        width=width,
        height=100,
        variant="builtin",
        timings={"total": seconds},
        warnings=(),
    )


def test_the_nearest_runs_of_the_same_kind_count(tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(100_000))
    past, options = PastRuns(tmp_path / "cache" / "runs.json"), SyncOptions.from_flat(variant="builtin")
    plan = Plan(200, Fraction(25), 1000, 100, 8.0, 8.0)
    assert past.estimate(plan, options) is None
    for _ in range(5):
        past.add(result(video, 100, 1000, 4.0), options)
        past.add(result(video, 100, 10, 1.0), options)  # of another size
    estimate = past.estimate(plan, options)
    assert estimate and (estimate.seconds, estimate.bytes) == (8.0, 200_000.0)
    coarse = past.estimate(plan, SyncOptions.from_flat(variant="builtin", quality=23))
    assert coarse and coarse.bytes == 100_000.0
    assert past.estimate(plan, SyncOptions.from_flat(variant="builtin", enhancer="gfpgan")) is None


def test_a_file_that_cannot_be_read_or_written_is_no_error(tmp_path: Path) -> None:
    video, options = tmp_path / "video.mp4", SyncOptions.from_flat(variant="builtin")
    video.write_bytes(bytes(10))
    plan = Plan(200, Fraction(25), 1000, 100, 8.0, 8.0)
    for content in (b"", b"[1]", b'[{"a": 1}]', b"{", b"\xff"):
        (tmp_path / "runs.json").write_bytes(content)
        assert PastRuns(tmp_path / "runs.json").estimate(plan, options) is None
    (tmp_path / "file").touch()
    PastRuns(tmp_path / "file" / "runs.json").add(result(video, 1, 1, 1.0), options)
