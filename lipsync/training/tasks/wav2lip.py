"""Training of the Wav2Lip generator: Prajwal et al., ACM MM 2020, arXiv 2008.10010.

A network of any size and width (see `Wav2LipNetwork`) learns to draw five frames whose lower half
is hidden, from another window of the same clip and from the sound. It is judged by the picture, by
a frozen sync expert, and, if wanted, by a discriminator that learns beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lipsync.errors import InputError, OptionError
from lipsync.generators.wav2lip.network import OFFICIAL_SIZE, WIDTH_STEP, Wav2LipNetwork, check_architecture
from lipsync.options import OptionGroup, option
from lipsync.sync_score import SyncExpert, load_expert
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.training.data.augment import change_face, sample_augmentation
from lipsync.training.data.dataset import ByPerson
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.data.mel_windows import ClipMels, windows_of_mel
from lipsync.training.engine.loop import Batch, LoopOptions, Outcome, Report, device_of, to_device, train
from lipsync.training.tasks.builtin_renderer import edge_loss
from lipsync.training.tasks.export import note_training
from lipsync.training.tasks.wav2lip_discriminator import QualityDiscriminator, adversarial_losses
from lipsync.weights.checkpoint import load_into, load_state_dict

_LEAST_FRAMES = 3 * WINDOW_FRAMES + 1
"""Shorter clips are passed over, as in the original: target and reference would overlap too often."""
_SURE = 0.05
"""Likeness down to which the sync loss is a logarithm; see `sync_loss`."""


@dataclass(frozen=True)
class GeneratorTraining(OptionGroup):
    """What generator is trained, and what judges it."""

    size: tuple[int, int] = option(
        OFFICIAL_SIZE, "height and width of the face, multiples of 32", unit="pixels"
    )
    width: float = option(
        1.0, "share of the official network's channels, in sixteenths", min=WIDTH_STEP, max=4.0
    )
    batch: int = option(16, "examples of a step, five frames each", min=1, max=4096)
    expert: Path | None = option(  # noqa: RUF009 - a declaration
        None, "checkpoint of the sync expert that compares lips with voice; without one, nobody does"
    )
    sync_weight: float | None = option(
        None,
        "weight of the expert's judgement; none takes the original's: 0.01, with the discriminator 0.03",
        min=0.0,
        max=1.0,
    )
    sync_from: float = option(
        0.75, "that weight is 0 until the held-out sync loss has once been below this", min=0.0
    )
    discriminator: bool = option(False, "train the visual quality discriminator too, and be judged by it")
    disc_weight: float = option(0.07, "weight of its judgement", min=0.0, max=1.0)
    edges: float = option(
        0.0, "weight of the differences of neighbouring pixels, over that of the pixels", min=0.0
    )
    looks: bool = option(True, "change light, colours and place of the faces, the same for all of an example")
    voices: int = option(6, "ways in which each clip's voice is heard; 1 leaves it as it is", min=1, max=1000)
    held: int = option(64, "held-out examples of a measurement", min=1, max=100_000)
    start_from: Path | None = option(  # noqa: RUF009
        None, "generator to go on from, such as an official checkpoint"
    )
    start_discriminator: Path | None = option(None, "discriminator to go on from")  # noqa: RUF009
    seed: int = option(1, "of every random choice", min=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            check_architecture(self.size, self.width)
        except ValueError as error:
            raise OptionError("There is no such generator", given=error) from error
        if sum(self.weights) > 1:
            raise OptionError(
                "'sync_weight' and 'disc_weight' leave nothing for the picture",
                given=f"{self.weights[0]:g} and {self.weights[1]:g}",
                hint="Together they are at most 1.",
            )

    @property
    def weights(self) -> tuple[float, float]:
        """Of the expert's and the discriminator's judgement; the rest is the picture's."""
        usual = 0.03 if self.discriminator else 0.01
        sync = usual if self.sync_weight is None else self.sync_weight
        return sync if self.expert else 0.0, self.disc_weight if self.discriminator else 0.0


def original_loop(discriminator: bool = False, **changes: Any) -> LoopOptions:
    """The loop's settings as the original trains: Adam with an even rate, without limits."""
    usual = {"steps": 300_000, "learning_rate": 1e-4, "schedule": "constant", "warm_up": 0, "clip": 0.0}
    betas = {"beta1": 0.5 if discriminator else 0.9, "beta2": 0.999, "weight_decay": 0.0}
    return LoopOptions(**{**usual, **betas, "evaluate_every": 3000, **changes})


