"""How well the built-in model's mouths fit a voice, on people of a prepared set it was not trained on.

Read by a sync expert and by MediaPipe's landmarker; `lipsync.training.tasks.evaluate_builtin` says what the
figures mean.
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
from lipsync.training.data.landmarks import MediaPipeLandmarker
from lipsync.training.tasks.evaluate_builtin import Verdict, judge, mean_verdict
from lipsync.weights import require


def main() -> None:
    """Judge one clip of each person, drawn with the voice of another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path, help="prepared set with landmarks")
    parser.add_argument("--expert", type=Path, required=True, help="sync expert that the model did not see")
    parser.add_argument("--landmarker", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--weights", type=Path, help="model to judge (default: the one that ships)")
    parser.add_argument("--split", default="held", choices=("held", "check"))
    parser.add_argument("--frames", type=int, default=150)
    chosen = parser.parse_args()
    expert = load_expert(chosen.expert)
    assert isinstance(expert, CompactSyncNet)
    generator = Builtin(chosen.weights or require("builtin"), device="cpu", number_format="fp32")
    teacher = MediaPipeLandmarker(chosen.landmarker)
    clips = one_a_person(read_set(chosen.set).clips, chosen.split)
    verdicts = {}
    for number, clip in enumerate(clips):
        other = clips[(number + len(clips) // 2) % len(clips)]
        verdicts[clip.person] = judge(generator, clip, other.sound, teacher, expert, chosen.frames)
    mean = mean_verdict(list(verdicts.values()))
    report(
        "mouths",
        [(f"{len(clips)} people", chosen.split), *in_rows(mean)],
        {"mean": dataclasses.asdict(mean), **{p: dataclasses.asdict(v) for p, v in verdicts.items()}},
    )


def one_a_person(clips: Sequence[Clip], split: str) -> list[Clip]:
    """The first clip of each person in which the mouth can be seen."""
    first: dict[str, Clip] = {}
    for clip in clips:
        if clip.split == split and len(clip.usable) >= 25:
            first.setdefault(clip.person, clip)
    return list(first.values())


def in_rows(mean: Verdict) -> list[tuple[str, str]]:
    """Every figure, and the two that are shares of others."""
    rows = [(name, f"{value:.3f}") for name, value in dataclasses.asdict(mean).items()]
    rows.append(("margin, other voice over real", f"{mean.other_margin / mean.real_margin:.2f}"))
    rows.append(("movement, silence over other voice", f"{mean.silent_moves / mean.other_moves:.2f}"))
    return rows


if __name__ == "__main__":
    main()
