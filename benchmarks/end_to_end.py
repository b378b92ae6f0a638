"""One run from the command line: seconds per stage, frame rate, peak memory.

Stages overlap, so their seconds add up to more than the wall time. The wall time includes the start of
Python and the loading of the network.
"""

from __future__ import annotations

import json
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


def main() -> None:
    """Measure and report."""
    parser = material_arguments(__doc__, size="1080x1920", seconds=10)
    parser.add_argument("--video", type=Path, help="your own clip instead of the generated one")
    parser.add_argument("--voice", type=Path, help="your own voice")
    parser.add_argument("--variant", default="wav2lip", help="model (default wav2lip)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        width, height = map(int, chosen.size.split("x"))
        video, voice = chosen.video, chosen.voice
        if video is None:
            video, made_voice = make_talking_head(folder, width, height, chosen.seconds)
            voice = voice or made_voice
        weights = chosen.weights
        if weights is None and chosen.variant.startswith("wav2lip"):
            weights = random_checkpoint(folder)
        arguments = [*run_arguments(video, voice or video, folder / "out.mp4"), "--json"]
        arguments += ["--variant", chosen.variant, *chosen.extra]
        arguments += ["--weights", str(weights)] if weights else []
        measured = measure_lipsync(arguments)
    result = json.loads(measured.output)
    timings: dict[str, float] = result["timings"]
    total = timings.pop("total")
    rate = result["frames"] / measured.seconds
    table = [
        (
            "clip",
            f"{result['duration']:.2f} s, {result['width']}x{result['height']}, {result['frames']} frames",
        ),
        *((f"  {stage}", f"{seconds:6.2f} s") for stage, seconds in timings.items()),
        ("sync()", f"{total:6.2f} s"),
        ("whole process", f"{measured.seconds:6.2f} s, {measured.cpu_seconds:.1f} s of CPU"),
        ("frames per second", f"{rate:6.1f}"),
        ("peak memory", f"{measured.peak_bytes / 2**20:6.0f} MiB, all processes together"),
    ]
    values = {
        "result": result,
        "sync_seconds": total,
        "process_seconds": measured.seconds,
        "cpu_seconds": measured.cpu_seconds,
        "frames_per_second": rate,
        "peak_bytes": measured.peak_bytes,
    }
    report("end_to_end", table, values)


if __name__ == "__main__":
    main()
