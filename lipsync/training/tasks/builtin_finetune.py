"""The built-in model end to end: its mouths are shown to a sync expert while it draws as it will be used.

Trained apart, the VoiceNet knows no picture and the Painter no voice. Here a clip is drawn with
another clip's voice, each frame being its own reference, and a frozen expert says how surely it
finds the voice's windows among those before and after; both networks follow. What they learned
apart is trained on beside it, so that mouths stay those of people.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.log_mel import MEL_RATE, SILENCE, log_mel
from lipsync.generators.builtin.network import BuiltinNetwork
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.options import OptionGroup, option
from lipsync.sync_score import CompactSyncNet
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.training.data.augment import change_picture, sample_augmentation
from lipsync.training.data.dataset import ByPerson, Clip, TrainingSet
from lipsync.training.data.dataset_format import FPS, MARGIN, SIDE
from lipsync.training.data.mel_windows import windows_of_mel
from lipsync.training.engine.loop import Batch, device_of, to_device
from lipsync.training.tasks.builtin_audio2shape import Audio2ShapeOptions, Audio2ShapeTask
from lipsync.training.tasks.builtin_renderer import RendererOptions, RendererTask, draw
from lipsync.types import AudioClip, FloatArray

_CONTEXT = 100
"""Columns of the voice before and after a stretch; the VoiceNet hears 65 of them."""
_PER_FRAME = MEL_RATE // FPS


@dataclass(frozen=True)
class FinetuneOptions(OptionGroup):
    """How the built-in model is tuned end to end."""

    stretches: int = option(2, "stretches of video of a step that are drawn with another voice", min=1)
    frames: int = option(24, "frames of each", min=6, max=500)
    sync: float = option(0.03, "weight of the expert's judgement", min=0.0)
    voice: float = option(0.1, "weight of what the VoiceNet learned apart", min=0.0)
    similarity: float = option(0.2, "weight of the expert's features of drawn and real pictures", min=0.0)
    own: float = option(0.2, "share of stretches that are drawn with their own voice", min=0.0, max=1.0)
    batch: int = option(8, "pictures of a step that are drawn apart", min=1, max=4096)
    sharpness: float = option(12.0, "how sharply the expert tells likenesses apart", min=0.1)
    seed: int = option(1, "of every random choice", min=0)


class FinetuneTask:
    """The loop's view of the whole built-in model.

    Args:
        network: a trained model; trained on in place.
        expert: frozen.
    """

    def __init__(
        self, training: TrainingSet, network: BuiltinNetwork, expert: CompactSyncNet, options: FinetuneOptions
    ) -> None:
        self.options = options
        self._expert = expert
        self._net = _Tuned(network)
        components = network.components.numpy()
        clips = _retold(training, components)
        learned = [clip for clip in clips if clip.split == "train" and _is_drawable(clip, options.frames)]
        self._clips = ByPerson(learned)
        self._held = [clip for clip in clips if clip.split == "held" and _is_drawable(clip, options.frames)]
        self._voice = Audio2ShapeTask(
            clips, components, network.config, Audio2ShapeOptions(batch=16, seed=options.seed), network.voice
        )
        self._painter = RendererTask(
            clips,
            components,
            network.config,
            RendererOptions(batch=options.batch, seed=options.seed),
            network.painter,
        )
        self._by_name = {clip.name: clip for clip in clips}
        self._hear = lru_cache(maxsize=2048)(self._hear_clip)

    @property
    def network(self) -> nn.Module:
        """The built-in model, in a wrapping that keeps its batch norms as they are."""
        return self._net

    def batch(self, step: int) -> Batch:
        """What is drawn with other voices, and the batches of both networks apart.

        "crops" uint8 (C, T, 128, 128, 3), "heard" (C, 80, 4 T + 200) the voice as the VoiceNet hears
        it, "mel" (C, T - 4 + 30, 80, 16) its windows as the expert hears them, 15 more at each end.
        """
        generator = np.random.default_rng((self.options.seed, 3, step))
        drawn = []
        for _ in range(self.options.stretches):
            clip = self._clips.draw(generator)
            other = clip if generator.random() < self.options.own else self._clips.draw(generator)
            drawn.append(self._stretch(clip, other, generator))
        batch = {name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in drawn[0]}
        for prefix, task in (("voice", self._voice), ("painter", self._painter)):
            batch |= {f"{prefix}.{name}": value for name, value in task.batch(step).items()}
        return batch

    def _stretch(
        self, clip: Clip, other: Clip, generator: np.random.Generator | None
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Frames of one clip and as much of another's voice, both from random places."""
        assert clip.crops is not None
        length = self.options.frames
        places = generator or np.random.default_rng(5)
        start = int(places.integers(len(clip) - length + 1))
        first = start if other is clip else int(places.integers(max(1, len(other) - length + 1)))
        stored = np.array(clip.crops[start : start + length])
        if generator is None:
            crops = stored[:, MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
        else:
            look = dataclasses.replace(sample_augmentation(generator, 0.7), noise=0.0, quality=100)
            crops = np.stack([change_picture(picture, look, generator) for picture in stored])
        (heard, mel), at = self._hear(other.name), _PER_FRAME * first
        padded = np.pad(heard, ((0, 0), (_CONTEXT, _CONTEXT + _PER_FRAME * length)), constant_values=SILENCE)
        return {
            "crops": crops,
            "heard": padded[:, at : at + 2 * _CONTEXT + _PER_FRAME * length],
            "mel": windows_of_mel(mel, first - MAX_OFFSET, length - WINDOW_FRAMES + 1 + 2 * MAX_OFFSET, 0.0),
        }

    def _hear_clip(self, name: str) -> tuple[FloatArray, FloatArray]:
        """A clip's voice as the VoiceNet hears it, and as the expert does."""
        sound = self._by_name[name].sound
        return log_mel(sound, self._net.built.config.mels), mel_spectrogram(AudioClip(sound))

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The expert's judgement, likeness to real pictures, and the losses of both networks apart."""
        options = self.options
        sync, figures = self._sync(self._net.built, batch)
        voice, voice_figures = self._voice.loss(_part(batch, "voice"), step)
        painted = _part(batch, "painter")
        drawn, inner = draw(self._net.built.painter, painted)
        picture, picture_figures = self._painter.judge(drawn, inner, painted)
        like = feature_distance(self._expert, drawn, painted["target"])
        loss = picture + options.sync * sync + options.voice * voice + options.similarity * like
        return loss, {
            **figures,
            "agreement": voice_figures["agreement"],
            "colours": picture_figures["colours"],
            "edges": picture_figures["edges"],
            "like": like.item(),
        }

    def _sync(self, built: BuiltinNetwork, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of finding each drawn window's voice among 31 offsets; chance is ln 31 = 3.43."""
        similarity = self._likeness_by_offset(built, batch)
        logits = similarity * self.options.sharpness
        near = torch.zeros(2 * MAX_OFFSET + 1, dtype=torch.bool, device=logits.device)
        near[[MAX_OFFSET - 1, MAX_OFFSET + 1]] = True  # shares four of five frames; counts neither way
        wanted = torch.full(logits.shape[:1], MAX_OFFSET, device=logits.device)
        loss = F.cross_entropy(logits.masked_fill(near, -1e4), wanted)
        mean = similarity.detach().mean(0)
        return loss, {"sync": loss.item(), "margin": (mean[MAX_OFFSET] - mean.median()).item()}

    def _likeness_by_offset(self, built: BuiltinNetwork, batch: Batch) -> Tensor:
        """(C (T - 4), 31) of drawn stretches with the voice they were drawn with."""
        expert = self._expert.to(batch["crops"].device)
        count, length = batch["crops"].shape[:2]
        crops = batch["crops"].flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        shapes = speak(built, batch["heard"], length)
        drawn = built(crops, shapes.flatten(0, 1))
        lower = drawn[:, :, drawn.shape[2] // 2 :]
        pictures = lower.view(count, length, *lower.shape[1:]).transpose(1, 2)  # (C, 3, T, 64, 128)
        faces = expert.embed_features(expert.encode_frames(pictures))
        sound = expert.embed_audio(batch["mel"].flatten(0, 1).unsqueeze(1)).view(count, -1, faces.shape[-1])
        around = sound.unfold(1, 2 * MAX_OFFSET + 1, 1)  # (C, T - 4, D, 31), the earliest sound first
        return torch.einsum("cwd,cwdo->cwo", faces, around).flatten(0, 1)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """The expert's margin and loss on held-out people with each other's voices, and L1 at the mouth.

        "score" is that loss and twenty times that L1, so that neither is bought with the other.
        """
        assert isinstance(network, _Tuned)
        found = []
        for number, clip in enumerate(self._held):
            other = self._held[(number + len(self._held) // 2) % len(self._held)]
            one = self._stretch(clip, other, None)
            batch = {name: torch.from_numpy(np.ascontiguousarray(part))[None] for name, part in one.items()}
            _, figures = self._sync(network.built, to_device(batch, device_of(network)))
            found.append((figures["sync"], figures["margin"]))
        sync, margin = (float(value) for value in np.mean(found, axis=0))
        painted = self._painter.evaluate(self._painter.network)
        heard = self._voice.evaluate(network.built.voice)
        return {
            "score": sync + 20 * painted["score"],
            "sync": sync,
            "margin": margin,
            "l1": painted["score"],
            "r": -heard["score"],
        }

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """Held-out frames over the same frames with other voices, some a person."""
        assert isinstance(network, _Tuned)
        if not self._held:
            return {}
        one = self._stretch(self._held[0], self._held[-1], None)
        batch = {name: torch.from_numpy(np.ascontiguousarray(part))[None] for name, part in one.items()}
        batch = to_device(batch, device_of(network))
        crops = batch["crops"][0, ::4].permute(0, 3, 1, 2).float() / 255
        shapes = speak(network.built, batch["heard"], self.options.frames)[0, ::4]
        return {"other_voice": torch.cat([crops, network.built(crops, shapes)], dim=2)}


class _Tuned(nn.Module):
    """The model with its PlaceNet and its batch norms held as they are.

    The batch norms were learned on pictures of other moments as references; a few stretches a
    step would only make their statistics noisy.
    """

    def __init__(self, built: BuiltinNetwork) -> None:
        super().__init__()
        self.built = built
        built.requires_grad_(True)
        built.place.requires_grad_(False)

    def train(self, mode: bool = True) -> _Tuned:
        """As usual, but for what is held."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def feature_distance(expert: CompactSyncNet, drawn: Tensor, real: Tensor) -> Tensor:
    """A perceptual distance by what the expert looks at: lips, teeth and the dark between them.

    L1 of features (after Johnson et al. 2016, arXiv 1603.08155) of its first three layers.

    Args:
        drawn, real: (B, 3, H, W) RGB in [0, 1], mouths about as large as in a face crop.
    """
    layers = list(expert.look)[:3]
    a, b = drawn - 0.5, real - 0.5
    total = drawn.new_zeros(())
    for layer in layers:
        a, b = layer(a), layer(b)
        total = total + F.l1_loss(a, b)
    return total / len(layers)


def speak(built: BuiltinNetwork, heard: Tensor, length: int) -> Tensor:
    """Shapes (C, T, numbers) of each frame, as `Builtin.encode_audio` makes them where there is a voice."""
    fast = built.voice(heard) * built.gain.view(1, -1, 1)  # (C, numbers, 2 T + 100) at 50 Hz
    smooth = (fast[..., :-2] + 2 * fast[..., 1:-1] + fast[..., 2:]) / 4
    first = _CONTEXT // 2 - 1
    told: Tensor = smooth[..., first : first + 2 * length : 2].mT
    return told


def _retold(training: TrainingSet, components: FloatArray) -> list[Clip]:
    """The clips with their shapes in the numbers of a model, whose directions may be of another set."""
    change = (training.space.components @ np.linalg.pinv(components)).astype(np.float32)
    return [dataclasses.replace(clip, shapes=clip.shapes @ change) for clip in training.clips]


def _part(batch: Batch, prefix: str) -> Batch:
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in batch.items() if name.startswith(start)}


def _is_drawable(clip: Clip, frames: int) -> bool:
    return clip.crops is not None and len(clip) >= frames and len(clip.usable) >= 25
