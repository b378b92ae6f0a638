"""How a training set lies on disk.

<set>/manifest.tsv          one row a clip: name, person, split, frames, lag, source, licence, note
<set>/clips/<name>.mp4      face crops of 160x160 at 25 fps (128 and a margin of 16), with their sound
<set>/clips/<name>.npz      landmarks in 1/32 pixel of the crop, and the face boxes
<set>/cache/                crops and sound decoded; may be deleted at any time
"""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lipsync.data_types import FloatArray, Frame, TimeRange, VideoInfo
from lipsync.errors import InputError
from lipsync.media import FrameWriter, Voice, open_picture, open_voice

FPS = 25
SIDE = 128
"""Pixels of a side of the face crop."""
MARGIN = 16
"""Pixels around it that are kept too, so that it can be turned and shifted."""
STORED_SIDE = SIDE + 2 * MARGIN
_STEPS_PER_PIXEL = 32
_UNSEEN = -32768
_QUALITY = 27
"""x264's constant rate factor: half an hour of clips with sound and landmarks comes to about 60 MB."""


@dataclass(frozen=True)
class Row:
    """One clip in the manifest.

    Attributes:
        split: "train", "held" (measured as training goes) or "check" (kept for the end).
        lag: seconds that the sound is late, 0 where unknown.
    """

    name: str
    person: str
    split: str
    frames: int
    lag: float = 0.0
    source: str = ""
    licence: str = ""
    note: str = ""


def write_manifest(folder: Path, rows: Iterable[Row]) -> None:
    """Write the whole manifest, or nothing."""
    path = folder / "manifest.tsv"
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in dataclasses.fields(Row)], delimiter="\t")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in sorted(rows, key=lambda row: row.name))
    os.replace(part, path)  # noqa: PTH105 - replaces on every system, in one step


def read_manifest(folder: Path) -> list[Row]:
    """The rows of a prepared set.

    Raises:
        InputError: there is no set.
    """
    path = folder / "manifest.tsv"
    if not path.exists():
        raise InputError(
            "There is no training set here", given=folder, hint="Run `lipsync train prepare` first."
        )
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [Row(**{**row, "frames": int(row["frames"]), "lag": float(row["lag"])}) for row in rows]  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False)
class Stored:
    """What is kept of a clip of T frames.

    Attributes:
        landmarks: float32 (T, K, 3) `shapes.KEPT`, in pixels of the stored crop (x and y stretched as
            the crop is, z as x); NaN where unseen.
        boxes: float32 (T, 4) the face box, pixels of the source's frames.
    """

    landmarks: FloatArray
    boxes: FloatArray


def write_clip(
    folder: Path, name: str, source: VideoInfo, voice: Voice, crops: Iterable[Frame], stored: Stored
) -> None:
    """Write one clip; the .npz comes last, so that a clip that has one is whole."""
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    count = len(stored.boxes)
    look = dataclasses.replace(source, sample_aspect_ratio=Fraction(1))
    video = clips / f"{name}.mp4"
    with FrameWriter(
        video,
        width=STORED_SIDE,
        height=STORED_SIDE,
        fps=Fraction(FPS),
        frames=count,
        voice=voice,
        source=look,
        quality=_QUALITY,
    ) as writer:
        for crop in crops:
            writer.write(crop)
    part = clips / f"{name}.part.npz"
    np.savez_compressed(part, landmark_steps=_pack(stored.landmarks), boxes=stored.boxes)
    os.replace(part, clips / f"{name}.npz")  # noqa: PTH105


def read_stored(folder: Path, name: str) -> Stored:
    """The landmarks and boxes of one clip."""
    with np.load(folder / "clips" / f"{name}.npz") as arrays:
        return Stored(_unpack(arrays["landmark_steps"]), arrays["boxes"])


def _pack(landmarks: FloatArray) -> npt.NDArray[np.int16]:
    """Whole steps from frame to frame: small numbers, which compress well. Sums wrap and come back."""
    steps = np.nan_to_num(landmarks * _STEPS_PER_PIXEL, nan=_UNSEEN)
    whole = np.clip(np.rint(steps), _UNSEEN, 32767).astype(np.int16)
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))


def _unpack(steps: npt.NDArray[np.int16]) -> FloatArray:
    whole = np.cumsum(steps, axis=0, dtype=np.int16)
    return np.where(whole == _UNSEEN, np.nan, whole / np.float32(_STEPS_PER_PIXEL)).astype(np.float32)


def decoded(
    folder: Path, name: str, pictures: bool = True
) -> tuple[npt.NDArray[np.uint8] | None, FloatArray]:
    """The crops (T, 160, 160, 3), mapped from the cache, and the sound (n,) at 16 kHz."""
    cache = folder / "cache"
    cache.mkdir(exist_ok=True)
    crops, sound = cache / f"{name}.crops.npy", cache / f"{name}.sound.npy"
    video = folder / "clips" / f"{name}.mp4"
    if pictures and not crops.exists():
        picture = open_picture(video)
        frames = np.stack(list(picture.read(np.arange(picture.frame_count))))
        _save(crops, frames)
    if not sound.exists():
        _save(sound, open_voice(video).read().samples)
    return np.load(crops, mmap_mode="r") if pictures else None, np.load(sound)


def _save(path: Path, array: npt.NDArray[np.generic]) -> None:
    part = path.with_name(path.name + ".part.npy")
    np.save(part, array)
    os.replace(part, path)  # noqa: PTH105


def part_of(path: Path, start: float, seconds: float) -> Voice:
    """The sound of a part of a file; a part that runs over the end is cut there."""
    whole = open_voice(path).duration
    return open_voice(path, (TimeRange(start, min(whole, start + seconds)),))
