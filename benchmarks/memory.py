"""Peak memory of a short run and of one ten times as long."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.common import (
    make_talking_head,
    material_arguments,
    measure_lipsync,
    random_checkpoint,
    report,
    run_arguments,
)

TIMES_LONGER = 10


def main() -> None:
    """Measure both and report."""
    parser = material_arguments(__doc__, size="640x360", seconds=60)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    peaks, times = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = chosen.weights or random_checkpoint(folder)
        for seconds in (chosen.seconds, chosen.seconds * TIMES_LONGER):
            video, voice = make_talking_head(folder, width, height, seconds)
            arguments = [*run_arguments(video, voice, folder / "out.mp4"), "--json"]
            measured = measure_lipsync(
                [*arguments, "--variant", "wav2lip", "--weights", str(weights), *chosen.extra]
            )
            peaks.append(measured.peak_bytes)
            times.append(measured.seconds)
    growth = peaks[1] / peaks[0]
    table = [
        (f"{chosen.seconds:g} s of {chosen.size}", f"{peaks[0] / 2**20:.0f} MiB in {times[0]:.0f} s"),
        (f"{chosen.seconds * TIMES_LONGER:g} s", f"{peaks[1] / 2**20:.0f} MiB in {times[1]:.0f} s"),
        ("growth", f"{growth:.2f} x the memory for {TIMES_LONGER} x the length"),
    ]
    report("memory", table, {"seconds": chosen.seconds, "peak_bytes": peaks, "run_seconds": times})


if __name__ == "__main__":
    main()
