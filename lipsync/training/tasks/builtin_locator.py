"""Training of the mouth locator: face crop to outlines and head projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.mouth_outline import opening, render_contours
from lipsync.generators.builtin.network import NetworkConfig
from lipsync.options import OptionGroup, option
from lipsync.training.data.augment import (
    Rng,
    augment_crop,
    no_augmentation,
    sample_augmentation,
    transform_points,
)
from lipsync.training.data.dataset import Clip, PersonBalancedSampler
from lipsync.training.data.dataset_format import SIDE
from lipsync.training.data.mouth_shapes import MIRRORED
from lipsync.training.engine.task import Batch, device_of, to_device
from lipsync.types import FloatArray, Frame

Example = tuple[Frame, FloatArray, FloatArray]
"""Window of the crop, outlines (2, 49, 2) of mouth and closed mouth, projection (2, 3); in crop sides."""


@dataclass(frozen=True)
class LocatorOptions(OptionGroup):
    """Batches of the mouth locator."""

    batch: int = option(48, "images in a step", min=1, max=4096)
    seed: int = option(1, "seed of all random choices", min=0)


class LocatorTask:
    """Training task of the mouth locator.

    Args:
        clips: the train split is learned from, the val split evaluated.
    """

    def __init__(self, clips: Sequence[Clip], config: NetworkConfig, options: LocatorOptions) -> None:
        self.options = options
        self._config = config
        visible = [clip for clip in clips if clip.crops is not None and len(clip.usable)]
        self._sampler = PersonBalancedSampler([clip for clip in visible if clip.split == "train"])
        self._val_clips = [clip for clip in visible if clip.split == "val"]
        self._network = MouthLocator(config.height, config.width)
        self._start_at_the_mean()

    @property
    def network(self) -> nn.Module:
        """The MouthLocator network."""
        return self._network

    def _start_at_the_mean(self) -> None:
        """Initialise the last layer to the mean face, so that differences are learned."""
        batch = self.batch(0)
        mean = [batch[name].mean(0).flatten() for name in ("mouth", "closed_mouth", "projection")]
        last = self._network.head[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias.copy_(torch.cat(mean))
            last.weight.mul_(0.1)

    def batch(self, step: int) -> Batch:
        """Random frames of the train split.

        "image" float32 (B, 3, h, w) in [0, 1]; "mouth" and "closed_mouth" (B, 49, 2) and "projection"
        (B, 2, 3) in sides of the crop.
        """
        rng = np.random.default_rng((self.options.seed, step))
        examples = []
        for _ in range(self.options.batch):
            clip = self._sampler.sample(rng)
            examples.append(self._example(clip, int(rng.choice(clip.usable)), rng))
        return _stack(examples)

    def _example(self, clip: Clip, frame: int, rng: Rng | None) -> Example:
        """One frame, augmented where there is an `rng`."""
        assert clip.crops is not None
        augmentation = sample_augmentation(rng, strength=1.6) if rng is not None else no_augmentation()
        image = augment_crop(clip.crops[frame], augmentation, rng or np.random.default_rng(0))
        outlines = np.stack([clip.mouth[frame], clip.closed_mouth[frame]])
        points = transform_points(outlines, augmentation, MIRRORED) / SIDE
        projection = augmentation.matrix[:, :2] @ clip.projection[frame]
        if augmentation.mirrored:  # the template is mirrored with the image
            projection = projection * np.array([-1, 1, 1])
        c = self._config
        window = image[c.top : c.top + c.height, c.left : c.left + c.width]
        return window, points.astype(np.float32), projection.astype(np.float32)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """L1 of both outlines, of the movement between them and of the projection."""
        mouth, closed_mouth, projection = self._network(batch["image"])
        true_mouth, true_closed = batch["mouth"], batch["closed_mouth"]
        points = (mouth - true_mouth).abs().mean() + (closed_mouth - true_closed).abs().mean()
        # The renderer follows the movement; errors that both outlines share matter less.
        movement = ((mouth - closed_mouth) - (true_mouth - true_closed)).abs().mean()
        projection_error = (projection - batch["projection"]).abs().mean()
        loss = (points + 2 * movement + 0.5 * projection_error) * 10
        return loss, {
            "points_px": points.item() * SIDE / 2,
            "movement_px": movement.item() * SIDE,
            "projection": projection_error.item(),
        }

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Errors in pixels of a 128-pixel crop and correlation of the opening, val split."""
        names = ("score", "mouth_px", "closed_mouth_px", "movement_px", "opening_correlation")
        by_person: dict[str, list[float]] = {name: [] for name in names}
        for person in sorted({clip.person for clip in self._val_clips}):
            clips = [clip for clip in self._val_clips if clip.person == person]
            examples = [self._example(clip, frame, None) for clip in clips for frame in clip.usable[::4]]
            for name, value in self._errors(network, _stack(examples)).items():
                by_person[name].append(value)
        return {name: float(np.mean(values)) for name, values in by_person.items()}

    @staticmethod
    def _errors(network: nn.Module, examples: Batch) -> dict[str, float]:
        batch = to_device(examples, device_of(network))
        mouth, closed_mouth, _ = network(batch["image"])
        mouth_px = _mean_distance_px(mouth, batch["mouth"])
        closed_px = _mean_distance_px(closed_mouth, batch["closed_mouth"])
        movement_px = _mean_distance_px(mouth - closed_mouth, batch["mouth"] - batch["closed_mouth"])
        predicted, true = opening(mouth).cpu().numpy(), opening(batch["mouth"]).cpu().numpy()
        return {
            "score": mouth_px + closed_px + 2 * movement_px,
            "mouth_px": mouth_px,
            "closed_mouth_px": closed_px,
            "movement_px": movement_px,
            "opening_correlation": float(np.corrcoef(predicted, true)[0, 1]),
        }

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """One frame of each validation person: image | true outline | predicted outline."""
        first = {clip.person: clip for clip in reversed(self._val_clips)}
        if not first:
            return {}
        examples = [
            self._example(first[person], int(first[person].usable[0]), None) for person in sorted(first)
        ]
        batch = to_device(_stack(examples), device_of(network))
        corner = batch["mouth"].new_tensor([self._config.left, self._config.top])
        height, width = batch["image"].shape[-2:]
        shown = [batch["image"]]
        for points in (batch["mouth"], network(batch["image"])[0]):
            lines = render_contours(points * SIDE - corner, height, width).amax(1, keepdim=True).clamp(0, 1)
            shown.append(torch.maximum(batch["image"], lines))
        return {"image, true outline, predicted outline": torch.cat(shown, dim=3)}


def _mean_distance_px(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm(dim=-1).mean()) * SIDE


def _stack(examples: list[Example]) -> Batch:
    images, points, projections = (np.stack(part) for part in zip(*examples, strict=True))
    outlines = torch.from_numpy(points)
    return {
        "image": torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255,
        "mouth": outlines[:, 0],
        "closed_mouth": outlines[:, 1],
        "projection": torch.from_numpy(projections),
    }
