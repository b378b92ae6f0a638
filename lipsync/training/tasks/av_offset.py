"""Audio-video offset of each person's clips in a training set.

Measured by a sync expert, or by the correlation of the mouth opening with the audio.

Before there is an expert, the opening is predicted from the audio by a regression that was fitted to other
people; the offset is where it correlates best with the true one. On the people it was fitted to, it would
only confirm the offset it learned; so a given expert should have been trained on others, too.

Offsets are kept as audio delays, in seconds by which the audio is late: the opposite sign of SyncNet's
offset in frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from lipsync.generators.builtin.network import encoder_config, feature_rate, speech_features
from lipsync.generators.builtin.speech_encoder import SpeechEncoder
from lipsync.options import OptionGroup, option
from lipsync.sync_score import estimate_sync, load_expert, parabolic_peak
from lipsync.sync_score.offset import MAX_OFFSET as MAX_EXPERT_OFFSET
from lipsync.training.data.dataset import TrainingSet, read_set
from lipsync.training.data.dataset_format import FPS, ManifestRow, read_manifest, write_manifest
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.engine.task import Report
from lipsync.training.tasks.opening_offsets import MAX_OFFSET, delay_at_peak, opening_curves
from lipsync.training.tasks.shape_figures import opening_weights
from lipsync.training.tasks.sync_expert import clip_similarity
from lipsync.training.tasks.whisper_encoder import read_whisper_encoder
from lipsync.types import FloatArray

DROPPED = "dropped"
"""The split of clips that nothing uses, since their audio fits at no offset."""
_ENCODER_LAYERS = 3
_MIN_CORRELATION = 0.35
_MIN_CONFIDENCE = 0.08
"""Peaks below are noise: of the correlation of openings, and of an expert's similarity over its median."""
_MIN_GAIN = 0.03
"""How much higher than the curve at no offset a peak has to be to be used."""


@dataclass(frozen=True)
class AvOffsetOptions(OptionGroup):
    """Measurement and correction of audio-video offsets."""

    expert: Path | None = option(  # noqa: RUF009 - a declaration
        None, "sync expert to measure with; without one a regression from audio to mouth opening is"
    )
    speech_encoder: Path | None = option(  # noqa: RUF009 - a declaration
        None,
        "Whisper model in CTranslate2's format (model.bin), whose first layers that regression listens "
        "through; without one it gets a log-mel spectrogram",
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


def correct_av_offsets(folder: Path, options: AvOffsetOptions, report: Report) -> int:
    """Measure and correct the audio delay of each person; returns the clips changed.

    The delays are written into the manifest.

    Args:
        folder: a prepared set, with landmarks where no expert is given.
        report: gets rounds and figures of the regression.

    Raises:
        InputError: there is no set, or it has no landmarks and no expert was given.
        WeightsError: the expert or the Whisper model cannot be read.
        OutputError: the manifest cannot be written.
    """
    if options.expert is not None:
        offsets = measure_with_expert(read_face_clips(folder), load_expert(options.expert))
        return write_av_offsets(folder, offsets, options.zero, options.drop)
    encoder = None
    if options.speech_encoder is not None:
        encoder = read_whisper_encoder(options.speech_encoder, _ENCODER_LAYERS)
    offsets = measure_with_openings(read_set(folder, with_crops=False), encoder, report)
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
    training: TrainingSet, encoder: SpeechEncoder | None, report: Report
) -> dict[str, AvOffset]:
    """The remaining offset of each person, to a fraction of a frame, at most 10 frames.

    The test split is left out.

    Args:
        encoder: of the audio's features; None takes a log-mel spectrogram.
        report: gets the round and its mean correlation.
    """
    clips = [clip for clip in training.clips if clip.split != "test"]
    config = encoder_config(encoder)
    features = {clip.name: speech_features(clip.audio, config, encoder).astype(np.float16) for clip in clips}
    weights = opening_weights(training.space.components)
    curves = opening_curves(clips, features, feature_rate(config), weights, report)
    return {
        person: AvOffset(delay_at_peak(curve), float(curve.max()), float(curve[MAX_OFFSET]))
        for person, curve in curves.items()
    }


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
