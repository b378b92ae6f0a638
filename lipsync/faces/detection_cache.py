"""Keeps what was seen in a video, so that another choice, pad, smoothing or model looks for no face again.

    key = sightings_key(video, numbers, media, faces, detector)
    sightings = cache.get(key) or find_faces(...)
    cache.put(key, sightings)

An entry is found by what it was made of: the whole content of the video and of the detector's
weights, every setting that could matter, and the program's own code for looking. So a stale one
cannot be found, and nothing has to be told of a change. Entries hold portraits of people:
a program with several visitors gives each a folder of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from lipsync import media as media_package
from lipsync.errors import OutputError
from lipsync.faces.aligned_faces import SIDE
from lipsync.faces.detection_schedule import Detection, Detections
from lipsync.faces.detectors.base import FaceDetector
from lipsync.options import FaceOptions, MediaOptions, OptionGroup
from lipsync.types import Face, IntArray
from lipsync.utils.atomic_write import atomic_write

LIMIT_BYTES = 500_000_000
"""Ten minutes of one face take about 7 MB."""
_BLOCK = 1 << 22
_ABANDONED_SECONDS = 3600
# What changes nothing that is seen. Settings not named here are taken to matter, new ones too.
_NO_MATTER = {
    *("voice_ranges", "voice_shift", "length_mode", "quality", "encoder"),
    *("which_face", "face_index", "face_x", "face_y", "face_time", "face_reference"),
    *("smoothing", "smoothing_frames", "pads_px", "box"),
    *("pad_top", "pad_bottom", "pad_left", "pad_right"),
    "detector_weights",  # their content is what counts
}
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class DetectionKey:
    """Names an entry.

    Attributes:
        name: hexadecimal digest of everything that the entry is made of.
        video: the file; `state` is what it was like when it was hashed.
    """

    name: str
    video: Path
    state: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether the video has been left alone since."""
        with contextlib.suppress(OSError):
            return _state(self.video) == self.state
        return False


def detection_key(
    video: Path, numbers: IntArray, media: MediaOptions, faces: FaceOptions, detector: FaceDetector
) -> DetectionKey:
    """The key of what `detect_faces` sees in the frames `numbers` of a picture.

    Reads the whole file (about a gigabyte a second).

    Raises:
        OSError: the video or the detector's weights cannot be read.
    """
    state = _state(video)
    told = hashlib.blake2b(digest_size=32)
    for part in (
        _code(),
        content_hash(video),
        content_hash(detector.weights),
        type(detector).__qualname__,
        _settings(media),
        _settings(faces),
        str(len(numbers)),
    ):
        told.update(part.encode() + b"\0")
    told.update(np.ascontiguousarray(numbers, np.int64).tobytes())
    return DetectionKey(told.hexdigest(), video, state)


def content_hash(file: Path) -> str:
    """Hexadecimal BLAKE2b digest of all bytes of a file."""
    digest = hashlib.blake2b(digest_size=32)
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _state(file: Path) -> tuple[int, ...]:
    told = file.stat()
    return told.st_size, told.st_mtime_ns, told.st_ino


def _settings(options: OptionGroup) -> str:
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    return repr([(one.name, getattr(options, one.name)) for one in fields if one.name not in _NO_MATTER])


@functools.cache
def _code() -> str:
    """Digest of the program's own code that reads frames and looks for faces, and of what it runs on."""
    import cv2
    import onnxruntime
    import torch

    digest = hashlib.blake2b(digest_size=32)
    for folder in (Path(__file__).parent, Path(media_package.__file__).parent):
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.read_bytes())
    for package in (np, cv2, onnxruntime, torch):
        digest.update(package.__version__.encode())
    return digest.hexdigest()