class GeneratorAndDiscriminator(nn.Module):
    """What is trained together; only the generator ships.

    Attributes:
        sync_counts: 1 from when the held-out sync loss was low enough, else 0.
    """

    sync_counts: Tensor

    def __init__(self, options: GeneratorTraining) -> None:
        super().__init__()
        self.generator = Wav2LipNetwork(options.size, options.width)
        self.discriminator = (
            QualityDiscriminator(options.size, options.width) if options.discriminator else None
        )
        self.register_buffer("sync_counts", torch.zeros((), dtype=torch.int64))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As usual, but `sync_counts` only ever goes up.

        It changes while the averaged weights are measured, and must not change back with the
        weights that are then put in again.
        """
        before = self.sync_counts.clone()
        loaded = super().load_state_dict(state_dict, strict, assign)
        self.sync_counts.copy_(torch.maximum(self.sync_counts, before))
        return loaded


class GeneratorTask:
    """The loop's view of the generator.

    Args:
        expert: frozen and in evaluation mode; a module, else it stays on the CPU.

    Raises:
        InputError: no clip to train on is long enough.
    """

    def __init__(
        self, clips: Sequence[FaceClip], options: GeneratorTraining, expert: SyncExpert | None = None
    ) -> None:
        self.options = options
        long = [clip for clip in clips if len(clip) >= _LEAST_FRAMES]
        learned = [clip for clip in long if clip.split == "train"]
        if not learned:
            hint = f"Clips to train on need at least {_LEAST_FRAMES} frames."
            raise InputError("There is nothing to train a generator on in this set", hint=hint)
        self._clips = ByPerson(learned)
        # With nobody held out, measuring what is learned is better than no measure.
        self._held = [clip for clip in long if clip.split == "held"] or learned
        self._mels = ClipMels(options.seed)
        self._expert = expert
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self._both = GeneratorAndDiscriminator(options)
        self._start()

    def _start(self) -> None:
        if path := self.options.start_from:
            load_into(self._both.generator, load_state_dict(path), what="the Wav2Lip generator", path=path)
        if (path := self.options.start_discriminator) and self._both.discriminator is not None:
            what = "the visual quality discriminator"
            load_into(self._both.discriminator, load_state_dict(path), what=what, path=path)

    @property
    def network(self) -> nn.Module:
        """The generator and its discriminator."""
        return self._both

    # --- examples --------------------------------------------------------------------------------

    def batch(self, step: int) -> Batch:
        """Random examples of the people to train on.

        "target" and "reference" are uint8 (B, 5, H, W, 3) RGB, "indiv_mels" (B, 5, 1, 80, 16) the
        sound that each frame is drawn from, "mel" (B, 1, 80, 16) that of the window.
        """
        generator = np.random.default_rng((self.options.seed, step))
        return _stack(
            [self._example(self._clips.draw(generator), generator) for _ in range(self.options.batch)]
        )

    def _example(
        self, clip: FaceClip, generator: np.random.Generator, plain: bool = False
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Five frames to draw, five others of the same clip to draw from, and their sound."""
        start = int(generator.integers(1, len(clip) - WINDOW_FRAMES + 1))
        other = int(generator.integers(len(clip) - WINDOW_FRAMES))
        other += other >= start  # any window but the target
        faces = clip.faces(
            np.r_[start : start + WINDOW_FRAMES, other : other + WINDOW_FRAMES], self.options.size
        )
        voice = 0 if plain else int(generator.integers(self.options.voices))
        if self.options.looks and not plain:
            look = dataclasses.replace(sample_augmentation(generator), blur=0.0, noise=0.0, quality=100)
            faces = np.stack([change_face(face, look, generator) for face in faces])
        # The original hears each frame from one frame earlier on, see `options.voice_lead`.
        heard = windows_of_mel(self._mels(clip, voice), start - 1, WINDOW_FRAMES, clip.lag)
        # The expert judges by the voice as it is, whatever the generator was given.
        mel = windows_of_mel(self._mels(clip), start, 1, clip.lag)
        return {
            "target": faces[:WINDOW_FRAMES],
            "reference": faces[WINDOW_FRAMES:],
            "indiv_mels": heard[:, None],
            "mel": mel,
        }

    def held_batches(self) -> Iterator[Batch]:
        """The same examples every time, of each held-out person as many, nothing changed."""
        generator = np.random.default_rng(7)
        people = sorted({clip.person for clip in self._held})
        clips = {person: [clip for clip in self._held if clip.person == person] for person in people}
        examples = []
        for number in range(self.options.held):
            mine = clips[people[number % len(people)]]
            examples.append(self._example(mine[int(generator.integers(len(mine)))], generator, plain=True))
            if len(examples) == self.options.batch:
                yield _stack(examples)
                examples = []
        if examples:
            yield _stack(examples)

    # --- judging ---------------------------------------------------------------------------------

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The original's sum of picture, sync and discriminator, and the discriminator's own loss."""
        both, real = self._both, bgr(batch["target"])
        drawn = draw(both.generator, batch)
        picture = (drawn - real).abs().mean()
        figures = {"l1": picture.item()}
        if self.options.edges:
            flat = [video.transpose(1, 2).flatten(0, 1) for video in (drawn, real)]
            edges = edge_loss(flat[0], flat[1], torch.ones_like(flat[0][:, :1]))
            picture, figures["edges"] = picture + self.options.edges * edges, edges.item()
        sync_weight, disc_weight = self.options.weights
        sync_weight *= both.sync_counts.item()
        loss = (1 - sync_weight - disc_weight) * picture
        if sync_weight:
            sync = self._sync_loss(drawn, batch["mel"])
            loss, figures["sync"] = loss + sync_weight * sync, sync.item()
        if both.discriminator is not None:
            training, fooled = adversarial_losses(both.discriminator, real, drawn)
            loss = loss + training + disc_weight * fooled
            figures |= {"discriminator": training.item(), "fooled": fooled.item()}
        return loss, figures

    def _sync_loss(self, drawn: Tensor, mel: Tensor) -> Tensor:
        assert self._expert is not None
        if isinstance(self._expert, nn.Module):
            self._expert.to(drawn.device)  # the loop moves only what it trains
        return sync_loss(self._expert, drawn, mel)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Held-out L1, sync loss, and the probabilities of being real that the discriminator gives.

        "score" is the loss of picture and sync with their full weights.
        """
        assert isinstance(network, GeneratorAndDiscriminator)
        sums: dict[str, float] = {}
        for batch in self.held_batches():
            for name, value in self._measure(network, to_device(batch, device_of(network))).items():
                sums[name] = sums.get(name, 0.0) + value * len(batch["target"])
        figures = {name: value / self.options.held for name, value in sums.items()}
        if figures.get("sync", np.inf) < self.options.sync_from:
            network.sync_counts.fill_(1)
        weight = self.options.weights[0]
        score = (1 - weight) * figures["l1"] + weight * figures.get("sync", 0.0)
        return {"score": score, **figures}

    def _measure(self, network: GeneratorAndDiscriminator, batch: Batch) -> dict[str, float]:
        drawn, real = draw(network.generator, batch), bgr(batch["target"])
        figures = {"l1": (drawn - real).abs().mean().item()}
        if self._expert is not None:
            figures["sync"] = self._sync_loss(drawn, batch["mel"]).item()
        if network.discriminator is not None:
            for name, faces in (("real_told", real), ("drawn_told", drawn)):
                figures[name] = network.discriminator(faces).sigmoid().mean().item()
        return figures

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """Held-out faces side by side: reference, hidden, drawn, real; (N, 3, H, 4 W) RGB."""
        assert isinstance(network, GeneratorAndDiscriminator)
        batch = {name: value[:4] for name, value in next(self.held_batches()).items()}
        batch = to_device(batch, device_of(network))
        drawn, real, reference = draw(network.generator, batch), bgr(batch["target"]), bgr(batch["reference"])
        row = torch.cat([reference, hidden(real), drawn, real], dim=-1)
        return {"held_out": row[:, :, WINDOW_FRAMES // 2].flip(1)}


def _stack(examples: Sequence[dict[str, npt.NDArray[np.generic]]]) -> Batch:
    return {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}


def bgr(pictures: Tensor) -> Tensor:
    """uint8 RGB (B, T, H, W, 3) as the networks take it: BGR in [0, 1], (B, 3, T, H, W)."""
    return pictures.flip(-1).permute(0, 4, 1, 2, 3).float() / 255


def hidden(faces: Tensor) -> Tensor:
    """Faces (..., H, W) with their lower half zero."""
    out = faces.clone()
    out[..., faces.shape[-2] // 2 :, :] = 0
    return out


def draw(generator: nn.Module, batch: Batch) -> Tensor:
    """Draw a batch, the target's lower half being hidden; (B, 3, 5, H, W) BGR in [0, 1]."""
    face = torch.cat([hidden(bgr(batch["target"])), bgr(batch["reference"])], dim=1)
    drawn: Tensor = generator(batch["indiv_mels"], face)
    return drawn


def sync_loss(expert: SyncExpert, drawn: Tensor, mel: Tensor) -> Tensor:
    """The original's: binary cross entropy of the likeness of lips and voice against 1.

    Below 0.05 the logarithm goes on as its tangent, so that likenesses around and below 0, where
    it has no value, still say which way is better.

    Args:
        drawn: (B, 3, 5, H, W) BGR in [0, 1], the whole face.
        mel: (B, 1, 80, 16).
    """
    lower = drawn[..., drawn.shape[-2] // 2 :, :].flip(1)
    similarity = (expert.embed_faces(lower).float() * expert.embed_audio(mel).float()).sum(1)
    return (-similarity.clamp(_SURE, 1).log() + (1 - similarity / _SURE).clamp_min(0)).mean()


def train_generator(
    folder: Path,
    run: Path,
    options: GeneratorTraining,
    loop: LoopOptions,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a generator on a prepared set; resumes what `run` holds.

    Args:
        folder: a prepared set, or one in the original's layout.
        run: gets the checkpoints, the log, and what was trained on what.
        loop: `original_loop` gives the original's.
        report, stop: as for `loop.train`.

    Raises:
        InputError: there is no set, or too little in it.
        WeightsError: the expert, or a checkpoint to start from, is missing or of another network.
    """
    clips = read_face_clips(folder)
    task = GeneratorTask(clips, options, load_expert(options.expert) if options.expert else None)
    note_training(run, folder, clips, options)
    return train(task, loop, run, report, stop)
