"""How late the sound of each person's clips is, measured by what other people's mouths do.

A voice network is trained on half of the people and listened to on the other half, and the other
way round; where the opening it hears agrees best with the opening that is seen, there the sound
belongs. Measured on the people it learned from, a network would only confirm the lag it learned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lipsync.data_types import FloatArray
from lipsync.generators.builtin.network import NetworkConfig
from lipsync.training.dataset import Clip
from lipsync.training.loop import LoopOptions, Report, read_checkpoint, train
from lipsync.training.store import FPS, read_manifest, write_manifest
from lipsync.training.voice import VoiceOptions, VoiceTask, lag_curve, opening_of, openings

REACH = 6
"""Frames to either side that a lag is looked for in."""


@dataclass(frozen=True)
class Lag:
    """What was measured of one person: seconds that the sound is late, and how sure that is."""

    seconds: float
    agreement: float
    agreement_as_given: float

    @property
    def believable(self) -> bool:
        """The peak is high, and clearly higher than without a shift."""
        return self.agreement > 0.35 and self.agreement > self.agreement_as_given + 0.03


def measure_lags(
    clips: Sequence[Clip],
    components: FloatArray,
    config: NetworkConfig,
    runs: Path,
    report: Report,
    steps: int = 140,
) -> dict[str, Lag]:
    """The lag of every person, pooled over their clips; clips kept for the end are left out."""
    known = [clip for clip in clips if clip.split != "check"]
    people = sorted({clip.person for clip in known})
    curves: dict[str, list[tuple[FloatArray, int]]] = {}
    for half in (0, 1):
        learners = set(people[half::2])
        parted = [
            dataclasses.replace(clip, split="train" if clip.person in learners else "held") for clip in known
        ]
        task = VoiceTask(parted, components, config, VoiceOptions(variants=3))
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


def _believed(lag: Lag | None) -> float:
    return lag.seconds if lag is not None and lag.believable else 0.0


def _pooled(parts: list[tuple[FloatArray, int]]) -> Lag:
    curve = np.average([part for part, _ in parts], axis=0, weights=[frames for _, frames in parts])
    late_picture = int(curve.argmax()) - REACH
    return Lag(-late_picture / FPS, float(curve.max()), float(curve[REACH]))


def note_lags(folder: Path, lags: dict[str, Lag], zero: float = 0.0) -> int:
    """Write believable lags into the manifest of a set; gives how many clips they change.

    Args:
        zero: seconds added to every lag. People are only ever compared with each other, so what they
            have in common cannot be measured here, but by a clip whose lag is known.
    """
    rows = read_manifest(folder)
    noted = [
        row
        if row.split == "check"
        else dataclasses.replace(row, lag=round(row.lag + zero + _believed(lags.get(row.person)), 3))
        for row in rows
    ]
    write_manifest(folder, noted)
    return sum(new.lag != old.lag for new, old in zip(noted, rows, strict=True))
