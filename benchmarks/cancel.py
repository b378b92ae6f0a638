"""Cancellation latency at several moments of a run.

Seconds from the cancel to the end of the call. The target is about one second. A batch in the generator is
finished first, so a slow processor without bf16 takes longest.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.common import make_talking_head, material_arguments, random_checkpoint, report
from lipsync import Cancelled, CancelToken, Progress, SyncOptions, sync

MOMENTS = (("Finding faces", 0), ("Finding faces", 60), ("Drawing lips", 0), ("Drawing lips", 60))


def seconds_to_cancel(video: Path, voice: Path, options: SyncOptions, stage: str, after: int) -> float:
    """Run, cancel when `after` frames of `stage` are done, and time the reaction."""
    cancel, cancelled = CancelToken(), 0.0

    def stop(progress: Progress) -> None:
        nonlocal cancelled
        if progress.stage == stage and progress.done >= after and not cancelled:
            cancelled = time.perf_counter()
            cancel.cancel()

    output = video.with_name("out.mp4")
    try:
        sync(video, voice, options, stop, cancel, output=output)
    except Cancelled:
        latency = time.perf_counter() - cancelled
    else:
        raise SystemExit(f"the run ended before frame {after} of '{stage}'")
    if output.exists():
        raise SystemExit("a cancelled run left its output")
    return latency


def main() -> None:
    """Measure and report."""
    parser = material_arguments(__doc__, size="1280x720", seconds=10)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = chosen.weights or random_checkpoint(folder)
        video, voice = make_talking_head(folder, width, height, chosen.seconds)
        options = SyncOptions.from_flat(variant="wav2lip", weights=weights)
        latencies = {
            f"{stage}, {after} frames done": seconds_to_cancel(video, voice, options, stage, after)
            for stage, after in MOMENTS
        }
    report("cancel", [(moment, f"{seconds:.2f} s") for moment, seconds in latencies.items()], latencies)


if __name__ == "__main__":
    main()
