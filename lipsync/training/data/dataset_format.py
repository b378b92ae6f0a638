"""How a training set lies on disk.

<set>/manifest.tsv          one row a clip: name, person, split, frames, lag, source, licence, note
<set>/set.json              the side of the face crops; a set without it has 128
<set>/clips/<name>.mp4      face crops at 25 fps, with their sound, 16 kHz mono
<set>/clips/<name>.npz      the face boxes, and landmarks in 1/32 pixel where there are any
<set>/failures.tsv          the files that gave no clip, and why
<set>/sources/              what came of each file, so that it is not prepared twice
<set>/cache/                crops and sound decoded; may be deleted at any time

A crop has a margin of an eighth of its side all around: 160x160 pixels are stored of 128x128.
"""

from __future__ import annotations

import csv
import dataclasses
import glob
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.errors import InputError
from lipsync.media import AudioReader, FrameWriter, OutputSpec, VideoReader, open_audio, open_video
from lipsync.progress import CancelToken
from lipsync.types import FloatArray, Frame, TimeRange, VideoInfo
from lipsync.utils.atomic_write import atomic_write

FPS = 25
SAMPLE_RATE = 16_000
SIDE = 128
"""Pixels of a side of the face crop, for landmarks and for the built-in model."""
MARGIN = 16
"""Pixels around it that are kept too, so that it can be turned and shifted."""
STORED_SIDE = SIDE + 2 * MARGIN
_STEPS_PER_PIXEL = 32
_UNSEEN = -32768
_QUALITY = 22
"""x264's constant rate factor: half an hour of clips comes to 12 MB of pictures (40 dB), 10 MB of
sound and 8 MB of landmarks."""


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


# --- the set as a whole --------------------------------------------------------------------------


def write_manifest(folder: Path, rows: Iterable[Row]) -> None:
    """Write the whole manifest, or nothing."""
    columns = [field.name for field in dataclasses.fields(Row)]
    ordered = sorted(rows, key=lambda row: row.name)
    write_table(folder / "manifest.tsv", columns, (dataclasses.asdict(row) for row in ordered))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a file of tab separated values, whole or not at all."""
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


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


def read_crop_side(folder: Path) -> int:
    """Pixels of a side of the face crops of a prepared set, without their margin."""
    path = folder / "set.json"
    return int(json.loads(path.read_text("utf-8"))["crop_side"]) if path.exists() else SIDE


def fix_crop_side(folder: Path, side: int) -> None:
    """Note that the crops of this set are `side` pixels wide, without their margin.

    Raises:
        InputError: the set has crops of another size already.
    """
    path, known = folder / "set.json", read_crop_side(folder)
    if known != side and (path.exists() or (folder / "clips").exists()):
        raise InputError(
            f"This set has face crops of {known}x{known} pixels, not {side}x{side}",
            given=folder,
            hint=f"Prepare into another folder, or with --crop-side {known}.",
        )
    if not path.exists():
        with atomic_write(path) as part:
            part.write_text(json.dumps({"crop_side": side}), "utf-8")


def with_margin(side: int) -> int:
    """Pixels of a side of the stored crop, of those of the face crop."""
    return side * STORED_SIDE // SIDE


# --- one clip ------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Stored:
    """What is kept of a clip of T frames beside picture and sound.

    Attributes:
        boxes: float32 (T, 4) the face box, pixels of the source's frames.
        landmarks: float32 (T, K, 3) `shapes.KEPT`, in pixels of a stored crop of 160x160, whatever
            size is stored (x and y stretched as the crop is, z as x); NaN where unseen. None in a
            set that was prepared without.
    """

    boxes: FloatArray
    landmarks: FloatArray | None = None


def write_clip(
    folder: Path,
    name: str,
    source: VideoInfo,
    voice: AudioReader,
    crops: Iterable[Frame],
    stored: Stored,
    side: int = STORED_SIDE,
    cancel: CancelToken | None = None,
) -> None:
    """Write the two files of a clip into `folder`; crops are (side, side, 3), one for each box."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(stored.boxes)
    look = dataclasses.replace(source, sample_aspect_ratio=Fraction(1))
    spec = OutputSpec(
        width=side,
        height=side,
        fps=Fraction(FPS),
        frames=count,
        audio=voice,
        source=look,
        quality=_QUALITY,
        compact=True,
    )
    with FrameWriter(folder / f"{name}.mp4", spec, cancel=cancel) as writer:
        for crop in crops:
            writer.write(crop)
    arrays: dict[str, npt.NDArray[np.generic]] = {"boxes": stored.boxes}
    if stored.landmarks is not None:
        arrays["landmark_steps"] = _pack(stored.landmarks)
    with atomic_write(folder / f"{name}.npz") as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]


