"""Training of sync experts, which embed face and audio windows in one space.

Only windows of the same clip are compared: across clips, recognising the speaker would be enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lipsync.errors import InputError
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.options import OptionGroup, option
from lipsync.sync_score import embed_clip, estimate_sync, similarity_by_offset, split_into_seconds
from lipsync.sync_score.base import LOWER_FACE_SIZE, WINDOW_FRAMES, SyncExpert
from lipsync.sync_score.compact_syncnet import CompactSyncNet, CompactSyncNetConfig
from lipsync.sync_score.wav2lip_expert import SyncNetColor
from lipsync.training.data.augment import Augmentation, Rng, augment_crop, sample_augmentation
from lipsync.training.data.dataset import PersonBalancedSampler, read_set
from lipsync.training.data.dataset_format import MARGIN, SIDE, has_landmarks
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.data.mel_windows import MelCache, mel_windows
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import Batch, TrainingRun
from lipsync.training.tasks.losses import contrastive_loss, offset_table_loss, pair_loss
from lipsync.types import AudioClip, FloatArray

_FACE_SIZE = (96, 96)
_MAX_LOGIT_SCALE = 50
Shapes = Mapping[str, FloatArray]
"""Mouth shapes (T, coefficients) by clip."""


@dataclass(frozen=True)
class ExpertOptions(OptionGroup):
    """Network and training of a sync expert."""

    architecture: str = option(
        "compact",
        "network: our compact one, or that of Wav2Lip ('lean' is the compact one's old name)",
        choices=("compact", "wav2lip", "lean"),
    )
    recipe: str = option(
        "contrast",
        "contrast: find each window's audio among all windows of its clip (InfoNCE); wav2lip: binary "
        "cross-entropy of pairs",
        choices=("contrast", "wav2lip"),
    )
    clips: int = option(12, "clips in a step", min=1, max=1024)
    frames: int = option(40, "frames of each clip in a step", min=10, max=500)
    window_stride: int = option(1, "compare every n-th window of them", min=1, max=25)
    audio_variants: int = option(6, "augmented variants of each clip's audio", min=1, max=1000)
    shape_weight: float = option(
        0.5,
        "weight of predicting the mouth shape from either embedding, for sets with landmarks (contrast)",
        min=0.0,
    )
    people_share: float = option(
        1.0, "share of the people to train on, chosen by the seed", min=0.01, max=1.0
    )
    seed: int = option(1, "seed of all random choices", min=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.architecture == "lean":
            object.__setattr__(self, "architecture", "compact")


class _ExpertWithHeads(nn.Module):
    """An expert with its training-only parts: logit scale and shape head."""

    def __init__(self, architecture: str, coefficients: int) -> None:
        super().__init__()
        compact = architecture == "compact"
        self.expert = CompactSyncNet(CompactSyncNetConfig()) if compact else SyncNetColor()
        size = CompactSyncNetConfig().size if compact else 512
        # Attributes' names are in the keys of checkpoints. Sharpness: log of the logit scale, e^2.3 = 10.
        self.sharpness = nn.Parameter(torch.tensor(2.3))
        self.shape = nn.Linear(size, WINDOW_FRAMES * coefficients) if coefficients else None


class ExpertTask:
    """Training task of a sync expert.

    Args:
        clips: the train split is learned from, the val split evaluated.
        shapes: mouth shapes of the clips where they are known, see `mouth_shapes`.

    Raises:
        InputError: no clip to train on is long enough.
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
        self._sampler = PersonBalancedSampler(chosen)
        self._val_clips = [clip for clip in clips if clip.split == "val"]
        self._shapes = shapes if shapes and options.shape_weight and options.recipe == "contrast" else {}
        self._coefficients = next(iter(self._shapes.values())).shape[1] if self._shapes else 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self._network = _ExpertWithHeads(options.architecture, self._coefficients)
        self._mels = MelCache(options.seed)

    @property
    def network(self) -> nn.Module:
        """The expert, in a module with what only training needs."""
        return self._network

    @property
    def expert(self) -> SyncExpert:
        """The expert alone."""
        return self._network.expert

    # --- examples --------------------------------------------------------------------------------

    def batch(self, step: int) -> Batch:
        """Sequences of random clips.

        "faces" uint8 (C, T, 48, 96, 3) RGB, "mel" (C, T - 4, 80, 16); with shapes, "shapes"
        (C, T, coefficients) and "known" (C,), 0 for clips without.
        """
        rng = np.random.default_rng((self.options.seed, step))
        examples = [self._sample(rng) for _ in range(self.options.clips)]
        return {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}

    def _sample(self, rng: Rng) -> dict[str, npt.NDArray[np.generic]]:
        clip, length = self._sampler.sample(rng), self.options.frames
        start = int(rng.integers(len(clip) - length + 1))
        frames = np.arange(start, start + length)
        mel = self._mels(clip, int(rng.integers(self.options.audio_variants)))
        example: dict[str, npt.NDArray[np.generic]] = {
            "faces": _augment_lower_faces(clip.faces(frames, (SIDE, SIDE)), rng),
            "mel": mel_windows(mel, start, length - WINDOW_FRAMES + 1, clip.audio_delay),
        }
        if self._shapes:
            known = self._shapes.get(clip.name)
            unknown = np.zeros((length, self._coefficients), "f4")
            example["shapes"] = known[frames] if known is not None else unknown
            example["known"] = np.array(known is not None, np.float32)
        return example

    # --- loss and evaluation ---------------------------------------------------------------------

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of the chosen recipe, plus that of the shapes where they are known."""
        sequences = batch["faces"].permute(0, 4, 1, 2, 3).float() / 255  # (C, 3, T, 48, 96)
        stride = self.options.window_stride
        faces = embed_windows(self.expert, sequences, stride)
        mel = batch["mel"][:, ::stride]
        audio = self.expert.embed_audio(mel.flatten(0, 1).unsqueeze(1)).view(*mel.shape[:2], -1)
        if self.options.recipe == "wav2lip":
            return pair_loss(faces, audio, step, self.options.seed)
        scale = self._network.sharpness.exp().clamp(max=_MAX_LOGIT_SCALE)
        loss, figures = contrastive_loss(faces, audio, scale, stride)
        if self._network.shape is not None:
            shape = self._shape_loss(faces, audio, batch, stride)
            loss, figures = loss + self.options.shape_weight * shape, {**figures, "shape": shape.item()}
        return loss, figures

    def _shape_loss(self, faces: Tensor, audio: Tensor, batch: Batch, stride: int) -> Tensor:
        """L1 of the mouth shapes predicted from either embedding by one linear layer.

        That both go through the same layer aligns them long before contrast alone would find out what
        they have in common.
        """
        assert self._network.shape is not None
        target = batch["shapes"].unfold(1, WINDOW_FRAMES, 1)[:, ::stride].flatten(2)
        known = batch["known"].view(-1, 1, 1)
        predicted = self._network.shape(torch.stack([faces, audio]))
        error: Tensor = ((predicted - target).abs() * known).mean()
        return 2 * error

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """How often the true offset is found among 31, within one frame; val split.

        "second" is for single seconds, "clip" for whole clips, "confidence" the similarity at no offset
        over the median, "loss" that of the recipe; "score" is minimised.
        """
        assert isinstance(network, _ExpertWithHeads)
        scale = None if self.options.recipe == "wav2lip" else network.sharpness.exp().item()
        by_person: dict[str, list[tuple[float, ...]]] = {}
        for clip in self._val_clips:
            table = clip_similarity(network.expert, clip)
            whole, seconds = estimate_sync(table), [estimate_sync(part) for part in split_into_seconds(table)]
            right = [abs(one.offset) <= 1 for one in seconds if one is not None]
            if whole is not None and right:
                figures = (float(np.mean(right)), float(abs(whole.offset) <= 1), whole.confidence_at_zero)
                by_person.setdefault(clip.person, []).append((*figures, offset_table_loss(table, scale)))
        if not by_person:
            return {"score": 0.0}
        people = [np.mean(rows, axis=0) for rows in by_person.values()]
        second, whole_clip, confidence, loss = (float(value) for value in np.mean(people, axis=0))
        return {
            "score": -second - confidence,
            "second": second,
            "clip": whole_clip,
            "confidence": confidence,
            "loss": loss,
        }

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Nothing: an expert makes no images."""
        return {}


