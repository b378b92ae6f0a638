"""Training of the mouth renderer: outline, masked face, reference to image.

The networks see windows of 128-pixel crops; the losses see the result at the size in which the set stores
its crops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.mouth_interior import inner_lip_gap, interior_tone
from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.mouth_outline import (
    inpainting_mask,
    render_contours,
    render_inner_lips,
    render_interior,
    render_interior_halves,
)
from lipsync.generators.builtin.mouth_painter import GRID, mouth_boxes, to_boxes
from lipsync.generators.builtin.network import NetworkConfig
from lipsync.generators.builtin.outline_points import CHIN, POINTS
from lipsync.generators.builtin.renderer import Outlines, Renderer, WindowMaps
from lipsync.generators.builtin.resampling import Region, box_grid, region_grid, sample, sample_box, to_region
from lipsync.options import OptionGroup, option
from lipsync.training.data.augment import (
    Augmentation,
    Rng,
    augment_crop,
    enlarge_alignment,
    enlarge_augmentation,
    no_augmentation,
    sample_augmentation,
    transform_points,
)
from lipsync.training.data.dataset import Clip, PersonBalancedSampler
from lipsync.training.data.dataset_format import MARGIN, SIDE, STORED_SIDE
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
_LIPS = slice(0, CHIN.start)
"""Points of the outline that are lips; the jaw is not drawn."""
_BLURRED_SIDE, _SHARP_SIDE = 110.0, 220.0
"""Pixels of faces in their videos: sharpness is not learned from the first, and fully from the second."""


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
    contrast_weight: float = option(
        0.0,
        "weight of the difference in contrast between drawn and true interiors; 1 draws streaks into teeth",
        min=0.0,
    )
    critic_weight: float = option(0.0, "weight of the adversarial loss; 0 trains no critic", min=0.0)
    matching_weight: float = option(
        10.0, "weight of the critic's feature matching, relative to the adversarial loss", min=0.0
    )
    exchanged: int = option(
        8,
        "further examples in a step: frames that get another frame's mouth, as with another voice",
        min=0,
        max=4096,
    )
    outline_weight: float = option(
        0.15, "weight of the distance, in pixels, of the mouths located in those frames", min=0.0
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
    """Windows of target and reference, and outlines (49, 2) in crop pixels.

    `sharp` is the weight of fine detail, 0 to 1: enlarged faces have none.
    """

    target: Frame
    reference: Frame
    reference_outline: FloatArray
    target_outline: FloatArray
    closed_outline: FloatArray
    sharp: float


class ExampleOutlines(NamedTuple):
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
        locator: a trained one, which stays as it is. None: no frame gets another one's mouth, whatever
            `options.exchanged` says.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        components: FloatArray,
        config: NetworkConfig,
        options: RendererOptions,
        renderer: Renderer | None = None,
        locator: MouthLocator | None = None,
    ) -> None:
        self.options = options
        self._locator = None if locator is None else locator.eval().requires_grad_(False)
        self._config = config
        self._components = components
        visible = [clip for clip in clips if _is_visible(clip)]
        self._sampler = PersonBalancedSampler([clip for clip in visible if clip.split == "train"])
        self._val_clips = [clip for clip in visible if clip.split == "val"]
        network = RendererAndCritic(renderer or Renderer(config.widths, config.mouth_widths))
        self._network = network.to(memory_format=torch.channels_last)

    @property
    def network(self) -> nn.Module:
        """The renderer and its critic."""
        return self._network

    # --- examples --------------------------------------------------------------------------------

    def batch(self, step: int) -> Batch:
        """Random examples of the train split.

        "target" and "reference" float32 (B, 3, h, w) in [0, 1], windows at the size in which the crops
        are stored; "reference_outline", "target_outline" and "closed_outline" (B, 49, 2) in pixels of
        the 128-pixel crop's window; "sharp" (B,), the weight of fine detail.
        """
        rng = np.random.default_rng((self.options.seed, step))
        batch = self._stack([self._sample(rng) for _ in range(self.options.batch)])
        if self._locator is not None and self.options.exchanged:
            batch |= self._exchanged(rng)
        return batch

    def _exchanged(self, rng: Rng) -> Batch:
        """Frames of the train split, and the mouth shapes of others, of any person.

        "exchanged.frames" float32 (B, 3, h, w) in [0, 1]; "exchanged.shapes" (B, coefficients).
        """
        frames, shapes = [], []
        for _ in range(self.options.exchanged):
            clip, other = self._sampler.sample(rng), self._sampler.sample(rng)
            open_or_not = clip.usable[rng.integers(len(clip.usable), size=3)]
            frame = int(open_or_not[clip.lip_gap[open_or_not].argmax()])
            frames.append(self._window(clip, frame, sample_augmentation(rng, 0.7), rng))
            shapes.append(other.shapes[int(rng.choice(other.usable))] * clip.amplitude)
        images = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
        return {"exchanged.frames": images, "exchanged.shapes": torch.from_numpy(np.stack(shapes)).float()}

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
        outlines = ExampleOutlines(clip.mouth[reference], clip.mouth[target], clip.closed_mouth[target])
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
        image = self._window(clip, target, augmentation, rng)
        reference_image = self._window(clip, reference, augmentation, rng, alignment)
        sharp = float(np.clip((clip.face_side - _BLURRED_SIDE) / (_SHARP_SIDE - _BLURRED_SIDE), 0, 1))
        return Example(image, reference_image, points[0], points[1], points[2], sharp)

    def _window(
        self,
        clip: Clip,
        frame: int,
        augmentation: Augmentation,
        rng: Rng,
        alignment: npt.NDArray[np.floating] | None = None,
    ) -> Frame:
        """The window of an augmented crop at its stored size."""
        assert clip.crops is not None
        factor, c = clip.crops.shape[1] / STORED_SIDE, self._config
        larger = enlarge_augmentation(augmentation, factor, (c.left, c.top))
        if alignment is not None:
            alignment = enlarge_alignment(alignment, factor)
        size = round(c.height * factor), round(c.width * factor)
        return augment_crop(clip.crops[frame], larger, rng, alignment, size)

    def _projected(self, clip: Clip, frame: int) -> FloatArray:
        """The outline (49, 2) of a frame as the shape coefficients give it."""
        moves = (clip.shapes[frame] @ self._components).reshape(-1, 3) * clip.amplitude
        projected: FloatArray = clip.closed_mouth[frame] + moves @ clip.projection[frame].T * SIDE
        return projected

    def _stack(self, examples: list[Example]) -> Batch:
        batch = {"sharp": torch.tensor([example.sharp for example in examples])}
        for name in ("target", "reference"):
            images = np.stack([getattr(example, name) for example in examples])
            batch[name] = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        for name in ("reference_outline", "target_outline", "closed_outline"):
            points = np.stack([getattr(example, name) for example in examples])
            batch[name] = torch.from_numpy(points).float() - torch.tensor(
                [self._config.left, self._config.top]
            )
        return batch

    # --- loss and evaluation ---------------------------------------------------------------------

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of `reconstruction_loss` for a rendered batch, and that of exchanged mouths."""
        rendered = render(self._network.painter, batch, self._config)
        loss, figures = self.reconstruction_loss(rendered, batch)
        if "exchanged.frames" in batch:
            more, more_figures = self._exchanged_loss(batch)
            loss, figures = loss + more, {**figures, **more_figures}
        return loss, figures

    def _exchanged_loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Distance of the mouths located in frames that were drawn with others' shapes.

        There is no true image of these. Frame and mouth agree in all others, so that the network would
        learn to take the opening from the cheeks and the jaw too, and the source's would shine through.
        """
        assert self._locator is not None
        locator, frames = self._locator.to(batch["exchanged.frames"].device), batch["exchanged.frames"]
        window = _reduced(frames, self._config)
        corner = window.new_tensor([self._config.left, self._config.top])
        with torch.no_grad():
            outline, closed, rotation = locator(window)
            components = torch.from_numpy(self._components).to(window)
            moves = (batch["exchanged.shapes"] @ components).view(-1, POINTS, 3)
            target = closed + moves @ rotation.mT
            outlines = Outlines(*(p * self._config.crop - corner for p in (outline, target, closed)))
        region = _region(frames, self._config)
        maps = self._network.painter(window, window, outlines)
        with _frozen(self._network.painter.mouth):
            image = self._network.painter.compose(frames, frames, maps, outlines, region)
        located = locator(_reduced(image, self._config))[0] * self._config.crop - corner
        lips, asked = located[:, _LIPS], outlines.target[:, _LIPS]
        distance = F.smooth_l1_loss(lips, asked)
        openings = inner_lip_gap(located), inner_lip_gap(outlines.target)
        figures = {"outline_px": distance.item(), "opening_r": _correlation(*openings)}
        return self.options.outline_weight * (distance + F.smooth_l1_loss(*openings)), figures

    def reconstruction_loss(self, rendered: Rendered, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """L1 of colours and edges under the mask, weighted towards the mouth.

        Plus the adversarial loss where it has a weight.

        Args:
            rendered: what `render` returned for the batch.
        """
        maps, outline = rendered.maps, batch["target_outline"]
        weight = maps.mask * (0.5 + 3 * mouth_region(outline, maps.mask) + maps.inside)
        weight = rendered.enlarge(weight)
        l1 = weighted_l1(rendered.image, batch["target"], weight)
        sharp = 0.1 + 0.9 * batch["sharp"].view(-1, 1, 1, 1)
        edges = edge_loss(rendered.image, batch["target"], weight * sharp)
        flow = maps.correction.square().mean()
        inside = rendered.enlarge(maps.inside)
        contrast = F.l1_loss(_contrast(rendered.image, inside), _contrast(batch["target"], inside))
        loss = l1 + self.options.edge_weight * edges + self.options.flow_weight * 0.1 * flow
        loss = loss + self.options.contrast_weight * contrast
        figures = {
            "l1": l1.item(),
            "edges": edges.item(),
            "contrast": contrast.item(),
            "flow_px": flow.sqrt().item(),
        }
        if self.options.critic_weight:
            adversarial, more = self._adversarial_loss(rendered, batch)
            loss, figures = loss + adversarial, {**figures, **more}
        return loss, figures

    def _adversarial_loss(self, rendered: Rendered, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Losses of renderer and critic in one sum, see `critic_losses`, on boxes around the mouth."""
        boxes = mouth_boxes(batch["closed_outline"], batch["closed_outline"])
        cells = to_region(box_grid(boxes, *GRID), rendered.region)
        real, drawn = sample_box(batch["target"], cells), sample_box(rendered.image, cells)
        outline = to_boxes(batch["target_outline"], boxes)
        maps = torch.cat([render_contours(outline, *GRID), render_interior(outline, *GRID)], 1)
        near = render_inner_lips(outline, *GRID) * (0.02 + batch["sharp"].view(-1, 1, 1, 1))
        region = F.adaptive_avg_pool2d(near, (GRID[0] // 8, GRID[1] // 8))
        losses = critic_losses(self._network.critic, real, drawn, maps, region / region.sum())
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

        "reference" is the L1 at the mouth of the aligned reference frame itself; "sharpness" the gradient
        energy at the mouth over that of the target.
        """
        figures: dict[str, list[float]] = {"score": [], "mask": [], "reference": [], "sharpness": []}
        assert isinstance(network, RendererAndCritic)
        for examples in self.val_batches():
            batch = to_device(examples, device_of(network))
            rendered = render(network.painter, batch, self._config)
            mask = rendered.maps.mask
            region = rendered.enlarge(mouth_region(batch["target_outline"], mask) * (mask > 0))
            figures["score"].append(weighted_l1(rendered.image, batch["target"], region).item())
            figures["reference"].append(weighted_l1(batch["reference"], batch["target"], region).item())
            figures["mask"].append(
                weighted_l1(rendered.image, batch["target"], rendered.enlarge(mask)).item()
            )
            energy = [_gradient_energy(image, region) for image in (rendered.image, batch["target"])]
            figures["sharpness"].append(energy[0] / max(energy[1], 1e-9))
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Two examples of each validation person: reference | target | rendered."""
        assert isinstance(network, RendererAndCritic)
        rows = []
        for examples in self.val_batches(per_person=2):
            batch = to_device(examples, device_of(network))
            rendered = render(network.painter, batch, self._config)
            rows.append(torch.cat([batch["reference"], batch["target"], rendered.image], dim=3))
        return {"reference, target, rendered": torch.cat(rows)} if rows else {}


def _gradient_energy(image: Tensor, weight: Tensor) -> float:
    across = (image[..., :, 1:] - image[..., :, :-1]).square() * weight[..., :, 1:]
    down = (image[..., 1:, :] - image[..., :-1, :]).square() * weight[..., 1:, :]
    return float(across.sum() + down.sum())


@contextmanager
def _frozen(painter: nn.Module | None) -> Iterator[None]:
    """Keep the painter of interiors from learning: it would paint what the locator likes, not teeth."""
    parameters = [] if painter is None else [p for p in painter.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _contrast(image: Tensor, inside: Tensor) -> Tensor:
    """Standard deviation of brightness inside (B, 1, H, W), (B,); about 0 where little is inside.

    A painter that minimises its error draws the mean of the teeth that may be there, with little contrast.
    """
    light, area = image.mean(1, keepdim=True), inside.sum((2, 3), keepdim=True).clamp_min(1)
    mean = (light * inside).sum((2, 3), keepdim=True) / area
    variance = ((light - mean).square() * inside).sum((2, 3)) / area.flatten(1)
    return (variance + 1e-6).sqrt().flatten() * (area.flatten() / 100).clamp(max=1)


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a.detach().flatten() - a.detach().mean(), b.detach().flatten() - b.detach().mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-9))


def _is_visible(clip: Clip) -> bool:
    return clip.crops is not None and len(clip.usable) >= 25


def _fit_affine(source: FloatArray, target: FloatArray) -> FloatArray:
    """The least-squares affine map (2, 3) of points (P, 2) onto others."""
    homogeneous = np.concatenate([source, np.ones((len(source), 1), np.float32)], axis=1)
    return np.asarray(np.linalg.lstsq(homogeneous, target, rcond=None)[0].T, np.float64)


def _jitter(outlines: ExampleOutlines, closed_reference: FloatArray, rng: Rng) -> ExampleOutlines:
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
    return ExampleOutlines(reference, target, closed + shift + rng.normal(0, 1.0, 2))


@dataclass(frozen=True)
class Rendered:
    """A rendered batch.

    Attributes:
        image: (B, 3, H, W) RGB in [0, 1], the window at the size of the batch's images.
        maps: what the renderer predicted for it, at the networks' size.
        region: of the images, which are windows themselves.
    """

    image: Tensor
    maps: WindowMaps
    region: Region

    def enlarge(self, window: Tensor) -> Tensor:
        """A map (B, C, h, w) of the window at the size of the images."""
        return sample(window, region_grid(self.region, window))


def render(renderer: Renderer, batch: Batch, config: NetworkConfig) -> Rendered:
    """Render a batch, with the brightness of the true mouth interior given."""
    target, reference = batch["target"], batch["reference"]
    region = _region(target, config)
    outlines = Outlines(batch["reference_outline"], batch["target_outline"], batch["closed_outline"])
    window, reference_window = (_reduced(image, config) for image in (target, reference))
    halves = render_interior_halves(outlines.target, config.height, config.width)
    tone = interior_tone(window, halves, inpainting_mask(outlines.closed, config.height, config.width))
    maps: WindowMaps = renderer(window, reference_window, outlines, tone)
    return Rendered(renderer.compose(target, reference, maps, outlines, region), maps, region)


def _region(images: Tensor, config: NetworkConfig) -> Region:
    """The region of images that are windows, as a whole."""
    factor = images.shape[2] / config.height
    corner = (1 / factor - 1) / 2
    size = slice(0, images.shape[2]), slice(0, images.shape[3])
    return Region(*size, scale=(factor, factor), corner=(corner, corner))


def _reduced(image: Tensor, config: NetworkConfig) -> Tensor:
    """The window at the networks' size, by area."""
    if image.shape[2] == config.height:
        return image
    return F.interpolate(image, (config.height, config.width), mode="area")


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
