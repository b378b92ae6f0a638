"""Training of the mouth renderer: outline, masked face, reference to image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.mouth_interior import interior_tone
from lipsync.generators.builtin.mouth_outline import (
    inpainting_mask,
    render_contours,
    render_interior,
    render_interior_halves,
)
from lipsync.generators.builtin.network import NetworkConfig
from lipsync.generators.builtin.renderer import Renderer
from lipsync.options import OptionGroup, option
from lipsync.training.data.augment import (
    Augmentation,
    Rng,
    augment_crop,
    no_augmentation,
    sample_augmentation,
    transform_points,
)
from lipsync.training.data.dataset import Clip, PersonBalancedSampler
from lipsync.training.data.dataset_format import MARGIN, SIDE
from lipsync.training.data.mouth_shapes import MIRRORED
from lipsync.training.engine.task import Batch, device_of, to_device
from lipsync.training.tasks.discriminators import Critic, critic_losses
from lipsync.training.tasks.losses import edge_loss, weighted_l1
from lipsync.types import FloatArray, Frame

Points = npt.NDArray[np.floating]
_MAX_REFERENCE_DISTANCE = 75
"""Frames between target and reference at most: 3 s."""
_VAL_REFERENCE_DISTANCE = 10
"""Frames between target and reference in the validation split at least: 0.4 s."""


@dataclass(frozen=True)
class RendererOptions(OptionGroup):
    """Batches and losses of the mouth renderer."""

    batch: int = option(16, "examples in a step", min=1, max=4096)
    identity_share: float = option(
        0.15, "share of examples whose reference is the target frame itself", min=0.0, max=1.0
    )
    aligned_share: float = option(
        0.75, "share of references aligned with the target's head, as at inference", min=0.0, max=1.0
    )
    projected_share: float = option(
        0.3, "share of outlines reconstructed from shape coefficients, as at inference", min=0.0, max=1.0
    )
    edge_weight: float = option(1.0, "weight of the loss of image gradients", min=0.0)
    flow_weight: float = option(0.02, "weight of the penalty on the correction of the flow", min=0.0)
    critic_weight: float = option(0.0, "weight of the adversarial loss; 0 trains no critic", min=0.0)
    matching_weight: float = option(
        10.0, "weight of the critic's feature matching, relative to the adversarial loss", min=0.0
    )
    seed: int = option(1, "seed of all random choices", min=0)


class RendererAndCritic(nn.Module):
    """Renderer and critic as one module to train; only the renderer ships."""

    def __init__(self, renderer: Renderer) -> None:
        super().__init__()
        self.painter = renderer  # the attribute's name is in the keys of checkpoints
        self.critic = Critic()


@dataclass(frozen=True)
class Example:
    """Target and reference crop (128, 128, 3), and outlines (49, 2) in their pixels."""

    target: Frame
    reference: Frame
    reference_outline: FloatArray
    target_outline: FloatArray
    closed_outline: FloatArray


class Outlines(NamedTuple):
    """Outlines (49, 2) in pixels: mouth of reference and target, closed mouth."""

    reference: Points
    target: Points
    closed: Points


class RendererTask:
    """Training task of the mouth renderer.

    Args:
        clips: the train split is learned from, the val split evaluated.
        components: (coefficients, 147) of the shape space.
        renderer: to continue with; None starts with random weights.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        components: FloatArray,
        config: NetworkConfig,
        options: RendererOptions,
        renderer: Renderer | None = None,
    ) -> None:
        self.options = options
        self._config = config
        self._components = components
        visible = [clip for clip in clips if _is_visible(clip)]
        self._sampler = PersonBalancedSampler([clip for clip in visible if clip.split == "train"])
        self._val_clips = [clip for clip in visible if clip.split == "val"]
        self._network = RendererAndCritic(renderer or Renderer(config.widths))

    @property
    def network(self) -> nn.Module:
        """The renderer and its critic."""
        return self._network

    # --- examples --------------------------------------------------------------------------------

    def batch(self, step: int) -> Batch:
        """Random examples of the train split.

        "target" and "reference" float32 (B, 3, h, w) in [0, 1]; "reference_outline", "target_outline"
        and "closed_outline" (B, 49, 2) in pixels of the window.
        """
        rng = np.random.default_rng((self.options.seed, step))
        return self._stack([self._sample(rng) for _ in range(self.options.batch)])

    def val_batches(self, per_person: int = 16) -> list[Batch]:
        """The same examples of every validation person each time.

        The reference is at least 0.4 s from the target.
        """
        batches = []
        for person in sorted({clip.person for clip in self._val_clips}):
            clips = [clip for clip in self._val_clips if clip.person == person]
            rng = np.random.default_rng(7)
            examples = []
            for number in range(per_person):
                clip = clips[number % len(clips)]
                target = int(rng.choice(clip.usable))
                far = clip.usable[np.abs(clip.usable - target) >= _VAL_REFERENCE_DISTANCE]
                examples.append(self._example(clip, target, int(rng.choice(far)), aligned=True))
            batches.append(self._stack(examples))
        return batches

    def _sample(self, rng: Rng) -> Example:
        clip = self._sampler.sample(rng)
        target, reference = self._pick_frames(clip, rng)
        if rng.random() < self.options.identity_share:
            reference = target
        aligned = bool(rng.random() < self.options.aligned_share)
        augmentation = sample_augmentation(rng)
        return self._example(clip, target, reference, aligned, (augmentation, rng))

    def _pick_frames(self, clip: Clip, rng: Rng) -> tuple[int, int]:
        """A target, often an open mouth, and a reference within 3 s, often different."""
        targets = rng.choice(clip.usable, 4 if rng.random() < 0.6 else 1)
        target = int(targets[clip.lip_gap[targets].argmax()])
        near = clip.usable[np.abs(clip.usable - target) <= _MAX_REFERENCE_DISTANCE]
        references = rng.choice(near, 3 if rng.random() < 0.5 else 1)
        difference = np.abs(clip.lip_gap[references] - clip.lip_gap[target])
        return target, int(references[difference.argmax()])

    def _example(
        self,
        clip: Clip,
        target: int,
        reference: int,
        aligned: bool,
        augment: tuple[Augmentation, Rng] | None = None,
    ) -> Example:
        """An example of two frames of a clip; without `augment` as it is at inference."""
        assert clip.crops is not None
        outlines = Outlines(clip.mouth[reference], clip.mouth[target], clip.closed_mouth[target])
        alignment = None
        if aligned and reference != target:
            alignment = _fit_affine(clip.closed_mouth[reference], clip.closed_mouth[target])
            moved = outlines.reference @ alignment[:, :2].T + alignment[:, 2]
            outlines = outlines._replace(reference=moved)
            alignment[:, 2] += MARGIN - alignment[:, :2] @ np.full(2, MARGIN)
        augmentation, rng = augment or (no_augmentation(), np.random.default_rng(0))
        if augment:
            if rng.random() < self.options.projected_share:
                outlines = outlines._replace(target=self._projected(clip, target))
            closed_reference = clip.closed_mouth[target if aligned else reference]
            outlines = _jitter(outlines, closed_reference, rng)
        points = transform_points(np.stack(outlines), augmentation, MIRRORED)
        target_crop = augment_crop(clip.crops[target], augmentation, rng)
        reference_crop = augment_crop(clip.crops[reference], augmentation, rng, alignment)
        return Example(target_crop, reference_crop, *points)

    def _projected(self, clip: Clip, frame: int) -> FloatArray:
        """The outline (49, 2) of a frame as the shape coefficients give it."""
        moves = (clip.shapes[frame] @ self._components).reshape(-1, 3) * clip.amplitude
        projected: FloatArray = clip.closed_mouth[frame] + moves @ clip.projection[frame].T * SIDE
        return projected

    def _stack(self, examples: list[Example]) -> Batch:
        c = self._config
        rows, columns = slice(c.top, c.top + c.height), slice(c.left, c.left + c.width)
        batch = {}
        for name in ("target", "reference"):
            images = np.stack([getattr(example, name)[rows, columns] for example in examples])
            batch[name] = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        for name in ("reference_outline", "target_outline", "closed_outline"):
            points = np.stack([getattr(example, name) for example in examples])
            batch[name] = torch.from_numpy(points).float() - torch.tensor([c.left, c.top])
        return batch

    # --- loss and evaluation ---------------------------------------------------------------------

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of `reconstruction_loss` for a rendered batch."""
        rendered, maps = render(self._network.painter, batch)
        return self.reconstruction_loss(rendered, maps, batch)

    def reconstruction_loss(
        self, rendered: Tensor, maps: dict[str, Tensor], batch: Batch
    ) -> tuple[Tensor, dict[str, float]]:
        """L1 of colours and edges under the mask, weighted towards the mouth.

        Plus the adversarial loss where it has a weight.

        Args:
            rendered, maps: what `render` returned for the batch.
        """
        inside = render_interior(batch["target_outline"], *rendered.shape[-2:]).clamp(0, 1)
        weight = maps["mask"] * (0.5 + 3 * mouth_region(batch["target_outline"], rendered) + 3 * inside)
        l1 = weighted_l1(rendered, batch["target"], weight)
        edges = edge_loss(rendered, batch["target"], weight)
        flow = maps["flow"].square().mean()
        loss = l1 + self.options.edge_weight * edges + self.options.flow_weight * 0.1 * flow
        figures = {"l1": l1.item(), "edges": edges.item(), "flow_px": flow.sqrt().item()}
        if self.options.critic_weight:
            adversarial, more = self._adversarial_loss(rendered, batch)
            loss, figures = loss + adversarial, {**figures, **more}
        return loss, figures

    def _adversarial_loss(self, rendered: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Losses of renderer and critic in one sum, see `critic_losses`."""
        height, width = rendered.shape[-2:]
        outline = batch["target_outline"]
        maps = torch.cat(
            [render_contours(outline, height, width), render_interior(outline, height, width)], 1
        )
        region = F.adaptive_avg_pool2d(mouth_region(outline, rendered), (height // 8, width // 8))
        region = region / region.sum()
        losses = critic_losses(self._network.critic, batch["target"], rendered, maps, region)
        options = self.options
        loss = losses.critic + options.critic_weight * (
            losses.renderer + options.matching_weight * losses.feature_matching
        )
        return loss, {
            "critic": losses.critic.item(),
            "adversarial": losses.renderer.item(),
            "feature_matching": losses.feature_matching.item(),
        }

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """L1 at the mouth ("score") and under the mask, on the val split.

        "reference" is the L1 at the mouth of the aligned reference frame itself.
        """
        figures: dict[str, list[float]] = {"score": [], "mask": [], "reference": []}
        assert isinstance(network, RendererAndCritic)
        for examples in self.val_batches():
            batch = to_device(examples, device_of(network))
            rendered, maps = render(network.painter, batch)
            region = mouth_region(batch["target_outline"], rendered) * (maps["mask"] > 0)
            figures["score"].append(weighted_l1(rendered, batch["target"], region).item())
            figures["reference"].append(weighted_l1(batch["reference"], batch["target"], region).item())
            figures["mask"].append(weighted_l1(rendered, batch["target"], maps["mask"]).item())
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Two examples of each validation person: reference | target | rendered."""
        assert isinstance(network, RendererAndCritic)
        rows = []
        for examples in self.val_batches(per_person=2):
            batch = to_device(examples, device_of(network))
            rendered, _ = render(network.painter, batch)
            rows.append(torch.cat([batch["reference"], batch["target"], rendered], dim=3))
        return {"reference, target, rendered": torch.cat(rows)} if rows else {}


def _is_visible(clip: Clip) -> bool:
    return clip.crops is not None and len(clip.usable) >= 25


def _fit_affine(source: FloatArray, target: FloatArray) -> FloatArray:
    """The least-squares affine map (2, 3) of points (P, 2) onto others."""
    homogeneous = np.concatenate([source, np.ones((len(source), 1), np.float32)], axis=1)
    return np.asarray(np.linalg.lstsq(homogeneous, target, rcond=None)[0].T, np.float64)


def _jitter(outlines: Outlines, closed_reference: FloatArray, rng: Rng) -> Outlines:
    """Outlines with random errors as at inference.

    Args:
        closed_reference: (49, 2) the closed mouth in the head pose of the reference's outline.
    """
    reference, target, closed = outlines
    shift = rng.normal(0, 0.8, 2)
    target = target + shift + rng.normal(0, 0.25, target.shape)
    # At inference the reference's outline is estimated, and its opening is the least certain.
    reference = closed_reference + (reference - closed_reference) * rng.normal(1, 0.2)
    reference = reference + shift + rng.normal(0, 0.35, 2) + rng.normal(0, 0.25, reference.shape)
    return Outlines(reference, target, closed + shift + rng.normal(0, 1.0, 2))


def render(renderer: Renderer, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Render a batch, with the brightness of the true mouth interior given.

    Returns:
        (B, 3, h, w) in [0, 1], and the maps "mask", "flow" and "choice" of `Renderer`.
    """
    height, width = batch["target"].shape[-2:]
    halves = render_interior_halves(batch["target_outline"], height, width)
    tone = interior_tone(batch["target"], halves, inpainting_mask(batch["closed_outline"], height, width))
    rendered: tuple[Tensor, dict[str, Tensor]] = renderer(
        batch["target"],
        batch["reference"],
        batch["reference_outline"],
        batch["target_outline"],
        batch["closed_outline"],
        tone,
    )
    return rendered


def mouth_region(outline: Tensor, like: Tensor) -> Tensor:
    """Soft mask of the lips and what is between them; (B, 1, h, w) in [0, 1].

    Args:
        outline: (B, 49, 2) in pixels.
        like: (B, C, h, w), an image of the mask's size.
    """
    height, width = like.shape[-2:]
    return (
        render_contours(outline, height, width, 3.0) + render_interior(outline, height, width, 2.0)
    ).clamp(0, 1)
