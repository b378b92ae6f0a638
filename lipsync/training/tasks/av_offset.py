"""Audio-video offset of each person's clips in a training set.

Measured by a sync expert, or by the correlation of the mouth opening with the audio.

Before there is an expert, Audio2Shape is trained on half of the people and predicts the openings of the
other half, and the other way round; the offset is where the predicted opening correlates best with the
true one. On the people it was trained on, a network would only confirm the offset it learned; so a given
expert should have been trained on others.

Offsets are kept as audio delays, in seconds by which the audio is late: the opposite sign of SyncNet's
offset in frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lipsync.generators.builtin.network import NetworkConfig, speech_features
from lipsync.options import OptionGroup, option
from lipsync.sync_score import estimate_sync, load_expert, parabolic_peak
from lipsync.sync_score.offset import MAX_OFFSET as MAX_EXPERT_OFFSET
from lipsync.training.data.dataset import Clip, TrainingSet, read_set
from lipsync.training.data.dataset_format import FPS, ManifestRow, read_manifest, write_manifest
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import train
from lipsync.training.engine.task import LoopOptions, Report, TrainingRun
from lipsync.training.tasks.builtin_audio2shape import Audio2ShapeOptions, Audio2ShapeTask
from lipsync.training.tasks.shape_figures import correlation_by_offset, opening_weights, predict_clip_shapes
from lipsync.training.tasks.sync_expert import clip_similarity
from lipsync.types import FloatArray

DROPPED = "dropped"
"""The split of clips that nothing uses, since their audio fits at no offset."""
MAX_OFFSET = 6
"""Frames to either side in which the audio-video offset of a clip is searched without an expert."""
_MIN_CORRELATION = 0.35
_MIN_CONFIDENCE = 0.08
"""Peaks below are noise: of the correlation of openings, and of an expert's similarity over its median."""
_MIN_GAIN = 0.03
"""How much higher than the curve at no offset a peak has to be to be used."""


@dataclass(frozen=True)
class AvOffsetOptions(OptionGroup):
    """Measurement and correction of audio-video offsets."""

    expert: Path | None = option(  # noqa: RUF009 - a declaration
        None, "sync expert to measure with; without one a small network is trained for it"
    )
    zero: float = option(
        0.0,
        "added to every audio delay: people are only compared with each other, so an offset common to all "
        "shows only in a clip whose offset is known",
        min=-1.0,
        max=1.0,
        unit="s",
    )
    drop: bool = option(False, "drop people whose audio fits at no offset (with an expert)")


@dataclass(frozen=True)
class AvOffset:
    """Measured offset of one person's clips.

    Attributes:
        audio_delay: seconds by which the audio is late.
        peak: height of the similarity or correlation at that offset.
        peak_at_zero: the same without an offset.
        min_peak: what a peak has to exceed to count as one.
    """

    audio_delay: float
    peak: float
    peak_at_zero: float
    min_peak: float = _MIN_CORRELATION

    @property
    def has_peak(self) -> bool:
        """Whether the audio fits at any offset."""
        return self.peak > self.min_peak

    @property
    def is_reliable(self) -> bool:
        """Whether the peak is high, and clearly higher than without an offset."""
        return self.has_peak and self.peak > self.peak_at_zero + _MIN_GAIN


def correct_av_offsets(folder: Path, runs: Path, options: AvOffsetOptions, report: Report) -> int:
    """Measure and correct the audio delay of each person; returns the clips changed.

    The delays are written into the manifest.

    Args:
        folder: a prepared set, with landmarks where no expert is given.
        runs: gets the training runs of Audio2Shape where no expert is given.
        report: gets their steps and figures.

    Raises:
        InputError: there is no set, or it has no landmarks and no expert was given.
        WeightsError: the expert cannot be read.
        OutputError: the manifest cannot be written.
    """
    if options.expert is not None:
        offsets = measure_with_expert(read_face_clips(folder), load_expert(options.expert))
        return write_av_offsets(folder, offsets, options.zero, options.drop)
    offsets = measure_with_openings(read_set(folder, with_crops=False), runs, report)
    return write_av_offsets(folder, offsets, options.zero)