def _some_people(clips: list[FaceClip], options: ExpertOptions) -> list[FaceClip]:
    people = sorted({clip.person for clip in clips})
    count = max(1, round(options.people_share * len(people)))
    rng = np.random.default_rng(options.seed)
    chosen = {people[number] for number in rng.permutation(len(people))[:count]}
    return [clip for clip in clips if clip.person in chosen]


def _augment_lower_faces(faces: npt.NDArray[np.uint8], rng: Rng) -> npt.NDArray[np.uint8]:
    """Augmented lower halves (T, 48, 96, 3) of faces (T, 128, 128, 3), all alike.

    Without noise and compression, which would have to be computed for every frame.
    """
    augmentation: Augmentation = dataclasses.replace(sample_augmentation(rng), noise=0.0, jpeg_quality=100)
    to_stored = np.array([[1.0, 0, MARGIN], [0, 1, MARGIN]])  # augmentations start from the stored crop
    out = np.empty((len(faces), *LOWER_FACE_SIZE, 3), np.uint8)
    for face, lower in zip(faces, out, strict=True):
        augmented = augment_crop(face, augmentation, rng, to_stored)
        resized = cv2.resize(augmented, _FACE_SIZE, interpolation=cv2.INTER_AREA)
        lower[:] = resized[-LOWER_FACE_SIZE[0] :]
    return out


