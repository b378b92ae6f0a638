"""Training of Wav2Lip generators: Prajwal et al., ACM MM 2020, arXiv 2008.10010.

A network of any size and width (see `Wav2LipNetwork`) learns to generate five frames whose lower half
is masked, from another window of the same clip and from the audio. The loss combines pixels, a frozen
sync expert, and optionally a discriminator that is trained with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lipsync.errors import InputError
from lipsync.generators.wav2lip.network import Wav2LipNetwork
from lipsync.sync_score import SyncExpert, load_expert
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.training.data.augment import Rng, augment_face, sample_augmentation
from lipsync.training.data.dataset import PersonBalancedSampler
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.data.mel_windows import MelCache, mel_windows
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import Batch, TrainingRun, device_of, to_device
from lipsync.training.tasks.discriminators import QualityDiscriminator, adversarial_losses
from lipsync.training.tasks.export import write_run_facts
from lipsync.training.tasks.losses import edge_loss, sync_loss
from lipsync.training.tasks.wav2lip_options import GeneratorTrainingOptions
from lipsync.weights.checkpoint import load_into, load_state_dict

_MIN_FRAMES = 3 * WINDOW_FRAMES + 1
"""Shorter clips are skipped, as in the original: target and reference would overlap too often."""


class GeneratorAndDiscriminator(nn.Module):
    """Generator and discriminator as one module to train; only the generator ships.

    Attributes:
        sync_counts: 1 once the validation sync loss has been low enough, else 0.
    """

    sync_counts: Tensor

    def __init__(self, options: GeneratorTrainingOptions) -> None:
        super().__init__()
        self.generator = Wav2LipNetwork(options.size, options.width)
        self.discriminator = (
            QualityDiscriminator(options.size, options.width) if options.discriminator else None
        )
        self.register_buffer("sync_counts", torch.zeros((), dtype=torch.int64))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights, `sync_counts` never going back from 1 to 0.

        It changes while the averaged weights are evaluated, and must survive the reloading of the
        trained ones afterwards.
        """
        before = self.sync_counts.clone()
        loaded = super().load_state_dict(state_dict, strict, assign)
        self.sync_counts.copy_(torch.maximum(self.sync_counts, before))
        return loaded


