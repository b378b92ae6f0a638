"""End-to-end finetuning of the built-in model with a sync expert.

Trained separately, Audio2Shape knows no image and the renderer no audio. Here a clip is rendered with
another clip's audio, each frame being its own reference as at inference, and a frozen expert has to find
the audio's windows among those before and after; both networks get its gradients. Their own losses
are kept in the sum, so that mouths stay those of people.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.log_mel import SILENCE
from lipsync.generators.builtin.network import BuiltinNetwork, feature_rate, speech_features
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.options import OptionGroup, option
from lipsync.sync_score import CompactSyncNet
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.training.data.augment import Rng, augment_crop, sample_augmentation
from lipsync.training.data.dataset import Clip, PersonBalancedSampler, TrainingSet
from lipsync.training.data.dataset_format import FPS, without_margin
from lipsync.training.data.mel_windows import mel_windows
from lipsync.training.data.speech_scenes import SHAPE_RATE
from lipsync.training.engine.task import Batch, device_of, to_device
from lipsync.training.tasks.builtin_audio2shape import Audio2ShapeOptions, Audio2ShapeTask
from lipsync.training.tasks.builtin_renderer import RendererOptions, RendererTask, render
from lipsync.training.tasks.frozen_norms import freeze_batch_norms
from lipsync.training.tasks.losses import feature_distance
from lipsync.types import AudioClip, FloatArray

_CONTEXT_SECONDS = 1
"""Before and after a sequence; Audio2Shape's receptive field has 0.65 s to either side."""
_L1_SCORE_WEIGHT = 20


@dataclass(frozen=True)
class FinetuneOptions(OptionGroup):
    """End-to-end finetuning of the built-in model."""

    sequences: int = option(2, "sequences in a step that are rendered with other audio", min=1)
    frames: int = option(24, "frames of each sequence", min=6, max=500)
    sync_weight: float = option(0.03, "weight of the expert's loss", min=0.0)
    audio2shape_weight: float = option(0.1, "weight of Audio2Shape's own loss", min=0.0)
    feature_weight: float = option(
        0.2, "weight of the distance of rendered and true mouths in the expert's features", min=0.0
    )
    own_audio_share: float = option(
        0.2, "share of sequences that are rendered with their own audio", min=0.0, max=1.0
    )
    batch: int = option(8, "images in a step for the renderer's own loss", min=1, max=4096)
    logit_scale: float = option(
        12.0, "scale of the expert's similarities, the inverse of the temperature", min=0.1
    )
    seed: int = option(1, "seed of all random choices", min=0)


@dataclass(frozen=True)
class FinetuneModels:
    """Weights that finetuning starts from.

    Attributes:
        base: the built-in model to continue with.
        expert: a compact sync expert, see `ExpertOptions`.
    """

    base: Path
    expert: Path


