"""Training of Audio2Shape: log-mel spectrogram to mouth shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.generators.builtin.audio2shape import Audio2Shape
from lipsync.generators.builtin.log_mel import MEL_RATE, SILENCE, log_mel
from lipsync.generators.builtin.mouth_outline import LOWER_INNER, UPPER_INNER
from lipsync.generators.builtin.network import NetworkConfig
from lipsync.options import OptionGroup, option
from lipsync.training.data.augment import Rng, augment_audio, change_speed, stable_hash
from lipsync.training.data.dataset import Clip, PersonBalancedSampler
from lipsync.training.data.dataset_format import FPS
from lipsync.training.engine.task import Batch, device_of
from lipsync.types import FloatArray

_COLUMNS = 256  # of a window: 2.56 s
MAX_OFFSET = 6
"""Frames to either side in which the audio-video offset of a clip is searched."""


@dataclass(frozen=True)
class Audio2ShapeOptions(OptionGroup):
    """Batches and loss of Audio2Shape."""

    batch: int = option(32, "windows of 2.56 s in a step", min=1, max=4096)
    audio_variants: int = option(10, "augmented variants of each clip's audio", min=1, max=1000)
    silence_share: float = option(
        0.06, "share of windows that are silence, with a closed mouth as target", min=0.0, max=1.0
    )
    correlation_weight: float = option(0.5, "weight of the correlation of the mouth opening", min=0.0)
    seed: int = option(1, "seed of all random choices", min=0)


class Audio2ShapeTask:
    """Training task of Audio2Shape.

    Args:
        clips: the train split is learned from, the val split evaluated.
        components: (coefficients, 147) of the shape space.
        network: to continue with; None starts with random weights.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        components: FloatArray,
        config: NetworkConfig,
        options: Audio2ShapeOptions,
        network: Audio2Shape | None = None,
    ) -> None:
        self.options = options
        self._sampler = PersonBalancedSampler([clip for clip in clips if clip.split == "train"])
        self._val_clips = [clip for clip in clips if clip.split == "val"]
        self._network = network or Audio2Shape(
            config.mels, config.shape_numbers, config.voice_width, dropout=0.2
        )
        self._bands = config.mels
        self._importance = torch.from_numpy(coefficient_importance(components)).float()
        self._opening = torch.from_numpy(opening_weights(components)).float()
        self._variants: dict[tuple[str, int], tuple[FloatArray, FloatArray]] = {}

    @property
    def network(self) -> nn.Module:
        """The Audio2Shape network."""
        return self._network

    def batch(self, step: int) -> Batch:
        """Random windows of the train split.

        "mel" (B, bands, 256) at 100 Hz, "shapes" (B, coefficients, 128) at 50 Hz, and "known"
        (B, 128), 1 where the window lies inside the clip.
        """
        rng = np.random.default_rng((self.options.seed, step))
        windows = [self._sample(rng) for _ in range(self.options.batch)]
        names = ("mel", "shapes", "known")
        return {
            name: torch.from_numpy(np.stack(part))
            for name, part in zip(names, zip(*windows, strict=True), strict=True)
        }

    def _sample(self, rng: Rng) -> tuple[FloatArray, FloatArray, FloatArray]:
        clip = self._sampler.sample(rng)
        mel, shapes = self._variant(clip, int(rng.integers(self.options.audio_variants)))
        start = int(
            rng.integers(min(0, shapes.shape[1] - _COLUMNS // 2), max(1, shapes.shape[1] - _COLUMNS // 2 + 1))
        )
        mel, _ = cut_window(mel, 2 * start, _COLUMNS, SILENCE)
        shapes, known = cut_window(shapes, start, _COLUMNS // 2, 0.0)
        if rng.random() < self.options.silence_share:
            silence = np.clip(rng.normal(SILENCE, rng.uniform(0, 0.5), mel.shape), -4, 4)
            return silence.astype(np.float32), np.zeros_like(shapes), np.ones_like(known)
        low = int(rng.integers(self._bands))  # mask a range of bands, as SpecAugment (arXiv 1904.08779) does
        mel[low : low + int(rng.integers(1, 12))] = SILENCE if rng.random() < 0.5 else mel.mean()
        return mel, shapes, known

    def _variant(self, clip: Clip, variant: int) -> tuple[FloatArray, FloatArray]:
        """Mel (bands, T) at 100 Hz and shapes (coefficients, T / 2) at 50 Hz of a variant."""
        key = (clip.name, variant)
        if key not in self._variants:
            rng = np.random.default_rng((self.options.seed, stable_hash(clip.name), variant))
            speed = 1.0 if variant == 0 else float(rng.uniform(0.85, 1.18))
            audio = clip.audio if variant == 0 else augment_audio(change_speed(clip.audio, speed), rng)
            self._variants[key] = (log_mel(audio, self._bands), target_shapes(clip, speed))
        mel, shapes = self._variants[key]
        return mel, shapes

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """L1 of the shapes and of their velocity, and correlation of the opening."""
        shapes, known = batch["shapes"], batch["known"].unsqueeze(1)
        predicted = self._network(batch["mel"])
        weight = self._importance.to(predicted.device).view(1, -1, 1)
        error = (predicted - shapes) * known
        # A bias over a whole window is mostly the person's, which the audio cannot tell: it counts for half.
        bias = error.sum(2, keepdim=True) / known.sum(2, keepdim=True).clamp_min(1)
        l1 = ((error - 0.5 * bias * known).abs() * weight).sum() / known.sum()
        both_known = known[..., 2:] * known[..., :-2]
        velocity_error = (error[..., 2:] - error[..., :-2]) * both_known
        velocity = (velocity_error.abs() * weight).sum() / both_known.sum()
        target, opening = (
            torch.einsum("bnt,n->bt", x, self._opening.to(x.device)) for x in (shapes, predicted)
        )
        r = masked_correlation(opening, target, batch["known"])
        loss = l1 + velocity + self.options.correlation_weight * (1 - r).mean()
        return loss, {"l1": l1.item(), "velocity": velocity.item(), "correlation": r.mean().item()}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Correlation of the opening on the val split, averaged by person.

        At no offset, and at each clip's best.
        """
        by_person: dict[str, list[tuple[float, float, float]]] = {}
        for clip in self._val_clips:
            predicted, target = mouth_openings(network, clip, self._bands, self._opening.numpy())
            curve = correlation_by_offset(predicted, target, MAX_OFFSET)
            figures = (curve[MAX_OFFSET], curve.max(), float(predicted.std() / target.std()))
            by_person.setdefault(clip.person, []).append(figures)
        people = np.array([np.mean(figures, axis=0) for figures in by_person.values()])
        correlation, best, spread = people.mean(0)
        return {"score": -float(correlation), "best_offset": float(best), "relative_spread": float(spread)}

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Nothing: the network makes no images."""
        return {}


def coefficient_importance(components: FloatArray) -> FloatArray:
    """Mean lip movement of each coefficient, relative to the largest; (coefficients,)."""
    movement = np.linalg.norm(components.reshape(len(components), -1, 3)[:, :40], axis=2).mean(1)
    return np.asarray(movement / movement.max(), np.float32)


def opening_weights(components: FloatArray) -> FloatArray:
    """Weights (coefficients,) of the mouth opening as a linear function of a shape."""
    points = components.reshape(len(components), -1, 3)
    return np.asarray(points[:, LOWER_INNER, 1] - points[:, UPPER_INNER, 1], np.float32)


def target_shapes(clip: Clip, speed: float = 1.0) -> FloatArray:
    """A clip's smoothed shapes in the time of its audio, (coefficients, T) at 50 Hz.

    Args:
        speed: at which the audio is played.
    """
    padded = np.pad(clip.shapes, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    count = int(len(smooth) / FPS / speed * MEL_RATE / 2)
    at = (np.arange(count) / (MEL_RATE / 2) * speed - clip.audio_delay) * FPS
    frames = np.arange(len(smooth))
    return np.stack([np.interp(at, frames, column) for column in smooth.T]).astype(np.float32)


def cut_window(series: FloatArray, start: int, length: int, fill: float) -> tuple[FloatArray, FloatArray]:
    """A window of a series that may extend beyond it.

    Args:
        series: (channels, T).
        fill: value outside of the series.

    Returns:
        The window (channels, length), and (length,) 1 inside and 0 outside of the series.
    """
    out = np.full((series.shape[0], length), fill, np.float32)
    first, last = max(0, start), min(series.shape[1], start + length)
    known = np.zeros(length, np.float32)
    if last > first:
        out[:, first - start : last - start] = series[:, first:last]
        known[first - start : last - start] = 1
    return out, known


def masked_correlation(a: Tensor, b: Tensor, known: Tensor) -> Tensor:
    """Pearson's r over time where `known` is 1, (B, T) -> (B,).

    Constant series give about 0.
    """
    count = known.sum(1, keepdim=True).clamp_min(1)
    a, b = ((x - (x * known).sum(1, keepdim=True) / count) * known for x in (a, b))
    norm = (a.square().sum(1) * b.square().sum(1) + 1e-8).sqrt()
    return (a * b).sum(1) / norm


def mouth_openings(
    network: nn.Module, clip: Clip, bands: int, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The predicted and the true mouth opening in each frame of a clip, both (T,).

    Args:
        bands: of the mel spectrogram.
        weights: of `opening_weights`.
    """
    mel = torch.from_numpy(log_mel(clip.audio, bands)).unsqueeze(0).to(device_of(network))
    predicted = network(mel)[0].cpu().numpy().T @ weights
    at = (np.arange(len(clip)) / FPS + clip.audio_delay) * (MEL_RATE / 2)
    return np.interp(at, np.arange(len(predicted)), predicted).astype(np.float32), clip.shapes @ weights


def correlation_by_offset(predicted: FloatArray, target: FloatArray, max_offset: int) -> FloatArray:
    """Pearson's r of two series (T,) at offsets of up to `max_offset` frames.

    Returns:
        (2 max_offset + 1,); a peak right of the middle says that the target, hence the video, is late.
    """
    curve = []
    for offset in range(-max_offset, max_offset + 1):
        a = predicted[max(0, -offset) : len(predicted) - max(0, offset)]
        b = target[max(0, offset) : len(target) - max(0, -offset)]
        flat = len(a) < 10 or a.std() < 1e-9 or b.std() < 1e-9
        curve.append(0.0 if flat else float(np.corrcoef(a, b)[0, 1]))
    return np.array(curve, np.float32)