class GeneratorTask:
    """Training task of a Wav2Lip generator.

    Args:
        clips: the train split is learned from, the val split evaluated.
        expert: frozen and in evaluation mode; moved to the device if it is a module.

    Raises:
        InputError: no clip to train on is long enough.
        WeightsError: a checkpoint to start from is missing or of another network.
    """

    def __init__(
        self,
        clips: Sequence[FaceClip],
        options: GeneratorTrainingOptions,
        expert: SyncExpert | None = None,
    ) -> None:
        self.options = options
        long = [clip for clip in clips if len(clip) >= _MIN_FRAMES]
        train_clips = [clip for clip in long if clip.split == "train"]
        if not train_clips:
            hint = f"Clips to train on need at least {_MIN_FRAMES} frames."
            raise InputError("There is nothing to train a generator on in this set", hint=hint)
        self._sampler = PersonBalancedSampler(train_clips)
        # Without a validation split, figures on the train split are better than none.
        self._val_clips = [clip for clip in long if clip.split == "val"] or train_clips
        self._mels = MelCache(options.seed)
        self._expert = expert
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self._network = GeneratorAndDiscriminator(options)
        self._load_start()

    def _load_start(self) -> None:
        network = self._network
        if path := self.options.start_from:
            load_into(network.generator, load_state_dict(path), what="the Wav2Lip generator", path=path)
        if (path := self.options.start_discriminator) and network.discriminator is not None:
            what = "the visual quality discriminator"
            load_into(network.discriminator, load_state_dict(path), what=what, path=path)

    @property
    def network(self) -> nn.Module:
        """The generator and its discriminator."""
        return self._network

    # --- examples --------------------------------------------------------------------------------

    def batch(self, step: int) -> Batch:
        """Random examples of the train split.

        "target" and "reference" uint8 (B, 5, H, W, 3) RGB; "indiv_mels" (B, 5, 1, 80, 16), the
        generator's audio for each frame; "mel" (B, 1, 80, 16), the expert's for the window.
        """
        rng = np.random.default_rng((self.options.seed, step))
        return _stack([self._example(self._sampler.sample(rng), rng) for _ in range(self.options.batch)])

    def _example(self, clip: FaceClip, rng: Rng, augment: bool = True) -> dict[str, npt.NDArray[np.generic]]:
        """Five target frames, five reference frames of the same clip, and their audio."""
        start = int(rng.integers(1, len(clip) - WINDOW_FRAMES + 1))
        other = int(rng.integers(len(clip) - WINDOW_FRAMES))
        other += other >= start  # any window but the target
        windows = np.r_[start : start + WINDOW_FRAMES, other : other + WINDOW_FRAMES]
        faces = clip.faces(windows, self.options.size)
        variant = int(rng.integers(self.options.audio_variants)) if augment else 0
        if self.options.augment and augment:
            augmentation = dataclasses.replace(
                sample_augmentation(rng), blur=0.0, noise=0.0, jpeg_quality=100
            )
            faces = np.stack([augment_face(face, augmentation, rng) for face in faces])
        # The original's audio begins one frame before each frame, see `options.voice_lead`.
        indiv_mels = mel_windows(self._mels(clip, variant), start - 1, WINDOW_FRAMES, clip.audio_delay)
        # The expert gets the unaugmented audio, whatever variant the generator gets.
        mel = mel_windows(self._mels(clip), start, 1, clip.audio_delay)
        return {
            "target": faces[:WINDOW_FRAMES],
            "reference": faces[WINDOW_FRAMES:],
            "indiv_mels": indiv_mels[:, None],
            "mel": mel,
        }

    def val_batches(self) -> Iterator[Batch]:
        """The same validation examples every time, equally many of each person."""
        rng = np.random.default_rng(7)
        people = sorted({clip.person for clip in self._val_clips})
        clips = {person: [clip for clip in self._val_clips if clip.person == person] for person in people}
        examples = []
        for number in range(self.options.val_examples):
            own = clips[people[number % len(people)]]
            examples.append(self._example(own[int(rng.integers(len(own)))], rng, augment=False))
            if len(examples) == self.options.batch:
                yield _stack(examples)
                examples = []
        if examples:
            yield _stack(examples)

    # --- loss and evaluation ---------------------------------------------------------------------

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Weighted sum of pixel, sync and adversarial loss, plus the discriminator's.

        The weights are those of the original.
        """
        network, real = self._network, to_bgr(batch["target"])
        generated = generate(network.generator, batch)
        pixels = (generated - real).abs().mean()
        figures = {"l1": pixels.item()}
        if self.options.edge_weight:
            flat = [video.transpose(1, 2).flatten(0, 1) for video in (generated, real)]
            edges = edge_loss(flat[0], flat[1], torch.ones_like(flat[0][:, :1]))
            pixels, figures["edges"] = pixels + self.options.edge_weight * edges, edges.item()
        sync_weight, disc_weight = self.options.weights
        sync_weight *= network.sync_counts.item()
        loss = (1 - sync_weight - disc_weight) * pixels
        if sync_weight:
            sync = self._sync_loss(generated, batch["mel"])
            loss, figures["sync"] = loss + sync_weight * sync, sync.item()
        if network.discriminator is not None:
            disc_loss, adversarial = adversarial_losses(network.discriminator, real, generated)
            loss = loss + disc_loss + disc_weight * adversarial
            figures |= {"discriminator": disc_loss.item(), "adversarial": adversarial.item()}
        return loss, figures

    def _sync_loss(self, generated: Tensor, mel: Tensor) -> Tensor:
        assert self._expert is not None
        if isinstance(self._expert, nn.Module):
            self._expert.to(generated.device)  # the loop moves only what it trains
        return sync_loss(self._expert, generated, mel)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """L1, sync loss and the discriminator's mean probabilities, on the val split.

        "score" is the loss of pixels and sync with their full weights.
        """
        assert isinstance(network, GeneratorAndDiscriminator)
        sums: dict[str, float] = {}
        for batch in self.val_batches():
            for name, value in self._measure(network, to_device(batch, device_of(network))).items():
                sums[name] = sums.get(name, 0.0) + value * len(batch["target"])
        figures = {name: value / self.options.val_examples for name, value in sums.items()}
        if figures.get("sync", np.inf) < self.options.sync_from:
            network.sync_counts.fill_(1)
        weight = self.options.weights[0]
        score = (1 - weight) * figures["l1"] + weight * figures.get("sync", 0.0)
        return {"score": score, **figures}

    def _measure(self, network: GeneratorAndDiscriminator, batch: Batch) -> dict[str, float]:
        generated, real = generate(network.generator, batch), to_bgr(batch["target"])
        figures = {"l1": (generated - real).abs().mean().item()}
        if self._expert is not None:
            figures["sync"] = self._sync_loss(generated, batch["mel"]).item()
        if network.discriminator is not None:
            for name, faces in (("p_real", real), ("p_generated", generated)):
                figures[name] = network.discriminator(faces).sigmoid().mean().item()
        return figures

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Validation faces: reference | masked | generated | real; (N, 3, H, 4 W)."""
        assert isinstance(network, GeneratorAndDiscriminator)
        batch = {name: value[:4] for name, value in next(self.val_batches()).items()}
        batch = to_device(batch, device_of(network))
        generated = generate(network.generator, batch)
        real, reference = to_bgr(batch["target"]), to_bgr(batch["reference"])
        row = torch.cat([reference, mask_lower_half(real), generated, real], dim=-1)
        return {"reference, masked, generated, real": row[:, :, WINDOW_FRAMES // 2].flip(1)}


def _stack(examples: Sequence[dict[str, npt.NDArray[np.generic]]]) -> Batch:
    return {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}


def to_bgr(frames: Tensor) -> Tensor:
    """RGB frames as the networks' input, BGR in [0, 1].

    From uint8 (B, T, H, W, 3) to float32 (B, 3, T, H, W).
    """
    return frames.flip(-1).permute(0, 4, 1, 2, 3).float() / 255


def mask_lower_half(faces: Tensor) -> Tensor:
    """A copy of faces (..., H, W) with the lower half zero."""
    out = faces.clone()
    out[..., faces.shape[-2] // 2 :, :] = 0
    return out


def generate(generator: nn.Module, batch: Batch) -> Tensor:
    """Generated faces of a batch, (B, 3, 5, H, W) BGR in [0, 1]."""
    face = torch.cat([mask_lower_half(to_bgr(batch["target"])), to_bgr(batch["reference"])], dim=1)
    generated: Tensor = generator(batch["indiv_mels"], face)
    return generated


def train_generator(folder: Path, options: GeneratorTrainingOptions, run: TrainingRun) -> Outcome:
    """Train a Wav2Lip generator; resumes the run in its folder.

    Args:
        folder: a prepared set, or one in the layout of Wav2Lip's preprocess.py.
        run: `original_loop` gives the original's settings of the loop; the folder also gets what
            `export_generator` writes into the model card.

    Raises:
        InputError: there is no set, or no clip to train on is long enough.
        WeightsError: the expert or a checkpoint to start from is missing or of another network.
        OutputError: the run's folder cannot be written.
    """
    clips = read_face_clips(folder)
    task = GeneratorTask(clips, options, load_expert(options.expert) if options.expert else None)
    write_run_facts(run.folder, folder, clips, options)
    return train(task, run)