class FinetuneTask:
    """Training task of the whole built-in model.

    Args:
        network: a trained model; its weights change in place.
        expert: frozen.
    """

    def __init__(
        self, training: TrainingSet, network: BuiltinNetwork, expert: CompactSyncNet, options: FinetuneOptions
    ) -> None:
        self.options = options
        self._expert = expert
        self._network = _PartlyFrozen(network)
        components = network.components.numpy()
        clips = _in_shape_space(training, components)
        visible = [clip for clip in clips if _is_visible(clip, options.frames)]
        self._sampler = PersonBalancedSampler([clip for clip in visible if clip.split == "train"])
        self._val_clips = [clip for clip in visible if clip.split == "val"]
        self._audio2shape = Audio2ShapeTask(
            clips,
            components,
            network.config,
            Audio2ShapeOptions(batch=4, scenes=400, seed=options.seed),
            network.voice,
            encoder=network.encoder,
        )
        self._renderer = RendererTask(
            clips,
            components,
            network.config,
            RendererOptions(batch=options.batch, seed=options.seed),
            network.painter,
        )
        self._clips = {clip.name: clip for clip in clips}
        self._mels = lru_cache(maxsize=2048)(self._compute_mels)

    @property
    def network(self) -> nn.Module:
        """The built-in model, in a wrapper that keeps parts of it frozen."""
        return self._network

    # --- examples --------------------------------------------------------------------------------

    def batch(self, step: int) -> Batch:
        """Sequences with other audio, and a batch of each network's own task.

        "crops" uint8 (C, T, 128, 128, 3) RGB; "features", input of Audio2Shape, see `predict_shapes`; "mel"
        (C, T - 4 + 30, 80, 16), windows for the expert with 15 more at each end. The other batches are
        prefixed "audio2shape." and "renderer.".
        """
        rng = np.random.default_rng((self.options.seed, 3, step))
        examples = []
        for _ in range(self.options.sequences):
            clip = self._sampler.sample(rng)
            other = clip if rng.random() < self.options.own_audio_share else self._sampler.sample(rng)
            examples.append(self._sequence(clip, other, rng))
        batch = {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}
        for prefix, task in (("audio2shape", self._audio2shape), ("renderer", self._renderer)):
            batch |= {f"{prefix}.{name}": value for name, value in task.batch(step).items()}
        return batch

    def _sequence(self, clip: Clip, other: Clip, rng: Rng | None) -> dict[str, npt.NDArray[np.generic]]:
        """Frames of one clip and as much audio of another, both from random places.

        Without `rng` the places are the same every time, and nothing is augmented.
        """
        assert clip.crops is not None
        length = self.options.frames
        places = rng or np.random.default_rng(5)
        start = int(places.integers(len(clip) - length + 1))
        first = start if other is clip else int(places.integers(max(1, len(other) - length + 1)))
        stored = np.array(clip.crops[start : start + length])
        if rng is None:
            crops = without_margin(stored)
        else:
            augmentation = dataclasses.replace(sample_augmentation(rng, 0.7), noise=0.0, jpeg_quality=100)
            crops = np.stack([augment_crop(crop, augmentation, rng) for crop in stored])
        config = self._network.built.config
        columns, context = feature_rate(config) // FPS, _CONTEXT_SECONDS * feature_rate(config)
        (features, mel), at = self._mels(other.name), columns * first
        around = ((0, 0), (context, context + columns * length))
        if config.encoder_layers:
            padded = np.pad(features, around, mode="edge")
        else:
            padded = np.pad(features, around, constant_values=SILENCE)
        return {
            "crops": crops,
            "features": padded[:, at : at + 2 * context + columns * length],
            "mel": mel_windows(mel, first - MAX_OFFSET, length - WINDOW_FRAMES + 1 + 2 * MAX_OFFSET, 0.0),
        }

    def _compute_mels(self, name: str) -> tuple[FloatArray, FloatArray]:
        """A clip's features for Audio2Shape, and Wav2Lip's mel for the expert."""
        audio, built = self._clips[name].audio, self._network.built
        return speech_features(audio, built.config, built.encoder), mel_spectrogram(AudioClip(audio))

    # --- loss and evaluation ---------------------------------------------------------------------

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Weighted sum of sync loss, feature distance, and the networks' own losses."""
        options = self.options
        sync, figures = self._sync_loss(self._network.built, batch)
        audio2shape, shape_figures = self._audio2shape.loss(_sub_batch(batch, "audio2shape"), step)
        own = _sub_batch(batch, "renderer")
        rendered = render(self._network.built.painter, own, self._network.built.config)
        image, image_figures = self._renderer.reconstruction_loss(rendered, own)
        features = feature_distance(self._expert, rendered.image, own["target"])
        loss = (
            image
            + options.sync_weight * sync
            + options.audio2shape_weight * audio2shape
            + options.feature_weight * features
        )
        return loss, {
            **figures,
            "correlation": shape_figures["correlation"],
            "l1": image_figures["l1"],
            "edges": image_figures["edges"],
            "features": features.item(),
        }

    def _sync_loss(self, network: BuiltinNetwork, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of each window's true offset among 31; chance is ln 31 = 3.43."""
        similarity = self._similarity_by_offset(network, batch)
        logits = similarity * self.options.logit_scale
        neighbours = torch.zeros(2 * MAX_OFFSET + 1, dtype=torch.bool, device=logits.device)
        neighbours[[MAX_OFFSET - 1, MAX_OFFSET + 1]] = True  # share four of five frames; not negatives
        target = torch.full(logits.shape[:1], MAX_OFFSET, device=logits.device)
        loss = F.cross_entropy(logits.masked_fill(neighbours, -1e4), target)
        mean = similarity.detach().mean(0)
        return loss, {"sync": loss.item(), "sync_confidence": (mean[MAX_OFFSET] - mean.median()).item()}

    def _similarity_by_offset(self, network: BuiltinNetwork, batch: Batch) -> Tensor:
        """Similarities (C (T - 4), 31) of rendered windows and their audio by offset."""
        expert = self._expert.to(batch["crops"].device)
        count, length = batch["crops"].shape[:2]
        crops = batch["crops"].flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        shapes = predict_shapes(network, batch["features"], length)
        rendered = network(crops, shapes.flatten(0, 1))
        lower = rendered[:, :, rendered.shape[2] // 2 :]
        sequences = lower.view(count, length, *lower.shape[1:]).transpose(1, 2)  # (C, 3, T, 64, 128)
        faces = expert.embed_features(expert.encode_frames(sequences))
        audio = expert.embed_audio(batch["mel"].flatten(0, 1).unsqueeze(1)).view(count, -1, faces.shape[-1])
        offsets = audio.unfold(1, 2 * MAX_OFFSET + 1, 1)  # (C, T - 4, D, 31), the earliest audio first
        return torch.einsum("cwd,cwdo->cwo", faces, offsets).flatten(0, 1)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Sync with other people's audio and L1 at the mouth, on the val split.

        "score" is the sync loss plus twenty times the L1, so that neither improves at the other's cost.
        """
        assert isinstance(network, _PartlyFrozen)
        found = []
        for number, clip in enumerate(self._val_clips):
            other = self._val_clips[(number + len(self._val_clips) // 2) % len(self._val_clips)]
            batch = self._val_batch(clip, other)
            _, figures = self._sync_loss(network.built, to_device(batch, device_of(network)))
            found.append((figures["sync"], figures["sync_confidence"]))
        sync, confidence = (float(value) for value in np.mean(found, axis=0))
        image = self._renderer.evaluate(self._renderer.network)
        shape = self._audio2shape.evaluate(network.built.voice)
        return {
            "score": sync + _L1_SCORE_WEIGHT * image["score"],
            "sync": sync,
            "sync_confidence": confidence,
            "l1": image["score"],
            "correlation": shape.get("opening_r", 0.0),
        }

    def _val_batch(self, clip: Clip, other: Clip) -> Batch:
        """A batch of one sequence, the same every time."""
        example = self._sequence(clip, other, None)
        return {name: torch.from_numpy(np.ascontiguousarray(part))[None] for name, part in example.items()}

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Frames of one validation clip above the same frames with other audio."""
        assert isinstance(network, _PartlyFrozen)
        if not self._val_clips:
            return {}
        batch = to_device(self._val_batch(self._val_clips[0], self._val_clips[-1]), device_of(network))
        crops = batch["crops"][0, ::4].permute(0, 3, 1, 2).float() / 255
        shapes = predict_shapes(network.built, batch["features"], self.options.frames)[0, ::4]
        return {"other_audio": torch.cat([crops, network.built(crops, shapes)], dim=2)}


class _PartlyFrozen(nn.Module):
    """The built-in model with encoder, locator and batch norms frozen."""

    def __init__(self, network: BuiltinNetwork) -> None:
        super().__init__()
        self.built = network  # the attribute's name is in the keys of checkpoints
        network.requires_grad_(True)
        network.place.requires_grad_(False)
        if network.encoder is not None:
            network.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> _PartlyFrozen:
        """Set the mode, batch norms staying in evaluation mode."""
        super().train(mode)
        freeze_batch_norms(self)
        return self


def predict_shapes(network: BuiltinNetwork, features: Tensor, frames: int) -> Tensor:
    """Shapes (C, T, coefficients) as `Builtin.encode_audio` makes them in speech.

    Args:
        features: (C, channels, columns) of `speech_features`, with a second of context at either end.
    """
    fast = network.voice(features) * network.gain.view(1, -1, 1)  # (C, coefficients, 2 T + 100) at 50 Hz
    smooth = (fast[..., :-2] + 2 * fast[..., 1:-1] + fast[..., 2:]) / 4
    first = _CONTEXT_SECONDS * SHAPE_RATE - 1
    shapes: Tensor = smooth[..., first : first + 2 * frames : 2].mT
    return shapes


def _in_shape_space(training: TrainingSet, components: FloatArray) -> list[Clip]:
    """Clips with their shapes in a model's shape space, which may be another set's."""
    change = (training.space.components @ np.linalg.pinv(components)).astype(np.float32)
    return [dataclasses.replace(clip, shapes=clip.shapes @ change) for clip in training.clips]


def _sub_batch(batch: Batch, prefix: str) -> Batch:
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in batch.items() if name.startswith(start)}


def _is_visible(clip: Clip, frames: int) -> bool:
    return clip.crops is not None and len(clip) >= frames and len(clip.usable) >= 25
