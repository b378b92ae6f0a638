"""A training set drawn by hand: faces of one colour whose dark mouth opens with the loudness of a hum."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.training.data.dataset import Clip
from lipsync.training.data.dataset_format import MARGIN, SIDE, resize_images
from lipsync.types import FloatArray, IntArray

COMPONENTS = np.zeros((2, 49, 3), np.float32)
COMPONENTS[0, 0:11, 1] = COMPONENTS[0, 20:31, 1] = 0.2 * np.sin(np.pi * np.arange(11) / 10)
COMPONENTS[0, 40:, 1] = 0.2
COMPONENTS[1, :20, 0] = 0.05
COMPONENTS = COMPONENTS.reshape(2, -1)


def resting_mouth() -> npt.NDArray[np.float32]:
    """49 points in pixels of the crop."""
    turn = np.arange(20) / 20 * 2 * np.pi
    lips = np.stack([-np.cos(turn), 0.4 * np.sin(turn)], axis=1)
    chin = np.stack([np.linspace(-1, 1, 9), np.full(9, 1.6)], axis=1)
    inner = lips * [0.8, 0.02]
    return (np.concatenate([lips, inner, chin]) * 18 + [64, 92]).astype(np.float32)


def make_clip(person: str, split: str, seed: int, frames: int = 50) -> Clip:
    rng = np.random.default_rng(seed)
    clock = np.arange(frames) / 25
    opening = (np.sin(2 * np.pi * (1 + seed % 3) * clock) ** 2).astype(np.float32)
    shapes = np.stack([opening, np.zeros_like(opening)], axis=1)
    resting = np.repeat(resting_mouth()[None], frames, axis=0)
    projection = np.repeat(np.eye(2, 3, dtype=np.float32)[None] * 0.4, frames, axis=0)
    moves = (shapes @ COMPONENTS).reshape(frames, 49, 3)
    mouth = resting + moves @ projection[0].T * SIDE
    side = SIDE + 2 * MARGIN
    skin = rng.integers(120, 220, 3)
    crops = np.empty((frames, side, side, 3), np.uint8)
    for frame in range(frames):
        crops[frame] = skin
        cv2.fillPoly(crops[frame], [np.rint(mouth[frame, :20] + MARGIN).astype(np.int32)], (180, 60, 60))
        cv2.fillPoly(crops[frame], [np.rint(mouth[frame, 20:40] + MARGIN).astype(np.int32)], (20, 10, 10))
    ticks = np.arange(frames * 640) / 16_000
    hum = np.sin(2 * np.pi * 200 * ticks) + np.sin(2 * np.pi * 900 * ticks)
    audio = 0.2 * hum * np.interp(ticks, clock, opening)
    return Clip(
        name=f"{person}_{seed}",
        person=person,
        split=split,
        shapes=shapes,
        mouth=mouth.astype(np.float32),
        closed_mouth=resting,
        projection=projection,
        lip_gap=opening * 0.2,
        amplitude=1.0,
        audio=audio.astype(np.float32),
        audio_delay=0.0,
        usable=np.arange(frames),
        crops=crops,
    )


def make_clips() -> list[Clip]:
    clips = [make_clip(f"p{seed}", "train", seed) for seed in range(3)]
    return [*clips, make_clip("q", "val", 4)]


@dataclass(frozen=True)
class Drawn:
    """A `FaceClip` drawn by hand."""

    name: str
    person: str
    split: str
    crops: npt.NDArray[np.uint8]
    samples: FloatArray
    audio_delay: float = 0.0

    def __len__(self) -> int:
        return len(self.crops)

    def faces(self, frames: IntArray, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        return resize_images(self.crops[frames], size)

    def audio(self) -> FloatArray:
        return self.samples


def drawn_clips(frames: int = 30, people: int = 3) -> list[Drawn]:
    """All but the last in the train split, that one in val."""
    inner = slice(MARGIN, MARGIN + SIDE)
    splits = ["train"] * (people - 1) + ["val"]
    clips = [make_clip(f"p{seed}", split, seed, frames) for seed, split in enumerate(splits)]
    assert all(clip.crops is not None for clip in clips)
    return [Drawn(c.name, c.person, c.split, c.crops[:, inner, inner], c.audio) for c in clips]  # type: ignore[index]
