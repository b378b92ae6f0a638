"""Training set on disk: manifest, clips of face crops, and the decoded cache.

<set>/manifest.tsv          one row a clip: name, person, split, frames, audio_delay, source, licence, note
<set>/set.json              the side of the face crops; a set without it has 128
<set>/clips/<name>.mp4      face crops at 25 fps, with their audio, 16 kHz mono
<set>/clips/<name>.npz      the face boxes, and landmarks in 1/32 pixel where there are any
<set>/failures.tsv          the files that gave no clip, and why
<set>/sources/              outcome of each file, so that it is not prepared twice
<set>/cache/                decoded crops and audio; may be deleted at any time

A crop has a margin of an eighth of its side all around: for a face of 128x128, 160x160 pixels are stored.
Sets of earlier releases are read too: their manifests call the column audio_delay "lag", the split "val"
"held" and the split "test" "check".
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
"""Side of the face crop in pixels, for landmarks and for the built-in model."""
MARGIN = 16
"""Margin in pixels that is stored around a crop of `SIDE`, so that it can be rotated and shifted."""
STORED_SIDE = SIDE + 2 * MARGIN
RENAMED_SPLITS = {"held": "val", "check": "test"}
"""Splits of earlier releases and their current names."""
_STEPS_PER_PIXEL = 32
_UNSEEN = -32768
_CRF = 22
"""x264's constant rate factor: half an hour of clips takes 12 MB of video (40 dB), 10 MB of audio and
8 MB of landmarks."""


@dataclass(frozen=True)
class ManifestRow:
    """One clip in the manifest of a training set.

    Attributes:
        name: unique in the set; the stem of the clip's files.
        person: name of the person in it.
        split: "train", "val" (validation during training), "test" (kept for the final evaluation) or
            "dropped" (unused).
        frames: number of frames, at 25 fps.
        audio_delay: seconds by which the audio is late, 0 where unknown.
        source, licence, note: free text.
    """

    name: str
    person: str
    split: str
    frames: int
    audio_delay: float = 0.0
    source: str = ""
    licence: str = ""
    note: str = ""


# --- the set as a whole --------------------------------------------------------------------------


def write_manifest(folder: Path, rows: Iterable[ManifestRow]) -> None:
    """Write the manifest of a set atomically, sorted by name.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    columns = [field.name for field in dataclasses.fields(ManifestRow)]
    ordered = sorted(rows, key=lambda row: row.name)
    write_table(folder / "manifest.tsv", columns, (dataclasses.asdict(row) for row in ordered))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a file of tab-separated values atomically.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def read_manifest(folder: Path) -> list[ManifestRow]:
    """The rows of a prepared set, in this release or an earlier one.

    Raises:
        InputError: there is no set.
    """
    path = folder / "manifest.tsv"
    if not path.exists():
        raise InputError(
            "There is no training set here", given=folder, hint="Run `lipsync train prepare` first."
        )
    with path.open(newline="", encoding="utf-8") as file:
        return [_parse_row(row) for row in csv.DictReader(file, delimiter="\t")]


def _parse_row(columns: dict[str, Any]) -> ManifestRow:
    values = {("audio_delay" if name == "lag" else name): value for name, value in columns.items()}
    values["split"] = RENAMED_SPLITS.get(values["split"], values["split"])
    values |= {"frames": int(values["frames"]), "audio_delay": float(values["audio_delay"])}
    return ManifestRow(**values)


def read_crop_side(folder: Path) -> int:
    """Side of a set's face crops in pixels, without their margin."""
    path = folder / "set.json"
    return int(json.loads(path.read_text("utf-8"))["crop_side"]) if path.exists() else SIDE


