"""Figures on mouth shapes: opening, width, closures, correlation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.generators.builtin.outline_points import LOWER_INNER, UPPER_INNER
from lipsync.training.data.dataset import Clip
from lipsync.training.data.dataset_format import FPS
from lipsync.training.data.speech_scenes import SHAPE_RATE
from lipsync.training.engine.task import device_of
from lipsync.types import FloatArray

CLOSED = 0.015
"""Opening below which a mouth counts as closed, in distances between the eyes."""
_CORNERS = (0, 10)
"""The outer corners of the lips among the 49 points."""


def coefficient_importance(components: FloatArray) -> FloatArray:
    """Mean lip movement of each coefficient, relative to the largest; (coefficients,)."""
    movement = np.linalg.norm(components.reshape(len(components), -1, 3)[:, :40], axis=2).mean(1)
    return np.asarray(movement / movement.max(), np.float32)


def opening_weights(components: FloatArray) -> FloatArray:
    """Weights (coefficients,) of the mouth opening as a linear function of a shape."""
    points = components.reshape(len(components), -1, 3)
    return np.asarray(points[:, LOWER_INNER, 1] - points[:, UPPER_INNER, 1], np.float32)


def width_weights(components: FloatArray) -> FloatArray:
    """Weights (coefficients,) of the mouth width as a linear function of a shape."""
    points = components.reshape(len(components), -1, 3)
    return np.asarray(points[:, _CORNERS[1], 0] - points[:, _CORNERS[0], 0], np.float32)


def masked_correlation(a: Tensor, b: Tensor, known: Tensor) -> Tensor:
    """Pearson's r over time where `known` is 1, (B, T) -> (B,).

    Constant series give about 0.
    """
    count = known.sum(1, keepdim=True).clamp_min(1)
    a, b = ((x - (x * known).sum(1, keepdim=True) / count) * known for x in (a, b))
    norm = (a.square().sum(1) * b.square().sum(1) + 1e-8).sqrt()
    return (a * b).sum(1) / norm


def predict_clip_shapes(network: nn.Module, features: FloatArray, clip: Clip) -> FloatArray:
    """Shapes (T, coefficients) that Audio2Shape predicts for a clip's frames.

    Args:
        network: Audio2Shape.
        features: of the clip's audio, see `network.speech_features`.
    """
    with torch.inference_mode():
        predicted: Tensor = network(torch.from_numpy(features)[None].to(device_of(network)))[0]
    at = (np.arange(len(clip)) / FPS + clip.audio_delay) * SHAPE_RATE
    steps = np.arange(predicted.shape[1])
    return np.stack([np.interp(at, steps, row) for row in predicted.cpu().numpy()], 1).astype(np.float32)


def shape_figures(predicted: FloatArray, true: FloatArray, components: FloatArray) -> dict[str, float]:
    """Figures on the shapes of one clip, (T, coefficients) each.

    Correlation of opening and width; the spread of the opening over the true one; and, of frames whose
    mouth is closed, the share predicted closed once the openings are spread alike, and of those predicted
    closed the share that is.
    """
    weights = opening_weights(components)
    found, target = predicted @ weights, true @ weights
    ratio = float(found.std() / max(target.std(), 1e-9))
    closed, shown = target < CLOSED, found / np.clip(ratio, 0.4, 1.0) < CLOSED
    return {
        "opening_r": _correlation(found, target),
        "width_r": _correlation(predicted @ width_weights(components), true @ width_weights(components)),
        "relative_spread": ratio,
        "closures_kept": float(shown[closed].mean()) if closed.any() else float("nan"),
        "closures_true": float(closed[shown].mean()) if shown.any() else float("nan"),
    }


def _correlation(a: FloatArray, b: FloatArray) -> float:
    flat = len(a) < 10 or a.std() < 1e-9 or b.std() < 1e-9
    return 0.0 if flat else float(np.corrcoef(a, b)[0, 1])


def correlation_by_offset(predicted: FloatArray, target: FloatArray, max_offset: int) -> FloatArray:
    """Pearson's r of two series (T,) at offsets of up to `max_offset` frames.

    Returns:
        (2 max_offset + 1,); a peak right of the middle says that the target, hence the video, is late.
    """
    curve = []
    for offset in range(-max_offset, max_offset + 1):
        a = predicted[max(0, -offset) : len(predicted) - max(0, offset)]
        b = target[max(0, offset) : len(target) - max(0, -offset)]
        curve.append(_correlation(a, b))
    return np.array(curve, np.float32)