def measure_with_expert(clips: Sequence[FaceClip], expert: nn.Module) -> dict[str, AvOffset]:
    """The remaining offset of each person, to a fraction of a frame.

    The similarities of all windows of a person are averaged. The test split is left out.
    """
    tables: dict[str, list[FloatArray]] = {}
    for clip in clips:
        if clip.split != "test":
            tables.setdefault(clip.person, []).append(clip_similarity(expert, clip))
    offsets = {}
    for person, parts in tables.items():
        table = np.concatenate(parts)
        sync = estimate_sync(table)
        if sync is not None:
            curve = np.nanmean(table, axis=0)
            audio_delay = -(sync.offset + parabolic_peak(curve, MAX_EXPERT_OFFSET + sync.offset)) / FPS
            offsets[person] = AvOffset(
                audio_delay, sync.confidence, sync.confidence_at_zero, min_peak=_MIN_CONFIDENCE
            )
    return offsets


def measure_with_openings(
    training: TrainingSet, runs: Path, report: Report, steps: int = 140
) -> dict[str, AvOffset]:
    """The remaining offset of each person, in whole frames, at most 6.

    The test split is left out.

    Args:
        steps: of each of the two trainings of Audio2Shape.
    """
    components = training.space.components
    config = NetworkConfig(shape_numbers=len(components))
    clips = [clip for clip in training.clips if clip.split != "test"]
    people = sorted({clip.person for clip in clips})
    curves: dict[str, list[tuple[FloatArray, int]]] = {}
    for half in (0, 1):
        train_people = set(people[half::2])
        halves = [
            dataclasses.replace(clip, split="train" if clip.person in train_people else "val")
            for clip in clips
        ]
        task = Audio2ShapeTask(halves, components, config, Audio2ShapeOptions(scenes=300))
        options = LoopOptions(steps=steps, evaluate_every=steps, warmup_steps=20)
        run = TrainingRun(runs / f"av_offset{half}", options, report)
        train(task, run)
        task.network.load_state_dict(read_checkpoint(run.folder / "last.pt")["ema"])
        for clip in halves:
            if clip.split == "val":
                curve = _opening_curve(task.network.eval(), clip, config, components)
                curves.setdefault(clip.person, []).append((curve, len(clip)))
    return {person: _average(parts) for person, parts in curves.items()}


@torch.inference_mode()
def _opening_curve(
    network: nn.Module, clip: Clip, config: NetworkConfig, components: FloatArray
) -> FloatArray:
    weights = opening_weights(components)
    predicted = predict_clip_shapes(network, speech_features(clip.audio, config, None), clip)
    return correlation_by_offset(predicted @ weights, clip.shapes @ weights, MAX_OFFSET)


def _average(parts: list[tuple[FloatArray, int]]) -> AvOffset:
    """The offset at the peak of a person's curves, weighted by their frames."""
    curve = np.average([part for part, _ in parts], axis=0, weights=[frames for _, frames in parts])
    video_delay_frames = int(curve.argmax()) - MAX_OFFSET
    return AvOffset(-video_delay_frames / FPS, float(curve.max()), float(curve[MAX_OFFSET]))


def write_av_offsets(
    folder: Path, offsets: Mapping[str, AvOffset], zero: float = 0.0, drop: bool = False
) -> int:
    """Add reliable delays to the manifest of a set; returns how many clips change.

    Args:
        offsets: by person.
        zero, drop: see `AvOffsetOptions`.

    Raises:
        InputError: there is no set.
        OutputError: the manifest cannot be written.
    """
    rows = read_manifest(folder)
    corrected = [
        row if row.split == "test" else _corrected(row, offsets.get(row.person), zero, drop) for row in rows
    ]
    write_manifest(folder, corrected)
    return sum(new != old for new, old in zip(corrected, rows, strict=True))


def _corrected(row: ManifestRow, offset: AvOffset | None, zero: float, drop: bool) -> ManifestRow:
    delay = offset.audio_delay if offset is not None and offset.is_reliable else 0.0
    fits = offset is not None and offset.has_peak
    return dataclasses.replace(
        row,
        audio_delay=round(row.audio_delay + zero + delay, 3),
        split=DROPPED if drop and not fits else row.split,
    )