def set_crop_side(folder: Path, side: int) -> None:
    """Record the side of a set's face crops in pixels, without their margin.

    Raises:
        InputError: the set has crops of another size already.
        DiskFullError, OutputError: it cannot be written.
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
    """Side of the stored crop in pixels, for a face crop of `side` pixels."""
    return side * STORED_SIDE // SIDE


def without_margin(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Face crops within stored crops (T, side, side, 3) of any side, (T, face side, face side, 3)."""
    side = stored.shape[1]
    margin = (side - side * SIDE // STORED_SIDE) // 2
    return stored[:, margin : side - margin, margin : side - margin]


# --- one clip ------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class FaceAnnotations:
    """Face boxes and landmarks of a clip of T frames.

    Attributes:
        boxes: float32 (T, 4), x1, y1, x2, y2 in pixels of the source's frames.
        landmarks: float32 (T, K, 3), the points `mouth_shapes.KEPT`, in pixels of a stored crop of
            160x160 whatever size is stored (x and y scaled as the crop is, z as x); NaN where not
            detected. None in a set that was prepared without landmarks.
    """

    boxes: FloatArray
    landmarks: FloatArray | None = None


@dataclass(frozen=True, repr=False)
class ClipContent:
    """Everything that `write_clip` writes of a clip of T frames.

    Attributes:
        source: the file that the clip is from; its color tags are kept.
        audio: the clip's own audio.
        crops: T stored crops, uint8 (side, side, 3) RGB.
        annotations: their boxes and landmarks.
        side: of the stored crops, in pixels.
    """

    source: VideoInfo
    audio: AudioReader
    crops: Iterable[Frame]
    annotations: FaceAnnotations
    side: int = STORED_SIDE


def write_clip(folder: Path, name: str, content: ClipContent, cancel: CancelToken | None = None) -> None:
    """Write the two files of a clip, `<name>.mp4` and `<name>.npz`, into `folder`.

    Raises:
        Cancelled: the user stopped the job.
        DiskFullError, OutputError: the files cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    boxes, landmarks = content.annotations.boxes, content.annotations.landmarks
    spec = OutputSpec(
        width=content.side,
        height=content.side,
        fps=Fraction(FPS),
        frames=len(boxes),
        audio=content.audio,
        source=dataclasses.replace(content.source, sample_aspect_ratio=Fraction(1)),
        quality=_CRF,
        marks=None,  # training sets hold real video
        compact=True,
    )
    with FrameWriter(folder / f"{name}.mp4", spec, cancel=cancel) as writer:
        for crop in content.crops:
            writer.write(crop)
    arrays: dict[str, npt.NDArray[np.generic]] = {"boxes": boxes}
    if landmarks is not None:
        arrays["landmark_steps"] = pack_landmarks(landmarks)
    with atomic_write(folder / f"{name}.npz") as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]


def clip_files(folder: Path, name: str) -> tuple[Path, Path]:
    """The paths of a clip's video and arrays."""
    return folder / "clips" / f"{name}.mp4", folder / "clips" / f"{name}.npz"


def remove_clip(folder: Path, name: str) -> None:
    """Delete a clip and its decoded cache."""
    for path in (*clip_files(folder, name), *(folder / "cache").glob(f"{glob.escape(name)}.*.npy")):
        path.unlink(missing_ok=True)


def read_annotations(folder: Path, name: str) -> FaceAnnotations:
    """The face boxes and landmarks of a clip of a set."""
    with np.load(clip_files(folder, name)[1]) as arrays:
        landmarks = unpack_landmarks(arrays["landmark_steps"]) if "landmark_steps" in arrays else None
        return FaceAnnotations(arrays["boxes"], landmarks)


def has_landmarks(folder: Path) -> bool:
    """Whether `folder` is a prepared set with landmarks."""
    if not (folder / "manifest.tsv").exists():
        return False
    rows = read_manifest(folder)
    return bool(rows) and read_annotations(folder, rows[0].name).landmarks is not None


def pack_landmarks(landmarks: FloatArray) -> npt.NDArray[np.int16]:
    """Pack landmarks (T, K, 3) as int16 differences between frames, in 1/32 pixel.

    Small numbers compress well. The first row is absolute; sums wrap around and come back.
    """
    steps = np.nan_to_num(landmarks * _STEPS_PER_PIXEL, nan=_UNSEEN)
    whole = np.clip(np.rint(steps), _UNSEEN, 32767).astype(np.int16)
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))


def unpack_landmarks(steps: npt.NDArray[np.int16]) -> FloatArray:
    """The inverse of `pack_landmarks`: float32 (T, K, 3), within 1/64 pixel."""
    whole = np.cumsum(steps, axis=0, dtype=np.int16)
    return np.where(whole == _UNSEEN, np.nan, whole / np.float32(_STEPS_PER_PIXEL)).astype(np.float32)


# --- decoded once, then memory-mapped ------------------------------------------------------------


def read_crops(folder: Path, name: str, side: int = STORED_SIDE) -> npt.NDArray[np.uint8]:
    """The stored crops of a clip, uint8 (T, side, side, 3) RGB, memory-mapped.

    Args:
        side: size to read them in, whatever size is stored.
    """
    path = folder / "cache" / f"{name}.{side}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as part:
            _decode(open_video(clip_files(folder, name)[0]), part, side)
    crops: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return crops


def _decode(video: VideoReader, path: Path, side: int) -> None:
    count = video.frame_count
    crops = np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side, 3))
    for crop, frame in zip(crops, video.read(np.arange(count)), strict=True):
        crop[:] = resize_images(frame[None], (side, side))[0]
    crops.flush()


def resize_images(images: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Images uint8 (N, H, W, 3) resized to (height, width).

    By area when shrinking, else bilinearly.
    """
    height, width = size
    if images.shape[1:3] == size:
        return np.ascontiguousarray(images)
    shrinks = height * width < images.shape[1] * images.shape[2]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.empty((len(images), height, width, 3), np.uint8)
    for image, out in zip(images, resized, strict=True):
        cv2.resize(image, (width, height), dst=out, interpolation=interpolation)
    return resized


def read_audio(folder: Path, name: str) -> FloatArray:
    """The audio of a clip, float32 (n,) at 16 kHz, read from the cache."""
    path = folder / "cache" / f"{name}.sound.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as part:
            np.save(part, open_audio(clip_files(folder, name)[0]).read(SAMPLE_RATE).samples)
    audio: FloatArray = np.load(path)
    return audio


def open_audio_part(path: Path, start: float, seconds: float) -> AudioReader:
    """A reader of part of a file's audio, in seconds, clipped to the file's end."""
    whole = open_audio(path).duration
    return open_audio(path, (TimeRange(start, min(whole, start + seconds)),))