class DetectionCache:
    """Entries in a folder; any number of processes may share it.

    Args:
        folder: where; by default one of the user's own. Made when something is put into it.
        limit_bytes: all entries together; those not used for longest are removed first.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        cache = Path(platformdirs.user_cache_dir("lipsync", appauthor=False))
        self.folder = folder or cache / "faces"
        self.limit_bytes = limit_bytes

    def get(self, key: DetectionKey) -> Detections | None:
        """What was put under `key`; None if nothing was, or it is damaged (it is then removed)."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                detections = _unpack({name: arrays[name] for name in arrays.files})
            os.utime(path)
        except FileNotFoundError:
            return None
        except _DAMAGED:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return detections

    def put(self, key: DetectionKey, detections: Detections) -> None:
        """Keep `detections`, unless the video has changed since; a disk that is full keeps nothing."""
        if not key.holds:
            return
        with contextlib.suppress(OutputError, OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_write(self._path(key)) as part, part.open("wb") as file:
                np.savez(file, **_pack(detections))
            self._make_room()

    def _path(self, key: DetectionKey) -> Path:
        return self.folder / f"{key.name}.npz"

    def _make_room(self) -> None:
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime, reverse=True)
        total = 0
        for path, told in entries:
            if path.name.startswith("."):  # another process writes it, or did so before it was ended
                remove = time.time() - told.st_mtime > _ABANDONED_SECONDS
            else:
                total += told.st_size
                remove = total > self.limit_bytes
            if remove:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob("*.npz"):
            with contextlib.suppress(OSError):  # another process has removed it
                yield path, path.stat()


# ------------------------------------------------------------------------------------- arrays


def _pack(detections: Detections) -> dict[str, Any]:
    """Sightings as arrays; what was seen in each frame stands in one row after the other."""
    rows = [one for faces in detections.seen.values() for one in faces]
    faces = [one.face for one in rows]
    no_points = np.full((5, 2), np.nan, np.float32)
    return {
        "frames": np.array(list(detections.seen), np.int64),
        "counts": np.array([len(faces) for faces in detections.seen.values()], np.int64),
        "boxes": np.array([face.box for face in faces], np.float32).reshape(-1, 4),
        "scores": np.array([face.score for face in faces], np.float64),
        "points": np.array(
            [no_points if face.points is None else face.points for face in faces], np.float32
        ).reshape(-1, 5, 2),
        "with_points": np.array([face.points is not None for face in faces], np.bool_),
        "looks": np.array([one.look for one in rows], np.uint8).reshape(-1, 10, 6, 3),
        "portrait_sizes": np.array([len(one.portrait) for one in rows], np.int64),
        "portraits": np.frombuffer(b"".join(one.portrait for one in rows), np.uint8),
        "portrait_side": np.array(SIDE),
        "cuts": np.array(detections.cuts, np.int64),
        "count_and_size": np.array([detections.count, *detections.size], np.int64),
    }


def _unpack(arrays: dict[str, Any]) -> Detections:
    """Back from `_pack`; ValueError or KeyError if the arrays do not fit together."""
    ends = np.cumsum(arrays["portrait_sizes"])
    portraits = arrays["portraits"].tobytes()
    total = len(arrays["boxes"])
    rows = {len(arrays[name]) for name in ("scores", "points", "with_points", "looks", "portrait_sizes")}
    fits = (
        rows == {total} and arrays["counts"].sum() == total and len(arrays["counts"]) == len(arrays["frames"])
    )
    if not fits or (total and ends[-1] != len(portraits)) or int(arrays["portrait_side"]) != SIDE:
        raise ValueError("the arrays do not fit together")
    starts = ends - arrays["portrait_sizes"]
    seen: dict[int, list[Detection]] = {}
    row = 0
    for frame, count in zip(arrays["frames"].tolist(), arrays["counts"].tolist(), strict=True):
        seen[frame] = [
            Detection(
                frame,
                Face(
                    arrays["boxes"][place],
                    float(arrays["scores"][place]),
                    arrays["points"][place] if arrays["with_points"][place] else None,
                ),
                arrays["looks"][place],
                portraits[starts[place] : ends[place]],
            )
            for place in range(row, row + count)
        ]
        row += count
    number, width, height = arrays["count_and_size"].tolist()
    return Detections(seen, arrays["cuts"].tolist(), number, (width, height))