def clip_files(folder: Path, name: str) -> tuple[Path, Path]:
    """The video and the arrays of a clip of a set."""
    return folder / "clips" / f"{name}.mp4", folder / "clips" / f"{name}.npz"


def remove_clip(folder: Path, name: str) -> None:
    """Delete a clip and what was decoded of it."""
    for path in (*clip_files(folder, name), *(folder / "cache").glob(f"{glob.escape(name)}.*.npy")):
        path.unlink(missing_ok=True)


def read_stored(folder: Path, name: str) -> Stored:
    """The boxes and landmarks of one clip."""
    with np.load(clip_files(folder, name)[1]) as arrays:
        landmarks = _unpack(arrays["landmark_steps"]) if "landmark_steps" in arrays else None
        return Stored(arrays["boxes"], landmarks)


def has_landmarks(folder: Path) -> bool:
    """Whether there is a prepared set here, and landmarks in it."""
    if not (folder / "manifest.tsv").exists():
        return False
    rows = read_manifest(folder)
    return bool(rows) and read_stored(folder, rows[0].name).landmarks is not None


def _pack(landmarks: FloatArray) -> npt.NDArray[np.int16]:
    """Whole steps from frame to frame: small numbers, which compress well. Sums wrap and come back."""
    steps = np.nan_to_num(landmarks * _STEPS_PER_PIXEL, nan=_UNSEEN)
    whole = np.clip(np.rint(steps), _UNSEEN, 32767).astype(np.int16)
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))


def _unpack(steps: npt.NDArray[np.int16]) -> FloatArray:
    whole = np.cumsum(steps, axis=0, dtype=np.int16)
    return np.where(whole == _UNSEEN, np.nan, whole / np.float32(_STEPS_PER_PIXEL)).astype(np.float32)


# --- decoded once, then mapped from disk ---------------------------------------------------------


def read_crops(folder: Path, name: str, side: int = STORED_SIDE) -> npt.NDArray[np.uint8]:
    """The crops of a clip with their margin, (T, side, side, 3) RGB, mapped from the cache.

    Args:
        side: the size to have them in, whatever they are stored in.
    """
    path = folder / "cache" / f"{name}.{side}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as part:
            _decode(open_video(clip_files(folder, name)[0]), part, side)
    crops: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return crops


def _decode(picture: VideoReader, path: Path, side: int) -> None:
    count = picture.frame_count
    frames = np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side, 3))
    for place, frame in zip(frames, picture.read(np.arange(count)), strict=True):
        place[:] = scaled(frame[None], (side, side))[0]
    frames.flush()


def scaled(pictures: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Pictures (n, h, w, 3) in another size (height, width); shrunk by averaging, enlarged bilinearly."""
    height, width = size
    if pictures.shape[1:3] == size:
        return np.ascontiguousarray(pictures)
    shrinks = height * width < pictures.shape[1] * pictures.shape[2]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    out = np.empty((len(pictures), height, width, 3), np.uint8)
    for picture, place in zip(pictures, out, strict=True):
        cv2.resize(picture, (width, height), dst=place, interpolation=how)
    return out


def read_sound(folder: Path, name: str) -> FloatArray:
    """The sound of a clip, float32 (n,) at 16 kHz."""
    path = folder / "cache" / f"{name}.sound.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as part:
            np.save(part, open_audio(clip_files(folder, name)[0]).read(SAMPLE_RATE).samples)
    sound: FloatArray = np.load(path)
    return sound


def part_of(path: Path, start: float, seconds: float) -> AudioReader:
    """The sound of a part of a file; a part that runs over the end is cut there."""
    whole = open_audio(path).duration
    return open_audio(path, (TimeRange(start, min(whole, start + seconds)),))
