"""Tuning of the built-in model's renderer to one person's videos.

The speech encoder, Audio2Shape and the mouth locator stay as they are; the renderer learns this person's
lips, teeth and beard. The absolute error alone would blur them, so the strength of their detail counts too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.errors import InputError
from lipsync.generators.builtin.adapter import resize_crop
from lipsync.generators.builtin.mouth_interior import interior_tone
from lipsync.generators.builtin.mouth_outline import inpainting_mask, render_interior_halves
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.generators.builtin.renderer import Renderer
from lipsync.metrics.base import Region
from lipsync.metrics.ssim import Ssim
from lipsync.options import OptionGroup, option
from lipsync.training.data.dataset import Clip
from lipsync.training.data.dataset_format import FPS, SIDE, STORED_SIDE
from lipsync.training.engine.task import Batch, device_of, to_device
from lipsync.training.tasks.builtin_renderer import (
    Rendered,
    RendererOptions,
    RendererTask,
    mouth_region,
    render,
)
from lipsync.training.tasks.frozen_norms import FrozenNorms
from lipsync.training.tasks.losses import detail_energy, sharpness_loss, texture_loss, weighted_l1
from lipsync.training.tasks.person_figures import PersonFigures, score
from lipsync.types import Frame

_VAL_EXAMPLES = 48
_MARGIN = 8
_EVALUATED_AT_ONCE = 8
_MIN_TRAIN_FRAMES, _MIN_VAL_FRAMES = 5 * FPS, FPS
_WIDE_SHARE, _MAX_WIDE = 0.4, 200
"""Share of the frames, those with the widest mouths, and their number, of which the tone is measured."""


@dataclass(frozen=True)
class PersonOptions(OptionGroup):
    """Tuning of the built-in model to one person."""

    person_steps: int = option(400, "steps of the tuning to one person", min=1)
    person_minutes: float = option(
        40.0, "end the tuning to one person after this time; 0 has no limit", min=0.0, unit="minutes"
    )
    person_rate: float = option(2e-4, "learning rate of the tuning to one person", min=0.0, max=0.1)
    person_batch: int = option(8, "images in a step of the tuning to one person", min=1, max=256)
    texture_weight: float = option(4.0, "weight of the strength of detail, place by place", min=0.0)
    sharpness_weight: float = option(0.02, "weight of the strength of detail, mouth by mouth", min=0.0)
    held_out_share: float = option(
        0.2, "share of the person's videos that is not learned from but judged by", min=0.05, max=0.5
    )
    threads: int = option(2, "CPU threads", min=1, max=256)
    seed: int = option(1, "seed of all random choices", min=0)


class PersonTask:
    """Training task of the renderer on one person's clips.

    Attributes:
        painter: the renderer that is tuned, a copy.
        before: figures of the model that the tuning starts from.

    Args:
        clips: of one person, in the network's shape space, see `read_located_clips`.
        network: the model to start from; it is not changed.

    Raises:
        InputError: the train or the validation split is too short.
    """

    def __init__(self, clips: Sequence[Clip], network: BuiltinNetwork, options: PersonOptions) -> None:
        _check_length(clips)
        self.options = options
        self._config = network.config
        chosen = RendererOptions(batch=options.person_batch, exchanged=0, seed=options.seed)
        self.painter = copy.deepcopy(network.painter)
        self._renderer = RendererTask(clips, network.components.numpy(), network.config, chosen, self.painter)
        self._network = FrozenNorms(self.painter)
        self._val_batches = self._renderer.val_batches(_VAL_EXAMPLES)
        with torch.inference_mode():
            self.before = self.measure(self._network.eval())
        self.painter.usual_tone.copy_(_usual_tone(clips, network.config))

    @property
    def network(self) -> nn.Module:
        """The renderer, its batch norms frozen."""
        return self._network

    def batch(self, step: int) -> Batch:
        """As of `RendererTask`."""
        return self._renderer.batch(step)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The renderer's loss and that of texture at the mouth."""
        rendered = render(self.painter, batch, self._config)
        loss, figures = self._renderer.reconstruction_loss(rendered, batch)
        both = rendered.image.float(), batch["target"]
        texture = texture_loss(*both, _mouth(rendered, batch))
        sharpness = sharpness_loss(*both, _mouth(rendered, batch))
        loss = loss + self.options.texture_weight * texture + self.options.sharpness_weight * sharpness
        return loss, {**figures, "texture": texture.item(), "sharpness": sharpness.item()}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """The figures on the held-out part; "score" is that of `score`."""
        now = self.measure(network)
        return {"score": score(self.before, now), "l1": now.l1, "ssim": now.ssim, "sharpness": now.sharpness}

    def measure(self, network: nn.Module) -> PersonFigures:
        """The figures of a network like `self.network` on the validation split."""
        assert isinstance(network, FrozenNorms) and isinstance(network.frozen, Renderer)
        l1, energy, ssim = [], [], Ssim()
        for batch in _parts(self._val_batches):
            batch = to_device(batch, device_of(network))
            rendered = render(network.frozen, batch, self._config)
            region = _mouth(rendered, batch)
            l1.append(weighted_l1(rendered.image, batch["target"], region).item())
            found, true = (
                (detail_energy(image) * F.avg_pool2d(region, 4)).sum()
                for image in (rendered.image, batch["target"])
            )
            energy.append((found / true.clamp_min(1e-9)).item())
            images, targets = _frames(rendered.image), _frames(batch["target"])
            for image, target, where in zip(images, targets, region, strict=True):
                ssim.update(image, target, _rectangle(where))
        return PersonFigures(float(np.mean(l1)), ssim.compute(), float(np.mean(energy)))

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """As of `RendererTask`."""
        return self._renderer.sample_images(self._renderer.network)


