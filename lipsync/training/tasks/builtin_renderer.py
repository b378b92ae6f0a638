"""Training of the Painter: outline, hidden mouth and reference to picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
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
from lipsync.generators.builtin.network import NetworkConfig, Renderer
from lipsync.options import OptionGroup, option
from lipsync.training.data.augment import (
    Augmentation,
    change_picture,
    move_points,
    no_augmentation,
    sample_augmentation,
)
from lipsync.training.data.dataset import ByPerson, Clip
from lipsync.training.data.dataset_format import MARGIN, SIDE
from lipsync.training.data.mouth_shapes import MIRRORED
from lipsync.training.engine.loop import Batch, device_of, to_device
from lipsync.types import FloatArray, Frame


@dataclass(frozen=True)
class RendererOptions(OptionGroup):
    """What the Painter is shown and how it is judged."""

    batch: int = option(16, "examples of a step", min=1, max=4096)
    same: float = option(0.15, "share of examples whose reference is the frame itself", min=0.0, max=1.0)
    aligned: float = option(
        0.75, "share of references laid over the target's head, as at run time", min=0.0, max=1.0
    )
    projected: float = option(0.3, "share of outlines as the voice network would give them", min=0.0, max=1.0)
    edges: float = option(1.0, "weight of the differences of neighbouring pixels", min=0.0)
    stillness: float = option(0.02, "weight of a flow without need", min=0.0)
    critic: float = option(0.0, "weight of the critic's judgement; 0 trains none", min=0.0)
    similarity: float = option(10.0, "weight of the critic's features, over its judgement's", min=0.0)
    seed: int = option(1, "of every random choice", min=0)


class Critic(nn.Module):
    """Tells drawn mouths from real ones, patch by patch, knowing the outline that was asked for."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (5, 32, 64, 96)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(sizes))
        self.judge = nn.Conv2d(sizes[-1], 1, 3, 1, 1)

    def forward(self, window: Tensor, outline: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4 and 1/8 of the window (B, 3, h, w), and last the judgement."""
        features = [torch.cat([(window - 0.5) * 4, outline], dim=1)]
        for layer in self.layers:
            features.append(F.leaky_relu(layer(features[-1]), 0.2))
        return [*features[1:], self.judge(features[-1])]


class RendererAndCritic(nn.Module):
    """What is trained together; only the painter ships."""

    def __init__(self, painter: Renderer) -> None:
        super().__init__()
        self.painter = painter
        self.critic = Critic()


@dataclass(frozen=True)
class Example:
    """One target, its reference and their outlines, all in the face crop."""

    target: Frame
    reference: Frame
    now: FloatArray
    wanted: FloatArray
    resting: FloatArray


class RendererTask:
    """The loop's view of the Painter.

    Args:
        painter: to go on with; None starts anew.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        components: FloatArray,
        config: NetworkConfig,
        options: RendererOptions,
        painter: Renderer | None = None,
    ) -> None:
        self.options = options
        self._config = config
        self._components = components
        self._clips = ByPerson([clip for clip in clips if clip.split == "train" and _has_pictures(clip)])
        self._held = [clip for clip in clips if clip.split == "held" and _has_pictures(clip)]
        self._both = RendererAndCritic(painter or Renderer(config.widths))

    @property
    def network(self) -> nn.Module:
        """The Painter and its critic."""
        return self._both

    def batch(self, step: int) -> Batch:
        """Random examples of the people to train on."""
        generator = np.random.default_rng((self.options.seed, step))
        return self._stack([self._draw(generator) for _ in range(self.options.batch)])

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """L1 of colours and of edges where the mask shows, most of all at the mouth."""
        drawn, inner = draw(self._both.painter, batch)
        return self.judge(drawn, inner, batch)

    def judge(self, drawn: Tensor, inner: dict[str, Tensor], batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss of what `draw` gave for a batch."""
        inside = render_interior(batch["wanted"], *drawn.shape[-2:]).clamp(0, 1)
        weight = inner["mask"] * (0.5 + 3 * mouth_zone(batch["wanted"], drawn) + 3 * inside)
        colours = weighted_l1(drawn, batch["target"], weight)
        edges = edge_loss(drawn, batch["target"], weight)
        still = inner["flow"].square().mean()
        loss = colours + self.options.edges * edges + self.options.stillness * 0.1 * still
        figures = {"colours": colours.item(), "edges": edges.item(), "flow": still.sqrt().item()}
        if self.options.critic:
            judged, more = self._judge(drawn, batch)
            loss, figures = loss + judged, {**figures, **more}
        return loss, figures

    def _judge(self, drawn: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Least-squares adversarial losses (Mao et al. 2017) of painter and critic in one sum.

        The painter is judged by a critic whose weights are held fixed, and the critic sees drawings
        that carry no gradient, so that one optimizer trains both.
        """
        critic, options = self._both.critic, self.options
        height, width = drawn.shape[-2:]
        maps = torch.cat(
            [
                render_contours(batch["wanted"], height, width),
                render_interior(batch["wanted"], height, width),
            ],
            1,
        )
        where = F.adaptive_avg_pool2d(mouth_zone(batch["wanted"], drawn), (height // 8, width // 8))
        where = where / where.sum()
        real = critic(batch["target"], maps)
        fake = critic(drawn.detach(), maps)
        training = (((real[-1] - 1).square() + fake[-1].square()) * where).sum()
        held = {name: value.detach() for name, value in critic.named_parameters()}
        seen: list[Tensor] = torch.func.functional_call(critic, held, (drawn, maps))
        fooled = ((seen[-1] - 1).square() * where).sum()
        like = sum(
            (F.l1_loss(a, b.detach()) for a, b in zip(seen[:-1], real[:-1], strict=True)),
            start=drawn.new_zeros(()),
        )
        loss = training + options.critic * (fooled + options.similarity * like)
        return loss, {"critic": training.item(), "fooled": fooled.item(), "like": like.item()}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """L1 at the mouth and under the mask on held-out people, beside the aligned reference itself."""
        figures: dict[str, list[float]] = {"score": [], "mask": [], "copy": []}
        assert isinstance(network, RendererAndCritic)
        for held in self.held_batches():
            batch = to_device(held, device_of(network))
            drawn, inner = draw(network.painter, batch)
            zone = mouth_zone(batch["wanted"], drawn) * (inner["mask"] > 0)
            figures["score"].append(weighted_l1(drawn, batch["target"], zone).item())
            figures["copy"].append(weighted_l1(batch["reference"], batch["target"], zone).item())
            figures["mask"].append(weighted_l1(drawn, batch["target"], inner["mask"]).item())
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """Two examples of each held-out person, one a row: reference | target | drawn."""
        assert isinstance(network, RendererAndCritic)
        rows = []
        for held in self.held_batches(each=2):
            batch = to_device(held, device_of(network))
            drawn, _ = draw(network.painter, batch)
            rows.append(torch.cat([batch["reference"], batch["target"], drawn], dim=3))
        return {"reference, target, drawn": torch.cat(rows)} if rows else {}

    def held_batches(self, each: int = 16) -> list[Batch]:
        """The same examples every time: `each` of every held-out person, at least 0.4 s apart."""
        batches = []
        for person in sorted({clip.person for clip in self._held}):
            clips = [clip for clip in self._held if clip.person == person]
            generator = np.random.default_rng(7)
            examples = []
            for number in range(each):
                clip = clips[number % len(clips)]
                target = int(generator.choice(clip.usable))
                far = clip.usable[np.abs(clip.usable - target) >= 10]
                examples.append(self._make(clip, target, int(generator.choice(far)), None, generator, True))
            batches.append(self._stack(examples))
        return batches

    def _draw(self, generator: np.random.Generator) -> Example:
        clip = self._clips.draw(generator)
        target, reference = self._pick(clip, generator)
        if generator.random() < self.options.same:
            reference = target
        aligned = bool(generator.random() < self.options.aligned)
        return self._make(clip, target, reference, sample_augmentation(generator), generator, aligned)

    def _pick(self, clip: Clip, generator: np.random.Generator) -> tuple[int, int]:
        """A target, often an open mouth, and a reference at most 3 s away, often of another opening."""
        targets = generator.choice(clip.usable, 4 if generator.random() < 0.6 else 1)
        target = int(targets[clip.gap[targets].argmax()])
        near = clip.usable[np.abs(clip.usable - target) <= 75]
        references = generator.choice(near, 3 if generator.random() < 0.5 else 1)
        return target, int(references[np.abs(clip.gap[references] - clip.gap[target]).argmax()])

    def _make(
        self,
        clip: Clip,
        target: int,
        reference: int,
        look: Augmentation | None,
        generator: np.random.Generator,
        aligned: bool,
    ) -> Example:
        assert clip.crops is not None
        wanted, now, resting = clip.now[target], clip.now[reference], clip.resting[target]
        extra = None
        if aligned and reference != target:
            extra = _laying(clip.resting[reference], resting)
            now = now @ extra[:, :2].T + extra[:, 2]
            extra[:, 2] += MARGIN - extra[:, :2] @ np.full(2, MARGIN)
        if look is None:
            look = no_augmentation()
        else:
            if generator.random() < self.options.projected:
                moves = (clip.shapes[target] @ self._components).reshape(-1, 3) * clip.share
                wanted = resting + moves @ clip.turn[target].T * SIDE
            shift = generator.normal(0, 0.8, 2)
            wanted = wanted + shift + generator.normal(0, 0.25, wanted.shape)
            # At run time the reference's outline is a guess, and the worst of it is the opening.
            rest = resting if aligned else clip.resting[reference]
            now = rest + (now - rest) * generator.normal(1, 0.2)
            now = now + shift + generator.normal(0, 0.35, 2) + generator.normal(0, 0.25, now.shape)
            resting = resting + shift + generator.normal(0, 1.0, 2)
        points = move_points(np.stack([now, wanted, resting]), look, MIRRORED)
        target_picture = change_picture(clip.crops[target], look, generator)
        reference_picture = change_picture(clip.crops[reference], look, generator, extra)
        return Example(target_picture, reference_picture, *points)

    def _stack(self, examples: list[Example]) -> Batch:
        c = self._config
        rows, columns = slice(c.top, c.top + c.height), slice(c.left, c.left + c.width)
        batch = {}
        for name in ("target", "reference"):
            pictures = np.stack([getattr(example, name)[rows, columns] for example in examples])
            batch[name] = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        for name in ("now", "wanted", "resting"):
            points = np.stack([getattr(example, name) for example in examples])
            batch[name] = torch.from_numpy(points).float() - torch.tensor([c.left, c.top])
        return batch


def _has_pictures(clip: Clip) -> bool:
    return clip.crops is not None and len(clip.usable) >= 25


def _laying(source: FloatArray, onto: FloatArray) -> FloatArray:
    """The affine map (2, 3) that lays points (P, 2) best onto others."""
    homogeneous = np.concatenate([source, np.ones((len(source), 1), np.float32)], axis=1)
    return np.asarray(np.linalg.lstsq(homogeneous, onto, rcond=None)[0].T, np.float64)


def draw(painter: Renderer, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw a batch, the tone of the inside of the mouth being told."""
    height, width = batch["target"].shape[-2:]
    halves = render_interior_halves(batch["wanted"], height, width)
    tone = interior_tone(batch["target"], halves, inpainting_mask(batch["resting"], height, width))
    drawn: tuple[Tensor, dict[str, Tensor]] = painter(
        batch["target"], batch["reference"], batch["now"], batch["wanted"], batch["resting"], tone
    )
    return drawn


def mouth_zone(points: Tensor, like: Tensor) -> Tensor:
    """Lips and what is between them, with soft edges; (B, 1, h, w) in [0, 1]."""
    height, width = like.shape[-2:]
    return (render_contours(points, height, width, 3.0) + render_interior(points, height, width, 2.0)).clamp(
        0, 1
    )


def weighted_l1(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference, each pixel counting by its weight."""
    return ((a - b).abs() * weight).sum() / (weight.sum() * a.shape[1] + 1e-6)


def edge_loss(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """L1 of the differences of neighbouring pixels, at two sizes of picture."""
    total = a.new_zeros(())
    difference = a - b
    for _ in range(2):
        across = (difference[..., :, 1:] - difference[..., :, :-1]).abs() * weight[..., :, 1:]
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight[..., 1:, :]
        total = total + (across.sum() + down.sum()) / (weight.sum() * 3 + 1e-6)
        difference, weight = F.avg_pool2d(difference, 2), F.avg_pool2d(weight, 2)
    return total / 2