def embed_windows(expert: SyncExpert, sequences: Tensor, stride: int = 1) -> Tensor:
    """Embeddings (C, windows, D) of every n-th window of lower faces.

    Args:
        sequences: (C, 3, T, 48, 96) RGB in [0, 1].
        stride: frames from window to window.
    """
    if isinstance(expert, CompactSyncNet):
        return expert.embed_features(expert.encode_frames(sequences))[:, ::stride]
    windows = sequences.unfold(2, WINDOW_FRAMES, stride).permute(0, 2, 1, 5, 3, 4)  # (C, W, 3, 5, 48, 96)
    return expert.embed_faces(windows.flatten(0, 1)).view(*windows.shape[:2], -1)


def clip_similarity(
    expert: nn.Module, clip: FaceClip, max_frames: int = 500, correct_delay: bool = True
) -> FloatArray:
    """`similarity_by_offset` of the first frames of a clip; (windows, 31).

    Args:
        expert: a `SyncExpert`.
        correct_delay: remove the clip's known audio delay first.
    """
    assert isinstance(expert, SyncExpert)
    count = min(max_frames, len(clip))
    faces = clip.faces(np.arange(count), _FACE_SIZE)[:, -LOWER_FACE_SIZE[0] :]
    audio_delay = clip.audio_delay if correct_delay else 0.0
    mel = mel_windows(mel_spectrogram(AudioClip(clip.audio())), 0, count - WINDOW_FRAMES + 1, audio_delay)
    return similarity_by_offset(*embed_clip(expert, faces, mel))


def train_expert(folder: Path, options: ExpertOptions, run: TrainingRun) -> Outcome:
    """Train a sync expert; resumes the run in its folder.

    Args:
        folder: a prepared set, or one in the layout of Wav2Lip's preprocess.py.

    Raises:
        InputError: there is no set, or no clip to train on is long enough.
        WeightsError, OutputError: see `loop.train`.
    """
    clips = read_face_clips(folder)
    return train(ExpertTask(clips, options, read_shapes(folder)), run)


def read_shapes(folder: Path) -> dict[str, FloatArray]:
    """Mouth shapes by clip of a prepared set with landmarks; empty for other sets."""
    if not has_landmarks(folder):
        return {}
    return {clip.name: clip.shapes for clip in read_set(folder, with_crops=False).clips}
