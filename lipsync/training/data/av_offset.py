"""How late the sound of each person's clips is, by a sync expert or by what other people's mouths do.

Before there is an expert, a voice network is trained on half of the people and listened to on the
other half, and the other way round; where the opening it hears agrees best with the opening that is
seen, there the sound belongs. Measured on the people it learned from, a network would only confirm
the lag it learned; so give an expert that was trained on others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lipsync.generators.builtin.network import NetworkConfig
from lipsync.options import OptionGroup, option
from lipsync.sync_score import estimate_sync, load_expert, parabolic_peak
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.training.data.dataset import Clip, read_set
from lipsync.training.data.dataset_format import FPS, read_manifest, write_manifest
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.engine.loop import LoopOptions, Report, read_checkpoint, train
from lipsync.training.tasks.builtin_audio2shape import (
    Audio2ShapeOptions,
    Audio2ShapeTask,
    lag_curve,
    opening_of,
    openings,
)
from lipsync.training.tasks.sync_expert import judge_clip
from lipsync.types import FloatArray

REACH = 6
"""Frames to either side that a lag is looked for in by ear; an expert looks 15 to either side."""
DROPPED = "dropped"
"""The split of clips whose sound fits nowhere, or whose lag is not known: nothing uses them."""


@dataclass(frozen=True)
class AvOffsetOptions(OptionGroup):
    """How lags are measured and what becomes of them."""

    expert: Path | None = option(  # noqa: RUF009 - a declaration
        None, "sync expert to measure with; none trains a small network to listen with"
    )
    zero: float = option(
        0.0,
        "added to every lag: people are only compared with each other, so what all have in common shows "
        "but in a clip whose lag is known from elsewhere",
        min=-1.0,
        max=1.0,
        unit="s",
    )
    drop: bool = option(False, "drop people whose sound fits nowhere (with an expert)")


@dataclass(frozen=True)
class AvOffset:
    """What was measured of one person: seconds that the sound is late, and how sure that is.

    Attributes:
        agreement, agreement_as_given: height of the peak, and without a shift.
        least: what a peak has to reach to be believed.
    """

    seconds: float
    agreement: float
    agreement_as_given: float
    least: float = 0.35

    @property
    def heard(self) -> bool:
        """There is a peak."""
        return self.agreement > self.least

    @property
    def believable(self) -> bool:
        """The peak is high, and clearly higher than without a shift."""
        return self.heard and self.agreement > self.agreement_as_given + 0.03


def correct_lags(folder: Path, runs: Path, options: AvOffsetOptions, report: Report) -> int:
    """Measure how late each person's sound is and note it in the set; gives how many clips changed.

    Args:
        runs: gets the networks that listen, where no expert is given.

    Raises:
        InputError: there is no set, or it has no landmarks and no expert was given.
        WeightsError: the expert cannot be read.
    """
    if options.expert is not None:
        found = lags_by_expert(read_face_clips(folder), load_expert(options.expert))
        return note_lags(folder, found, options.zero, options.drop)
    training = read_set(folder, pictures=False)
    config = NetworkConfig(shape_numbers=len(training.space.components))
    found = measure_lags(training.clips, training.space.components, config, runs, report)
    return note_lags(folder, found, options.zero)


def lags_by_expert(clips: Sequence[FaceClip], expert: nn.Module) -> dict[str, AvOffset]:
    """The lag of every person that is left beside the one known, to a fraction of a frame.

    The likeness of all windows of a person is pooled; clips kept for the end are left out.
    """
    tables: dict[str, list[FloatArray]] = {}
    for clip in clips:
        if clip.split != "check":
            tables.setdefault(clip.person, []).append(judge_clip(expert, clip))
    found = {}
    for person, parts in tables.items():
        table = np.concatenate(parts)
        sync = estimate_sync(table)
        if sync is not None:
            curve = np.nanmean(table, axis=0)
            seconds = -(sync.offset + parabolic_peak(curve, MAX_OFFSET + sync.offset)) / FPS
            found[person] = AvOffset(seconds, sync.confidence, sync.confidence_at_zero, least=0.08)
    return found


def measure_lags(
    clips: Sequence[Clip],
    components: FloatArray,
    config: NetworkConfig,
    runs: Path,
    report: Report,
    steps: int = 140,
) -> dict[str, AvOffset]:
    """The lag of every person, pooled over their clips; clips kept for the end are left out."""
    known = [clip for clip in clips if clip.split != "check"]
    people = sorted({clip.person for clip in known})
    curves: dict[str, list[tuple[FloatArray, int]]] = {}
    for half in (0, 1):
        learners = set(people[half::2])
        parted = [
            dataclasses.replace(clip, split="train" if clip.person in learners else "held") for clip in known
        ]
        task = Audio2ShapeTask(parted, components, config, Audio2ShapeOptions(variants=3))
        options = LoopOptions(steps=steps, evaluate_every=steps, warm_up=20)
        train(task, options, runs / f"lags{half}", report)
        task.network.load_state_dict(read_checkpoint(runs / f"lags{half}" / "last.pt")["average"])
        task.network.eval()
        with torch.inference_mode():
            for clip in parted:
                if clip.split == "held":
                    heard, seen = openings(task.network, clip, config.mels, opening_of(components))
                    curves.setdefault(clip.person, []).append((lag_curve(heard, seen, REACH), len(clip)))
    return {person: _pooled(parts) for person, parts in curves.items()}


def _heard(lag: AvOffset | None) -> bool:
    return lag is not None and lag.heard


def _believed(lag: AvOffset | None) -> float:
    return lag.seconds if lag is not None and lag.believable else 0.0


def _pooled(parts: list[tuple[FloatArray, int]]) -> AvOffset:
    curve = np.average([part for part, _ in parts], axis=0, weights=[frames for _, frames in parts])
    late_picture = int(curve.argmax()) - REACH
    return AvOffset(-late_picture / FPS, float(curve.max()), float(curve[REACH]))


def note_lags(folder: Path, lags: dict[str, AvOffset], zero: float = 0.0, drop: bool = False) -> int:
    """Write believable lags into the manifest of a set; gives how many clips they change.

    Args:
        zero, drop: see `AvOffsetOptions`.
    """
    rows = read_manifest(folder)
    noted = [
        row
        if row.split == "check"
        else dataclasses.replace(
            row,
            lag=round(row.lag + zero + _believed(lags.get(row.person)), 3),
            split=DROPPED if drop and not _heard(lags.get(row.person)) else row.split,
        )
        for row in rows
    ]
    write_manifest(folder, noted)
    return sum(new != old for new, old in zip(noted, rows, strict=True))