@torch.inference_mode()
def _usual_tone(clips: Sequence[Clip], config: NetworkConfig) -> Tensor:
    """Tone of the person's open mouth, (2,): what is assumed where a frame does not show it.

    The renderer learns from true tones; one that is usual among others would then make teeth grey.
    """
    train = [(clip, int(frame)) for clip in clips if clip.split == "train" for frame in clip.usable]
    widest = sorted(train, key=lambda one: -one[0].lip_gap[one[1]])[: max(1, int(_WIDE_SHARE * len(train)))]
    tones = [_tone(clip, frame, config) for clip, frame in widest[:: -(-len(widest) // _MAX_WIDE)]]
    return torch.stack(tones).median(0).values


def _tone(clip: Clip, frame: int, config: NetworkConfig) -> Tensor:
    assert clip.crops is not None
    stored = clip.crops.shape[1]
    margin = (stored - stored * SIDE // STORED_SIDE) // 2
    face = resize_crop(clip.crops[frame, margin : stored - margin, margin : stored - margin], config.crop)
    c, corner = config, torch.tensor([config.left, config.top])
    part = np.ascontiguousarray(face[c.top : c.top + c.height, c.left : c.left + c.width])
    window = torch.from_numpy(part).permute(2, 0, 1)[None].float() / 255
    mouth, closed = (
        torch.from_numpy(points[frame][None]) - corner for points in (clip.mouth, clip.closed_mouth)
    )
    halves = render_interior_halves(mouth, c.height, c.width)
    return interior_tone(window, halves, inpainting_mask(closed, c.height, c.width))[0]


def _check_length(clips: Sequence[Clip]) -> None:
    usable = {split: sum(len(c.usable) for c in clips if c.split == split) for split in ("train", "val")}
    if usable["train"] < _MIN_TRAIN_FRAMES or usable["val"] < _MIN_VAL_FRAMES:
        seconds = (usable["train"] + usable["val"]) / FPS
        raise InputError(
            "There is too little of this person to learn from",
            given=f"{seconds:.0f} s with a face that is large enough and seen from the front",
            hint="Give videos with at least half a minute of one person speaking; two to five are better.",
        )


def _mouth(rendered: Rendered, batch: Batch) -> Tensor:
    """Soft mask of the lips and the interior, (B, 1, h, w) at the size of the images."""
    mask = rendered.maps.mask
    return rendered.enlarge(mouth_region(batch["target_outline"], mask) * (mask > 0)).float()


def _parts(batches: Sequence[Batch]) -> Iterator[Batch]:
    """The examples of batches, a few at a time."""
    for batch in batches:
        for start in range(0, len(batch["sharp"]), _EVALUATED_AT_ONCE):
            yield {name: value[start : start + _EVALUATED_AT_ONCE] for name, value in batch.items()}


def _frames(images: Tensor) -> list[Frame]:
    levels = (images.float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    return [np.ascontiguousarray(image) for image in levels.cpu().numpy()]


def _rectangle(region: Tensor) -> Region:
    """The rectangle around a soft mask (1, h, w), with a margin for the windows of SSIM."""
    where = np.zeros(tuple(region.shape[1:]), np.bool_)
    rows, columns = np.nonzero(region[0].cpu().numpy() > 0.5)
    if len(rows):
        top, left = (max(0, int(one.min()) - _MARGIN) for one in (rows, columns))
        where[top : rows.max() + 1 + _MARGIN, left : columns.max() + 1 + _MARGIN] = True
    return where
