"""Training of the VoiceNet: voice to mouth shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.generators.builtin.log_mel import MEL_RATE, SILENCE, log_mel
from lipsync.generators.builtin.mouth_outline import LOWER_INNER, UPPER_INNER
from lipsync.generators.builtin.network import Audio2Shape, NetworkConfig
from lipsync.options import OptionGroup, option
from lipsync.training.data.augment import change_speed, change_voice
from lipsync.training.data.dataset import ByPerson, Clip
from lipsync.training.engine.loop import Batch, device_of
from lipsync.types import FloatArray

FPS = 25
_COLUMNS = 256


@dataclass(frozen=True)
class Audio2ShapeOptions(OptionGroup):
    """What the VoiceNet hears and how it is judged."""

    batch: int = option(32, "windows of 2.56 s of a step", min=1, max=4096)
    variants: int = option(10, "ways in which each clip's sound is changed", min=1, max=1000)
    silent: float = option(0.06, "share of windows that are silence, for a closed mouth", min=0.0, max=1.0)
    together: float = option(0.5, "weight of the correlation of the opening", min=0.0)
    seed: int = option(1, "of every random choice", min=0)


class Audio2ShapeTask:
    """The loop's view of the VoiceNet.

    Args:
        net: to go on with; None starts anew.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        components: FloatArray,
        config: NetworkConfig,
        options: Audio2ShapeOptions,
        net: Audio2Shape | None = None,
    ) -> None:
        self.options = options
        self._clips = ByPerson([clip for clip in clips if clip.split == "train"])
        self._held = [clip for clip in clips if clip.split == "held"]
        self._net = net or Audio2Shape(config.mels, config.shape_numbers, config.voice_width, dropout=0.2)
        self._bands = config.mels
        self._importance = torch.from_numpy(importance(components)).float()
        self._opening = torch.from_numpy(opening_of(components)).float()
        self._heard: dict[tuple[str, int], tuple[FloatArray, FloatArray]] = {}

    @property
    def network(self) -> nn.Module:
        """The VoiceNet."""
        return self._net

    def batch(self, step: int) -> Batch:
        """Random windows of the people to train on."""
        generator = np.random.default_rng((self.options.seed, step))
        windows = [self._draw(generator) for _ in range(self.options.batch)]
        names = ("mel", "shapes", "known")
        return {
            name: torch.from_numpy(np.stack(part))
            for name, part in zip(names, zip(*windows, strict=True), strict=True)
        }

    def _draw(self, generator: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        clip = self._clips.draw(generator)
        mel, shapes = self._hear(clip, int(generator.integers(self.options.variants)))
        start = int(
            generator.integers(
                min(0, shapes.shape[1] - _COLUMNS // 2), max(1, shapes.shape[1] - _COLUMNS // 2 + 1)
            )
        )
        mel, _ = cut(mel, 2 * start, _COLUMNS, SILENCE)
        shapes, known = cut(shapes, start, _COLUMNS // 2, 0.0)
        if generator.random() < self.options.silent:
            mel = np.clip(generator.normal(SILENCE, generator.uniform(0, 0.5), mel.shape), -4, 4).astype(
                np.float32
            )
            return mel, np.zeros_like(shapes), np.ones_like(known)
        low = int(generator.integers(self._bands))
        mel[low : low + int(generator.integers(1, 12))] = SILENCE if generator.random() < 0.5 else mel.mean()
        return mel, shapes, known

    def _hear(self, clip: Clip, variant: int) -> tuple[FloatArray, FloatArray]:
        """One variant of a clip: mel (bands, T) at 100 Hz and shapes (numbers, T / 2) at 50 Hz."""
        key = (clip.name, variant)
        if key not in self._heard:
            generator = np.random.default_rng((self.options.seed, hash_name(clip.name), variant))
            speed = 1.0 if variant == 0 else float(generator.uniform(0.85, 1.18))
            sound = clip.sound if variant == 0 else change_voice(change_speed(clip.sound, speed), generator)
            self._heard[key] = (log_mel(sound, self._bands), targets(clip, speed))
        mel, shapes = self._heard[key]
        return mel, shapes

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """L1 of shapes and of their speed, and the correlation of the opening within each window."""
        shapes, known = batch["shapes"], batch["known"].unsqueeze(1)
        given = self._net(batch["mel"])
        weight = self._importance.to(given.device).view(1, -1, 1)
        error = (given - shapes) * known
        # A habit of the person that the voice cannot tell shifts a whole window: it counts for half.
        shift = error.sum(2, keepdim=True) / known.sum(2, keepdim=True).clamp_min(1)
        near = ((error - 0.5 * shift * known).abs() * weight).sum() / known.sum()
        both = known[..., 2:] * known[..., :-2]
        pace = (((error[..., 2:] - error[..., :-2]) * both).abs() * weight).sum() / both.sum()
        wanted, got = (torch.einsum("bnt,n->bt", x, self._opening.to(x.device)) for x in (shapes, given))
        agreement = correlation(got, wanted, batch["known"])
        loss = near + pace + self.options.together * (1 - agreement).mean()
        return loss, {"near": near.item(), "pace": pace.item(), "agreement": agreement.mean().item()}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Correlation of the opening on held-out clips at lag 0 and at the clip's best lag, by person."""
        found: dict[str, list[tuple[float, float, float]]] = {}
        for clip in self._held:
            got, wanted = openings(network, clip, self._bands, self._opening.numpy())
            curve = lag_curve(got, wanted, 6)
            found.setdefault(clip.person, []).append((curve[6], curve.max(), float(got.std() / wanted.std())))
        people = np.array([np.mean(values, axis=0) for values in found.values()])
        now, best, spread = people.mean(0)
        return {"score": -float(now), "best_lag": float(best), "spread": float(spread)}

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """None: what is heard cannot be seen."""
        return {}


def importance(components: FloatArray) -> FloatArray:
    """How far each shape number moves the lips on average, the largest being 1; (numbers,)."""
    reach = np.linalg.norm(components.reshape(len(components), -1, 3)[:, :40], axis=2).mean(1)
    return np.asarray(reach / reach.max(), np.float32)


def opening_of(components: FloatArray) -> FloatArray:
    """What turns shape numbers into the opening of the inner lips, to first order; (numbers,)."""
    points = components.reshape(len(components), -1, 3)
    return np.asarray(points[:, LOWER_INNER, 1] - points[:, UPPER_INNER, 1], np.float32)


def targets(clip: Clip, speed: float = 1.0) -> FloatArray:
    """A clip's shapes on the clock of its sound, smoothed a little, (numbers, T) at 50 Hz."""
    padded = np.pad(clip.shapes, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    count = int(len(smooth) / FPS / speed * MEL_RATE / 2)
    at = (np.arange(count) / (MEL_RATE / 2) * speed - clip.lag) * FPS
    frames = np.arange(len(smooth))
    return np.stack([np.interp(at, frames, column) for column in smooth.T]).astype(np.float32)


def cut(series: FloatArray, start: int, length: int, fill: float) -> tuple[FloatArray, FloatArray]:
    """`length` columns of (channels, T) from `start`, which may lie outside; and 1 where they are known."""
    out = np.full((series.shape[0], length), fill, np.float32)
    first, last = max(0, start), min(series.shape[1], start + length)
    known = np.zeros(length, np.float32)
    if last > first:
        out[:, first - start : last - start] = series[:, first:last]
        known[first - start : last - start] = 1
    return out, known


def correlation(a: Tensor, b: Tensor, known: Tensor) -> Tensor:
    """Pearson's r over time where it is known; (B, T) -> (B,). Flat series give about 0."""
    count = known.sum(1, keepdim=True).clamp_min(1)
    a, b = ((x - (x * known).sum(1, keepdim=True) / count) * known for x in (a, b))
    bottom = (a.square().sum(1) * b.square().sum(1) + 1e-8).sqrt()
    return (a * b).sum(1) / bottom


def openings(
    network: nn.Module, clip: Clip, bands: int, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The opening heard and the opening seen in each frame of a clip, both (T,)."""
    mel = torch.from_numpy(log_mel(clip.sound, bands)).unsqueeze(0).to(device_of(network))
    heard = network(mel)[0].cpu().numpy().T @ weights
    at = (np.arange(len(clip)) / FPS + clip.lag) * (MEL_RATE / 2)
    return np.interp(at, np.arange(len(heard)), heard).astype(np.float32), clip.shapes @ weights


def lag_curve(got: FloatArray, wanted: FloatArray, reach: int) -> FloatArray:
    """Pearson's r with `wanted` shifted against `got` by -reach..reach frames, (2 reach + 1,).

    A peak right of the middle says that the picture is late against the sound.
    """
    curve = []
    for lag in range(-reach, reach + 1):
        a = got[max(0, -lag) : len(got) - max(0, lag)]
        b = wanted[max(0, lag) : len(wanted) - max(0, -lag)]
        flat = len(a) < 10 or a.std() < 1e-9 or b.std() < 1e-9
        curve.append(0.0 if flat else float(np.corrcoef(a, b)[0, 1]))
    return np.array(curve, np.float32)


def hash_name(name: str) -> int:
    """The same number for the same name in every process, unlike `hash`."""
    return int.from_bytes(name.encode()[-8:], "little")
