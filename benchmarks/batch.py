"""Throughput of batches: one process, one worker, two workers; and what a task costs beyond its video.

All in one run on one cluster, as ratios to the plain batch. The rate counts from the first finished video to
the last, so that starting processes and loading networks, which is told by itself, does not blur it. A plain
batch uses all cores for one video after the other; a worker has the cores that it declares.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import make_talking_head, material_arguments, report
from lipsync import CachedModels, CancelToken, SyncOptions, sync
from lipsync.batch.items import BatchItem, BatchSettings, Outcome, plan_items
from lipsync.batch.ray_cluster import cluster
from lipsync.batch.run import make_on_cluster
from lipsync.options import ClusterOptions
from lipsync.progress import ignore_progress


@dataclass(frozen=True)
class Rate:
    """What was measured of one way to make a batch.

    Attributes:
        start: seconds to the first finished video.
        frames: frames a second from then on.
    """

    start: float
    frames: float


def here(items: Sequence[BatchItem], settings: BatchSettings) -> Iterator[Outcome]:
    """A plain batch: one after the other, networks loaded once."""
    models = CachedModels()
    for number, item in enumerate(items):
        yield Outcome(
            number, sync(item.video, item.voice, settings.options, output=item.output, models=models)
        )


def measure(outcomes: Iterator[Outcome]) -> Rate:
    """Time the outcomes of a batch; an error ends the measurement."""
    begin, times, frames = time.perf_counter(), list[float](), list[int]()
    for one in outcomes:
        if one.result is None:
            raise SystemExit(f"a video failed: {one.error}")
        times.append(time.perf_counter() - begin)
        frames.append(one.result.frames)
    return Rate(times[0], sum(frames[1:]) / (times[-1] - times[0]))


def call_seconds(ray: Any) -> float:
    """Seconds of a call to a worker and back, without a video."""
    actor = ray.remote(_Nothing).options(num_cpus=0).remote()
    ray.get(actor.do.remote())
    begin, count = time.perf_counter(), 200
    for _ in range(count):
        ray.get(actor.do.remote())
    return (time.perf_counter() - begin) / count


class _Nothing:
    """An actor without work."""

    def do(self) -> None:
        """Return at once."""


def main() -> None:
    """Measure and report."""
    parser = material_arguments(__doc__, size="640x480", seconds=4)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--worker-cpus", type=int, default=1)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    settings = BatchSettings(SyncOptions.from_flat(variant="builtin", device="cpu"))
    rates: dict[str, Rate] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = make_talking_head(folder, width, height, chosen.seconds)
        begin = time.perf_counter()
        with cluster("ray") as ray:
            started = time.perf_counter() - begin
            rates["plain batch"] = measure(here(plan(pair, chosen.videos, folder / "plain"), settings))
            for count in chosen.workers:
                items = plan(pair, chosen.videos, folder / f"on{count}")
                options = ClusterOptions(workers=count, worker_cpus=chosen.worker_cpus)
                outcomes = make_on_cluster(ray, items, settings, options, ignore_progress, CancelToken())
                rates[f"{count} worker{'s' * (count > 1)}"] = measure(outcomes)
            call = call_seconds(ray)
    plain = rates["plain batch"]
    table = [
        ("starting the cluster", f"{started:.1f} s"),
        ("a call to a worker and back", f"{1000 * call:.1f} ms"),
    ]
    for way, rate in rates.items():
        ratio = rate.frames / plain.frames
        table.append(
            (way, f"{rate.frames:6.1f} frames/s, {ratio:.2f} of plain; first video after {rate.start:.1f} s")
        )
    values = {way: {"frames_per_second": rate.frames, "start": rate.start} for way, rate in rates.items()}
    report("batch", table, {"cluster_start": started, "call": call, "ways": values})


def plan(pair: tuple[Path, Path], count: int, folder: Path) -> list[BatchItem]:
    """So many items of the same video and voice."""
    return plan_items([pair] * count, folder, "h264")


if __name__ == "__main__":
    main()
