"""Score cards of real clips: the source and a result with another voice.

The folder holds real talking-face clips and a `manifest.tsv` (columns file and person). Each clip is
synced to the voice of the next one.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from benchmarks.common import report
from lipsync import SyncOptions, TimeRange, sync
from lipsync.types import SyncScore


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="clips, with a manifest.tsv")
    parser.add_argument("names", nargs="+", help="prefixes of the clips' names")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a clip, at most")
    parser.add_argument("--variant", default="builtin")
    chosen = parser.parse_args()
    clips = find_clips(chosen.folder, chosen.names)
    rows, values = [("clip, then the voice", f"{'source':34}  result")], {}
    for number, (clip, seconds) in enumerate(clips):
        voice, voice_seconds = clips[(number + 1) % len(clips)]
        options = SyncOptions.from_flat(
            variant=chosen.variant,
            video_ranges=(TimeRange(0, min(chosen.seconds, seconds)),),
            voice_ranges=(TimeRange(0, min(chosen.seconds, voice_seconds)),),
        )
        with tempfile.TemporaryDirectory() as folder:
            card = sync(clip, voice, options, output=Path(folder) / "out.mp4").score
        assert card is not None
        rows.append(
            (f"{clip.stem[:28]}, {voice.stem[:28]}", f"{short(card.source):34}  {short(card.result)}")
        )
        values[clip.name] = card.as_dict()
        print(rows[-1], flush=True)
    report("score_table", rows, values)


def find_clips(folder: Path, names: list[str]) -> list[tuple[Path, float]]:
    """The first clip of each name prefix, and its length in seconds."""
    with (folder / "manifest.tsv").open(encoding="utf-8") as file:
        listed = [
            (folder / row["file"], float(row["seconds"])) for row in csv.DictReader(file, delimiter="\t")
        ]
    return [next(clip for clip in listed if clip[0].name.startswith(name)) for name in names]


def short(score: SyncScore | None) -> str:
    """Verdict, confidence, distance and offset in one line."""
    if score is None or score.confidence is None:
        return "-" if score is None else score.verdict.value
    return f"{score.verdict.value:5} {score.confidence:.3f} {score.distance:.3f} at {score.offset:+d}"


if __name__ == "__main__":
    main()
