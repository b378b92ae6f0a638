"""Audio-video offsets by the mouth opening that the audio alone lets expect.

A ridge regression from the audio's features to the opening is fitted to four fifths of the people and
predicts the openings of the others. Each person's offset is where prediction and truth correlate best. A
second round is fitted with the offsets of the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lipsync.sync_score import parabolic_peak
from lipsync.training.data.dataset import Clip
from lipsync.training.data.dataset_format import FPS
from lipsync.training.engine.task import Report
from lipsync.training.tasks.shape_figures import correlation_by_offset
from lipsync.types import FloatArray

MAX_OFFSET = 10
"""Frames to either side in which an offset is searched."""
_FOLDS, _ROUNDS = 5, 2
_TAPS = (-0.08, 0.0, 0.08)
"""Seconds around a frame whose features predict its opening."""
_PENALTY = 0.003
"""Of the regression, relative to the features' mean power."""
_CLIPS_AT_ONCE = 64
_MIN_FRAMES = 2 * MAX_OFFSET + 10

Matrix = npt.NDArray[np.floating[Any]]


def opening_curves(
    clips: Sequence[Clip],
    features: Mapping[str, Matrix],
    rate: int,
    weights: FloatArray,
    report: Report,
) -> dict[str, FloatArray]:
    """Correlation of predicted and true opening by offset, (21,) for each person, weighted by frames.

    A peak right of the middle says that the video is late. Clips under 1.2 s do not count.

    Args:
        features: of each clip's audio, float (channels, T), by name.
        rate: columns of the features per second.
        weights: of `opening_weights`.
        report: gets the number of the round and the mean correlation without a further offset.
    """
    inputs = _Inputs(_by_person(clips), features, rate, weights)
    people = sorted(inputs.clips)
    folds = [people[number::_FOLDS] for number in range(min(_FOLDS, len(people)))]
    delays = dict.fromkeys(people, 0.0)
    curves: dict[str, FloatArray] = {}
    for number in range(_ROUNDS):
        products = [_products(inputs, fold, delays) for fold in folds]
        for index, fold in enumerate(folds):
            fitted = _solve(products[:index] + products[index + 1 :])
            curves |= {person: _curve(inputs, person, fitted) for person in fold}
        delays = {person: delay_at_peak(curve) for person, curve in curves.items()}
        mean = float(np.mean([curve.max() for curve in curves.values()]))
        report(number + 1, {"correlation": mean})
    return curves


@dataclass(frozen=True)
class _Inputs:
    """Arguments of `opening_curves`, clips by person."""

    clips: dict[str, list[Clip]]
    features: Mapping[str, Matrix]
    rate: int
    weights: FloatArray

    def rows(self, clip: Clip, delay: float) -> Matrix:
        """Features around each frame of a clip and a 1, (T, numbers)."""
        features = self.features[clip.name]
        times = np.arange(len(clip)) / FPS + clip.audio_delay + delay
        columns = [
            np.clip(np.rint((times + tap) * self.rate).astype(int), 0, features.shape[1] - 1) for tap in _TAPS
        ]
        taken = [features[:, column].T for column in columns]
        return np.concatenate([*taken, np.ones((len(clip), 1))], axis=1).astype(np.float32)


def _by_person(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.person, []).append(clip)
    return found


def _products(inputs: _Inputs, people: Sequence[str], delays: Mapping[str, float]) -> tuple[Matrix, Matrix]:
    """Normal equations of some people; each counts by the square root of their minutes."""
    left: Any = 0.0
    right: Any = 0.0
    for person in people:
        clips = inputs.clips[person]
        scale = sum(len(clip) for clip in clips) ** -0.5
        for first in range(0, len(clips), _CLIPS_AT_ONCE):
            some = clips[first : first + _CLIPS_AT_ONCE]
            rows = np.concatenate([inputs.rows(clip, delays[person]) for clip in some])
            openings = np.concatenate([_centred(clip.shapes @ inputs.weights) for clip in some])
            left, right = left + rows.T @ rows * scale, right + rows.T @ openings * scale
    return left, right


def _centred(opening: FloatArray) -> FloatArray:
    return np.asarray(opening - opening.mean(), np.float32)


def _solve(products: Sequence[tuple[Matrix, Matrix]]) -> Matrix | None:
    """Coefficients of the regression; None without people to fit it to."""
    if not products:
        return None
    left, right = (np.stack(parts).astype(np.float64).sum(0) for parts in zip(*products, strict=True))
    left[np.diag_indices_from(left)] += _PENALTY * np.trace(left) / len(left) + 1e-9
    return np.asarray(np.linalg.solve(left, right), np.float64)


def _curve(inputs: _Inputs, person: str, fitted: Matrix | None) -> FloatArray:
    """Mean correlation by offset over a person's clips; zeros without one that is long enough."""
    long = [clip for clip in inputs.clips[person] if len(clip) >= _MIN_FRAMES]
    if fitted is None or not long:
        return np.zeros(2 * MAX_OFFSET + 1, np.float32)
    parts = [
        correlation_by_offset(
            (inputs.rows(clip, 0.0) @ fitted).astype(np.float32), clip.shapes @ inputs.weights, MAX_OFFSET
        )
        for clip in long
    ]
    return np.asarray(np.average(parts, axis=0, weights=[len(clip) for clip in long]), np.float32)


def delay_at_peak(curve: FloatArray) -> float:
    """Seconds by which the audio is late at the peak of a curve; 0 for a flat one."""
    if curve.max() <= 0:
        return 0.0
    peak = int(curve.argmax())
    return -(peak - MAX_OFFSET + parabolic_peak(curve, peak)) / FPS
