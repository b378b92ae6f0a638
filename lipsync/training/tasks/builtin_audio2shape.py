"""Training of Audio2Shape: log-mel spectrogram or speech features to mouth shapes.

The speech encoder is frozen, and the features of each scene are computed once; `EncoderTask` then trains
encoder and Audio2Shape together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.generators.builtin.audio2shape import Audio2Shape
from lipsync.generators.builtin.log_mel import SAMPLE_RATE
from lipsync.generators.builtin.network import (
    NetworkConfig,
    feature_rate,
    make_audio2shape,
    speech_features,
)
from lipsync.generators.builtin.speech_encoder import SpeechEncoder, encode_mel, levelled_mel
from lipsync.options import OptionGroup, option
from lipsync.training.data.dataset import Clip, PersonBalancedSampler
from lipsync.training.data.scene_cache import SceneCache
from lipsync.training.data.speech_scenes import SHAPE_RATE, Scene, make_scene
from lipsync.training.engine.task import Batch
from lipsync.training.tasks.shape_figures import (
    CLOSED,
    coefficient_importance,
    masked_correlation,
    opening_weights,
    predict_clip_shapes,
    shape_figures,
    width_weights,
)
from lipsync.types import FloatArray

_VERSION = 1
"""Version of the scenes; cached ones of another are not used."""


@dataclass(frozen=True)
class Audio2ShapeOptions(OptionGroup):
    """Batches and loss of Audio2Shape."""

    batch: int = option(8, "scenes in a step", min=1, max=4096)
    scenes: int = option(2000, "different scenes; their features are computed once", min=1)
    seconds: float = option(10.0, "length of a scene", min=1.0, max=11.0, unit="s")
    rest_share: float = option(
        0.1, "share of scenes without speech, with a closed mouth as target", min=0.0, max=1.0
    )
    correlation_weight: float = option(0.5, "weight of the correlation of opening and width", min=0.0)
    closure_weight: float = option(1.0, "further weight of frames whose lips touch", min=0.0)
    seed: int = option(1, "seed of all random choices", min=0)


class Audio2ShapeTask:
    """Training task of Audio2Shape.

    Args:
        clips: the train split is learned from, the val split evaluated.
        components: (coefficients, 147) of the shape space.
        network: to continue with; None starts with random weights.
        encoder: frozen; None for a config without one.
        cache: folder for the features of scenes; None keeps them in memory.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        components: FloatArray,
        config: NetworkConfig,
        options: Audio2ShapeOptions,
        network: Audio2Shape | None = None,
        *,
        encoder: SpeechEncoder | None = None,
        cache: Path | None = None,
    ) -> None:
        self.options, self.config, self.encoder = options, config, encoder
        self._train_clips = [clip for clip in clips if clip.split == "train"]
        self._val_clips = [clip for clip in clips if clip.split == "val"]
        self._sampler = PersonBalancedSampler(self._train_clips)
        self._network = network or make_audio2shape(config, dropout=0.2)
        self._components = components
        self._importance = torch.from_numpy(coefficient_importance(components)).float()
        self._measures = torch.from_numpy(
            np.stack([opening_weights(components), width_weights(components)])
        ).float()
        folder = cache / self._fingerprint() if cache else None
        self._scenes = SceneCache(self._make_scene, self._encode, self._columns(), folder)
        self._val_features: dict[str, FloatArray] = {}

    @property
    def network(self) -> nn.Module:
        """The Audio2Shape network."""
        return self._network

    # --- examples --------------------------------------------------------------------------------

    def batch(self, step: int) -> Batch:
        """Scenes of the train split.

        "features" (B, channels, columns), "shapes" (B, coefficients, T) at 50 Hz, "speech" and "rest"
        (B, T), 1 where a shape is known, and where the mouth is closed since nobody speaks.
        """
        first = step * self.options.batch
        scenes = [self._scenes[self._number(first + i)] for i in range(self.options.batch)]
        masks = torch.from_numpy(np.stack([scene.masks for scene in scenes])).float()
        return {
            "features": torch.from_numpy(np.stack([scene.features for scene in scenes])).float(),
            "shapes": torch.from_numpy(np.stack([scene.shapes for scene in scenes])),
            "speech": masks[:, 0],
            "rest": masks[:, 1],
        }

    def _number(self, count: int) -> int:
        """The `count`-th scene that is trained on: all of them, then all in another order, ..."""
        epoch, index = divmod(count, self.options.scenes)
        order = np.random.default_rng((self.options.seed, 7, epoch)).permutation(self.options.scenes)
        return int(order[index])

    def _make_scene(self, number: int) -> Scene:
        rng = np.random.default_rng((self.options.seed, 11, number))
        return make_scene(self._sampler, self.options.seconds, self.options.rest_share, rng)

    def _columns(self) -> int:
        """Columns of a scene's features."""
        return round(self.options.seconds * feature_rate(self.config))

    def _encode(self, audio: FloatArray) -> FloatArray:
        return speech_features(audio, self.config, self.encoder)

    def _fingerprint(self) -> str:
        """Hash of everything that the features and targets of a scene depend on."""
        found = hashlib.sha256(repr((_VERSION, type(self).__name__, self.config.mels)).encode())
        options = self.options
        found.update(repr((options.seed, options.seconds, options.rest_share)).encode())
        found.update(np.ascontiguousarray(self._components).tobytes())
        for clip in self._train_clips:
            found.update(repr((clip.name, clip.person, len(clip), clip.audio_delay)).encode())
        for name, value in (self.encoder.state_dict() if self.encoder else {}).items():
            found.update(name.encode() + value.float().cpu().numpy().tobytes())
        return f"scenes-{found.hexdigest()[:12]}"

    # --- loss and evaluation ---------------------------------------------------------------------

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """L1 of the shapes and of their velocity, and correlation of opening and width."""
        return self._loss(self._network(batch["features"]), batch)

    def _loss(self, predicted: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        shapes, speech, rest = batch["shapes"], batch["speech"], batch["rest"]
        device = predicted.device
        weight = self._importance.to(device).view(1, -1, 1)
        measures = self._measures.to(device)
        target, found = (torch.einsum("bnt,mn->bmt", x, measures) for x in (shapes, predicted))
        closed = torch.sigmoid((CLOSED - target[:, 0]) / (CLOSED / 3)) * speech
        time_weight = speech + rest + self.options.closure_weight * closed
        error = predicted - shapes
        # A bias over all speech is mostly the person's, which the audio cannot tell: it counts for half.
        spoken = speech.unsqueeze(1)
        bias = (error * spoken).sum(2, keepdim=True) / spoken.sum(2, keepdim=True).clamp_min(1)
        l1 = ((error - 0.5 * bias * spoken).abs() * weight * time_weight.unsqueeze(1)).sum()
        l1 = l1 / time_weight.sum().clamp_min(1)
        known = (speech + rest).unsqueeze(1)
        both_known = known[..., 2:] * known[..., :-2]
        velocity_error = (error[..., 2:] - error[..., :-2]) * both_known
        velocity = (velocity_error.abs() * weight).sum() / both_known.sum().clamp_min(1)
        opening, width = (masked_correlation(found[:, i], target[:, i], speech) for i in (0, 1))
        spoke = (speech.sum(1) > SHAPE_RATE).float()
        r, width_r = ((x * spoke).sum() / spoke.sum().clamp_min(1) for x in (opening, width))
        loss = l1 + velocity + self.options.correlation_weight * ((1 - r) + 0.5 * (1 - width_r))
        return loss, {
            "l1": l1.item(),
            "velocity": velocity.item(),
            "correlation": r.item(),
            "width_correlation": width_r.item(),
        }

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Correlation of opening and width, and closures, on the val split, averaged by person."""
        by_person: dict[str, list[dict[str, float]]] = {}
        for clip in self._val_clips:
            figures = shape_figures(self._predict(network, clip), clip.shapes, self._components)
            by_person.setdefault(clip.person, []).append(figures)
        people = [
            {name: float(np.nanmean([one[name] for one in found])) for name in found[0]}
            for found in by_person.values()
        ]
        if not people:
            return {"score": 0.0}
        mean = {name: float(np.nanmean([one[name] for one in people])) for name in people[0]}
        return {"score": -mean["opening_r"] - 0.3 * mean["width_r"], **mean}

    def _predict(self, network: nn.Module, clip: Clip) -> FloatArray:
        """Shapes (T, coefficients) of a validation clip's frames."""
        if clip.name not in self._val_features:
            self._val_features[clip.name] = self._encode(clip.audio)
        return predict_clip_shapes(network, self._val_features[clip.name], clip)

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Nothing: the network makes no images."""
        return {}


class SpeechToShape(nn.Module):
    """Speech encoder and Audio2Shape in one, as `EncoderTask` trains them."""

    def __init__(self, encoder: SpeechEncoder, voice: Audio2Shape) -> None:
        super().__init__()
        self.encoder, self.voice = encoder, voice
        encoder.requires_grad_(True)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, mels, T) of `levelled_mel` -> (B, coefficients, about T / 2)."""
        out: Tensor = self.voice(encode_mel(self.encoder, mel))
        return out


class EncoderTask(Audio2ShapeTask):
    """Audio2Shape's task with the speech encoder trained, too.

    The cached "features" are the encoder's input. Take a low learning rate: the encoder knows more than
    a set of an hour can teach.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        components: FloatArray,
        config: NetworkConfig,
        options: Audio2ShapeOptions,
        network: Audio2Shape,
        *,
        encoder: SpeechEncoder,
        cache: Path | None = None,
    ) -> None:
        super().__init__(clips, components, config, options, network, cache=cache)
        self._both = SpeechToShape(encoder, network)

    @property
    def network(self) -> nn.Module:
        """Encoder and Audio2Shape, a `SpeechToShape`."""
        return self._both

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """As of Audio2Shape alone."""
        return self._loss(self._both(batch["features"])[..., : batch["shapes"].shape[2]], batch)

    def _encode(self, audio: FloatArray) -> FloatArray:
        return levelled_mel(audio, self.config.mels)

    def _columns(self) -> int:
        return int(levelled_mel(np.zeros(round(self.options.seconds * SAMPLE_RATE), np.float32)).shape[1])

    def _predict(self, network: nn.Module, clip: Clip) -> FloatArray:
        assert isinstance(network, SpeechToShape)
        return predict_clip_shapes(network.voice, network.encoder.encode(clip.audio), clip)
