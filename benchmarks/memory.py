"""Does memory grow with the length of the video? Peak memory of a short and a ten times longer run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.common import made_up_checkpoint, make_talking_head, material_arguments, report, run_measured

TIMES_LONGER = 10


def main() -> None:
    """Run twice and compare."""
    parser = material_arguments(__doc__, size="640x360", seconds=60)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    peaks, times = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = chosen.weights or made_up_checkpoint(folder)
        for seconds in (chosen.seconds, chosen.seconds * TIMES_LONGER):
            video, voice = make_talking_head(folder, width, height, seconds)
            arguments = ["run", str(video), str(voice), "-o", str(folder / "out.mp4"), "--json", "--no-cache"]
            measured = run_measured(
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
