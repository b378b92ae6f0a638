"""Training of a sync expert: windows of one clip are told apart by when they are, not by who speaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.errors import InputError
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.options import OptionGroup, option
from lipsync.sync_score import embed_clip, estimate_sync, similarity_by_offset, split_into_seconds
from lipsync.sync_score.base import LOWER_FACE_SIZE, WINDOW_FRAMES, SyncExpert
from lipsync.sync_score.compact_syncnet import CompactSyncNet, CompactSyncNetConfig
from lipsync.sync_score.wav2lip_expert import SyncNetColor
from lipsync.training.data.augment import Augmentation, change_picture, sample_augmentation
from lipsync.training.data.dataset import ByPerson, read_set
from lipsync.training.data.dataset_format import MARGIN, SIDE, has_landmarks
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.data.mel_windows import ClipMels, windows_of_mel
from lipsync.training.engine.loop import Batch, LoopOptions, Outcome, Report, train
from lipsync.types import AudioClip, FloatArray

_EVEN_LOOK = (96, 96)
Shapes = Mapping[str, FloatArray]


@dataclass(frozen=True)
class ExpertOptions(OptionGroup):
    """Which expert is trained, and how."""

    architecture: str = option("lean", "network: our own, or that of Wav2Lip", choices=("lean", "wav2lip"))
    recipe: str = option(
        "contrast",
        "contrast: find each window's sound among all windows of its clip; wav2lip: the original's pairs",
        choices=("contrast", "wav2lip"),
    )
    clips: int = option(12, "clips of a step", min=1, max=1024)
    frames: int = option(40, "frames of each clip of a step", min=10, max=500)
    every: int = option(1, "every n-th window of them is compared", min=1, max=25)
    variants: int = option(6, "ways in which each clip's sound is changed", min=1, max=1000)
    shapes: float = option(
        0.5, "weight of telling the mouth's shape, from sets with landmarks (contrast)", min=0.0
    )
    people: float = option(1.0, "share of the people to train on, drawn by the seed", min=0.01, max=1.0)
    seed: int = option(1, "of every random choice", min=0)


class _Trained(nn.Module):
    """An expert, and what it needs in training alone."""

    def __init__(self, architecture: str, numbers: int) -> None:
        super().__init__()
        self.expert = CompactSyncNet(CompactSyncNetConfig()) if architecture == "lean" else SyncNetColor()
        size = CompactSyncNetConfig().size if architecture == "lean" else 512
        self.sharpness = nn.Parameter(torch.tensor(2.3))  # e^2.3 = 10
        self.shape = nn.Linear(size, WINDOW_FRAMES * numbers) if numbers else None


class ExpertTask:
    """The loop's view of a sync expert.

    Args:
        shapes: mouth shapes (T, numbers) of clips by name, where they are known; see `shapes`.
    """

    def __init__(
        self, clips: Sequence[FaceClip], options: ExpertOptions, shapes: Shapes | None = None
    ) -> None:
        self.options = options
        long = [clip for clip in clips if len(clip) >= options.frames + 2]
        chosen = _some_people([clip for clip in long if clip.split == "train"], options)
        if not chosen:
            hint = f"Give clips of more than {options.frames + 2} frames, or choose fewer with --frames."
            raise InputError("There is nothing to train an expert on in this set", hint=hint)
        self._clips = ByPerson(chosen)
        self._held = [clip for clip in clips if clip.split == "held"]
        self._shapes = shapes if shapes and options.shapes and options.recipe == "contrast" else {}
        numbers = next(iter(self._shapes.values())).shape[1] if self._shapes else 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self._net = _Trained(options.architecture, numbers)
        self._mels = ClipMels(options.seed)

    @property
    def network(self) -> nn.Module:
        """The expert, in a wrapping that holds what only training needs."""
        return self._net

    @property
    def expert(self) -> SyncExpert:
        """The expert alone."""
        return self._net.expert

    def batch(self, step: int) -> Batch:
        """Stretches of random clips: "faces" uint8 (C, T, 48, 96, 3), "mel" (C, T - 4, 80, 16)."""
        generator = np.random.default_rng((self.options.seed, step))
        drawn = [self._draw(generator) for _ in range(self.options.clips)]
        return {name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in drawn[0]}

    def _draw(self, generator: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
        clip, length = self._clips.draw(generator), self.options.frames
        start = int(generator.integers(len(clip) - length + 1))
        frames = np.arange(start, start + length)
        mel = self._mels(clip, int(generator.integers(self.options.variants)))
        drawn: dict[str, npt.NDArray[np.generic]] = {
            "faces": _changed(clip.faces(frames, (SIDE, SIDE)), _soft_look(generator), generator),
            "mel": windows_of_mel(mel, start, length - WINDOW_FRAMES + 1, clip.lag),
        }
        if self._shapes:
            known = self._shapes.get(clip.name)
            drawn["shapes"] = known[frames] if known is not None else np.zeros((length, self._numbers), "f4")
            drawn["known"] = np.array(known is not None, np.float32)
        return drawn

    @property
    def _numbers(self) -> int:
        return int(next(iter(self._shapes.values())).shape[1])

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Of the recipe chosen; "right" is the share of windows whose own sound is the most alike."""
        pictures = batch["faces"].permute(0, 4, 1, 2, 3).float() / 255  # (C, 3, T, 48, 96)
        every = self.options.every
        faces = embed_windows(self.expert, pictures, every)
        mel = batch["mel"][:, ::every]
        sound = self.expert.embed_audio(mel.flatten(0, 1).unsqueeze(1)).view(*mel.shape[:2], -1)
        if self.options.recipe == "wav2lip":
            return pair_loss(faces, sound, step, self.options.seed)
        loss, figures = contrast_loss(faces, sound, self._net.sharpness.exp().clamp(max=50), every)
        if self._net.shape is not None:
            told = self._shape_loss(faces, sound, batch, every)
            loss, figures = loss + self.options.shapes * told, {**figures, "shape": told.item()}
        return loss, figures

    def _shape_loss(self, faces: Tensor, sound: Tensor, batch: Batch, every: int) -> Tensor:
        """L1 of the mouth's shape in the five frames, told from picture and from sound by one layer.

        That both are read by the same layer draws them together long before contrast alone would
        find out what they have in common.
        """
        assert self._net.shape is not None
        wanted = batch["shapes"].unfold(1, WINDOW_FRAMES, 1)[:, ::every].flatten(2)
        known = batch["known"].view(-1, 1, 1)
        told = self._net.shape(torch.stack([faces, sound]))
        error: Tensor = ((told - wanted).abs() * known).mean()
        return 2 * error

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """How often the right offset is found among 31 on held-out clips, within one frame, by person.

        "second" is for single seconds, "clip" for whole clips, "margin" the likeness at no offset
        over the median, "loss" the recipe's on what is held out; "score" is what to lower.
        """
        assert isinstance(network, _Trained)
        sharpness = None if self.options.recipe == "wav2lip" else network.sharpness.exp().item()
        found: dict[str, list[tuple[float, ...]]] = {}
        for clip in self._held:
            table = judge_clip(network.expert, clip)
            whole, seconds = estimate_sync(table), [estimate_sync(part) for part in split_into_seconds(table)]
            right = [abs(one.offset) <= 1 for one in seconds if one is not None]
            if whole is not None and right:
                figures = (float(np.mean(right)), float(abs(whole.offset) <= 1), whole.confidence_at_zero)
                found.setdefault(clip.person, []).append((*figures, held_loss(table, sharpness)))
        if not found:
            return {"score": 0.0}
        people = [np.mean(rows, axis=0) for rows in found.values()]
        second, whole_clip, margin, loss = (float(value) for value in np.mean(people, axis=0))
        return {
            "score": -second - margin,
            "second": second,
            "clip": whole_clip,
            "margin": margin,
            "loss": loss,
        }

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """None: what an expert learns is not seen."""
        return {}


