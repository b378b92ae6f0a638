"""Time and memory by the length of the video: linear and constant, if all is well.

Lengths are 10 s, 1 min and 10 min; `--quick` takes 5, 10 and 20 s. The time per further frame is the
difference to the next shorter run, so that start-up is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import (
    FPS,
    make_talking_head,
    measure_lipsync,
    random_checkpoint,
    report,
    run_arguments,
)

SIZES = ("854x480", "1920x1080")
LENGTHS, QUICK_LENGTHS = (10.0, 60.0, 600.0), (5.0, 10.0, 20.0)


@dataclass(frozen=True)
class Run:
    """One length at one size."""

    seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(folder: Path, size: str, seconds: float, more: list[str]) -> Run:
    """Measure one run on a generated clip."""
    width, height = map(int, size.split("x"))
    video, voice = make_talking_head(folder, width, height, seconds)
    output = folder / "out.mp4"
    measured = measure_lipsync([*run_arguments(video, voice, output), "--json", *more])
    for path in (video, voice, output):
        path.unlink()
    return Run(seconds, measured.seconds, measured.cpu_seconds, measured.peak_bytes)


def table_rows(size: str, runs: list[Run]) -> list[tuple[str, str]]:
    """One row per length: totals, time per further frame, and memory against the shorter run."""
    rows = []
    for number, done in enumerate(runs):
        mebibytes = done.peak_bytes / 2**20
        line = f"{done.wall_seconds:7.1f} s, {done.cpu_seconds:7.1f} s of CPU, {mebibytes:5.0f} MiB"
        if number:
            before = runs[number - 1]
            frames = (done.seconds - before.seconds) * FPS
            line += (
                f"; {1000 * (done.cpu_seconds - before.cpu_seconds) / frames:5.1f} ms of CPU a further frame"
            )
            line += f", memory x {done.peak_bytes / before.peak_bytes:.2f}"
        rows.append((f"{size}, {done.seconds:g} s", line))
    return rows


def main() -> None:
    """Measure every length at every size and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short lengths")
    parser.add_argument("--sizes", nargs="*", default=SIZES, help=f"default {' '.join(SIZES)}")
    parser.add_argument("--lengths", nargs="*", type=float, help="seconds, instead of the default ones")
    parser.add_argument("--variant", default="wav2lip", help="builtin, or one with Wav2Lip's network")
    parser.add_argument("--weights", type=Path, help="Wav2Lip checkpoint (default: random weights)")
    parser.add_argument("extra", nargs="*", help="more settings for `lipsync run`, after --")
    chosen = parser.parse_args()
    lengths = chosen.lengths or (QUICK_LENGTHS if chosen.quick else LENGTHS)
    table, values = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        more = ["--variant", chosen.variant, *chosen.extra]
        if chosen.variant != "builtin":
            more += ["--weights", str(chosen.weights or random_checkpoint(folder))]
        for size in chosen.sizes:
            runs = [run(folder, size, seconds, more) for seconds in sorted(lengths)]
            table += table_rows(size, runs)
            values[size] = [vars(done) for done in runs]
    report("growth", table, values)


if __name__ == "__main__":
    main()
