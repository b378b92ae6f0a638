"""Sync and motion of the built-in model's mouths.

On people of a prepared set that it was not trained on, measured by a sync expert and by MediaPipe;
`lipsync.training.tasks.evaluate_builtin` describes the figures.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import report
from lipsync.generators.builtin.adapter import Builtin
from lipsync.sync_score import CompactSyncNet, load_expert
from lipsync.training import read_set
from lipsync.training.data.dataset import Clip
from lipsync.training.data.dataset_format import RENAMED_SPLITS
from lipsync.training.data.landmarks import MediaPipeLandmarker
from lipsync.training.tasks.evaluate_builtin import MouthFigures, evaluate_clip, mean_figures
from lipsync.weights import require


def main() -> None:
    """Evaluate one clip of each person, rendered with the audio of another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path, help="prepared set with landmarks")
    parser.add_argument("--expert", type=Path, required=True, help="sync expert that the model did not see")
    parser.add_argument("--landmarker", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--weights", type=Path, help="model to evaluate (default: the one that ships)")
    parser.add_argument("--split", default="val", choices=("val", "test"), type=_split)
    parser.add_argument("--frames", type=int, default=150)
    chosen = parser.parse_args()
    expert = load_expert(chosen.expert)
    assert isinstance(expert, CompactSyncNet)
    generator = Builtin(chosen.weights or require("builtin"), device="cpu", number_format="fp32")
    landmarker = MediaPipeLandmarker(chosen.landmarker)
    clips = one_per_person(read_set(chosen.set).clips, chosen.split)
    figures = {}
    for number, clip in enumerate(clips):
        other = clips[(number + len(clips) // 2) % len(clips)]
        figures[clip.person] = evaluate_clip(generator, clip, other.audio, landmarker, expert, chosen.frames)
    mean = mean_figures(list(figures.values()))
    report(
        "mouths",
        [(f"{len(clips)} people", chosen.split), *table_rows(mean)],
        {"mean": dataclasses.asdict(mean), **{p: dataclasses.asdict(one) for p, one in figures.items()}},
    )


def _split(name: str) -> str:
    """A split by its name, that of earlier releases included."""
    return RENAMED_SPLITS.get(name, name)


def one_per_person(clips: Sequence[Clip], split: str) -> list[Clip]:
    """The first clip of each person in which the mouth can be seen."""
    first: dict[str, Clip] = {}
    for clip in clips:
        if clip.split == split and len(clip.usable) >= 25:
            first.setdefault(clip.person, clip)
    return list(first.values())


def table_rows(mean: MouthFigures) -> list[tuple[str, str]]:
    """Table rows of every figure, and of two ratios."""
    rows = [(name, f"{value:.3f}") for name, value in dataclasses.asdict(mean).items()]
    rows.append(("margin, other audio over real", f"{mean.other_margin / mean.real_margin:.2f}"))
    rows.append(("movement, silence over other audio", f"{mean.silent_moves / mean.other_moves:.2f}"))
    return rows


if __name__ == "__main__":
    main()