def _some_people(clips: list[FaceClip], options: ExpertOptions) -> list[FaceClip]:
    people = sorted({clip.person for clip in clips})
    count = max(1, round(options.people * len(people)))
    generator = np.random.default_rng(options.seed)
    chosen = {people[number] for number in generator.permutation(len(people))[:count]}
    return [clip for clip in clips if clip.person in chosen]


def _soft_look(generator: np.random.Generator) -> Augmentation:
    """One look for all frames; noise and compression of single frames would only cost time."""
    return dataclasses.replace(sample_augmentation(generator), noise=0.0, quality=100)


def _changed(
    faces: npt.NDArray[np.uint8], look: Augmentation, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Faces (T, 128, 128, 3) as lower halves (T, 48, 96, 3) of that look."""
    onto = np.array([[1.0, 0, MARGIN], [0, 1, MARGIN]])  # a look counts from the stored crop's corner
    out = np.empty((len(faces), *LOWER_FACE_SIZE, 3), np.uint8)
    for face, place in zip(faces, out, strict=True):
        changed = change_picture(face, look, generator, onto)
        place[:] = cv2.resize(changed, _EVEN_LOOK, interpolation=cv2.INTER_AREA)[-LOWER_FACE_SIZE[0] :]
    return out


def embed_windows(expert: SyncExpert, pictures: Tensor, every: int = 1) -> Tensor:
    """Every n-th window of stretches (C, 3, T, 48, 96), as (C, windows, D)."""
    if isinstance(expert, CompactSyncNet):
        return expert.embed_features(expert.encode_frames(pictures))[:, ::every]
    windows = pictures.unfold(2, WINDOW_FRAMES, every).permute(0, 2, 1, 5, 3, 4)  # (C, windows, 3, 5, 48, 96)
    return expert.embed_faces(windows.flatten(0, 1)).view(*windows.shape[:2], -1)


def contrast_loss(
    faces: Tensor, sound: Tensor, sharpness: Tensor, every: int
) -> tuple[Tensor, dict[str, float]]:
    """Find each window's sound among all of its clip, and the reverse: InfoNCE (arXiv 1807.03748).

    Only windows of the same clip are compared: across clips it would be enough to learn who
    speaks. A window one frame away shares four of five frames; it counts neither way.

    Args:
        faces, sound: (C, W, D) of length 1.
    """
    similarity = torch.einsum("cvd,cwd->cvw", faces, sound)
    count = similarity.shape[1]
    apart = torch.arange(count, device=faces.device)
    near = (apart[:, None] - apart[None]).abs() * every == 1
    logits = (similarity * sharpness).masked_fill(near, -1e4)
    wanted = apart.expand(len(faces), -1)
    both = F.cross_entropy(logits.mT, wanted) + F.cross_entropy(logits, wanted)
    right = (logits.detach().argmax(2) == wanted).float().mean()
    return both / 2, {"contrast": both.item() / 2, "right": right.item()}


def pair_loss(faces: Tensor, sound: Tensor, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
    """The original's: cosine and binary cross entropy of pairs, half of them of two other moments."""
    count = faces.shape[1]
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    moved = torch.randint(1, count, (len(faces), count), generator=generator)
    together = torch.rand(len(faces), count, generator=generator) < 0.5
    other = torch.where(together, 0, moved).to(faces.device)
    index = (torch.arange(count, device=faces.device) + other) % count
    given = torch.take_along_dim(sound, index.unsqueeze(2), dim=1)
    # ReLU keeps the official network's cosine in [0, 1]; others may go below.
    similarity = (faces * given).sum(2).clamp(1e-6, 1 - 1e-6)
    loss = F.binary_cross_entropy(similarity, together.to(similarity))
    right = ((similarity > 0.5) == together.to(similarity.device)).float().mean()
    return loss, {"pairs": loss.item(), "right": right.item()}


def held_loss(table: FloatArray, sharpness: float | None) -> float:
    """The loss of a recipe on what `similarity_by_offset` gave, in nats.

    Args:
        sharpness: of contrast, where each window's sound is sought among all offsets, so that chance
            is ln 31 = 3.43; None for the original's pairs, chance being ln 2 = 0.69 at best.
    """
    whole = table[~np.isnan(table).any(1)]
    middle = table.shape[1] // 2
    if sharpness is not None:
        logits = whole * sharpness
        return float((np.log(np.exp(logits).sum(1)) - logits[:, middle]).mean())
    sure = np.clip(whole, 1e-6, 1 - 1e-6)
    apart = np.delete(sure, range(middle - 1, middle + 2), axis=1)
    return float(-(np.log(sure[:, middle]).mean() + np.log(1 - apart).mean()) / 2)


def judge_clip(expert: nn.Module, clip: FaceClip, frames: int = 500, correct: bool = True) -> FloatArray:
    """`similarity_by_offset` of the first frames of a clip; (windows, 31).

    Args:
        correct: take the clip's known lag out of its sound first.
    """
    assert isinstance(expert, SyncExpert)
    count = min(frames, len(clip))
    faces = clip.faces(np.arange(count), _EVEN_LOOK)[:, -LOWER_FACE_SIZE[0] :]
    mel = windows_of_mel(
        mel_spectrogram(AudioClip(clip.sound())), 0, count - WINDOW_FRAMES + 1, clip.lag if correct else 0.0
    )
    return similarity_by_offset(*embed_clip(expert, faces, mel))


def train_expert(
    folder: Path,
    run: Path,
    options: ExpertOptions,
    loop: LoopOptions,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train an expert on a set of either layout; resumes what `run` holds.

    Args:
        folder: a prepared set, or one in the original's layout.
        report, stop: as for `loop.train`.
    """
    clips = read_face_clips(folder)
    return train(ExpertTask(clips, options, known_shapes(folder)), loop, run, report, stop)


def known_shapes(folder: Path) -> dict[str, FloatArray]:
    """Mouth shapes of the clips of a set that was prepared with landmarks; of others, none."""
    if not has_landmarks(folder):
        return {}
    return {clip.name: clip.shapes for clip in read_set(folder, pictures=False).clips}
