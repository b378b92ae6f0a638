"""On-disk cache of face detections.

Another selection, pad, smoothing or model then needs no new detection.

    key = detection_key(video, numbers, media, faces, detector)
    detections = cache.get(key) or detect_faces(...)
    cache.put(key, detections)

The key is a digest of all that an entry depends on: the video's content, the detector's weights, every
setting that could matter, and the code that decodes and detects. So an outdated entry is never found,
and nothing needs invalidating. Entries hold aligned crops of people's faces: a program with several
visitors gives each a folder of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import platformdirs

from lipsync import media as media_package
from lipsync.errors import OutputError
from lipsync.faces.aligned_faces import ALIGNED_SIZE
from lipsync.faces.detection_schedule import Detection, Detections
from lipsync.faces.detectors.base import FaceDetector
from lipsync.options import FaceOptions, MediaOptions, OptionGroup
from lipsync.types import Face, IntArray
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.file_digest import code_digest, content_hash, file_state, weights_hash
from lipsync.utils.owned_folder import remove_abandoned

LIMIT_BYTES = 500_000_000
"""Ten minutes of one face take about 7 MB."""
_IRRELEVANT_SETTINGS = {
    *("audio_track", "voice_ranges", "voice_shift", "length_mode", "quality", "encoder"),
    "smart_copy",
    *("which_face", "face_index", "face_x", "face_y", "face_time", "face_reference"),
    *("smoothing", "smoothing_frames", "pads_px", "box"),
    *("pad_top", "pad_bottom", "pad_left", "pad_right"),
    "detector_weights",  # their content is hashed instead
}
"""Settings that detections do not depend on. All others, new ones too, are part of the key."""
_FOLDERS = (Path(__file__).parent, Path(media_package.__file__).parent)
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


T = TypeVar("T")


@dataclass(frozen=True)
class DetectionKey:
    """Key of a cache entry.

    Attributes:
        name: hexadecimal digest of everything that the entry depends on.
        video: the file; `state` is its size, time of change and inode when it was hashed.
    """

    name: str
    video: Path
    state: tuple[int, ...]

    @property
    def is_current(self) -> bool:
        """Whether the video is unchanged since it was hashed."""
        with contextlib.suppress(OSError):
            return file_state(self.video) == self.state
        return False


def detection_key(
    video: Path,
    numbers: IntArray,
    media: MediaOptions,
    faces: FaceOptions,
    detector: FaceDetector,
    code: str | None = None,
) -> DetectionKey:
    """Key of what `detect_faces` finds in the frames `numbers` (n,) of a video.

    Reads the whole file (about a gigabyte a second).

    Args:
        code: version of the program's code that searches; by default a digest of it.

    Raises:
        OSError: the video or the detector's weights cannot be read.
    """
    return digest_key(
        video,
        code or code_digest(*_FOLDERS),
        weights_hash(detector.weights),
        type(detector).__qualname__,
        relevant_settings(media),
        relevant_settings(faces),
        str(len(numbers)),
        last=np.ascontiguousarray(numbers, np.int64).tobytes(),
    )


def digest_key(video: Path, code: str, *parts: str, last: bytes = b"") -> DetectionKey:
    """Key of what a version of the code makes of a video; reads the whole file.

    Args:
        parts, last: all else that the entry depends on.

    Raises:
        OSError: the video cannot be read.
    """
    state = file_state(video)
    digest = hashlib.blake2b(digest_size=32)
    for part in (code, content_hash(video), *parts):
        digest.update(part.encode() + b"\0")
    digest.update(last)
    return DetectionKey(digest.hexdigest(), video, state)


def _as_before(setting: dataclasses.Field[object], value: object) -> bool:
    """Whether a setting that came after version 0.1 has the value that all had before."""
    return bool(setting.metadata.get("later")) and value == setting.default


def relevant_settings(options: OptionGroup) -> str:
    """All settings of a group that detections may depend on, as text."""
    fields = dataclasses.fields(options)  # type: ignore[arg-type]
    return repr(
        [
            (one.name, getattr(options, one.name))
            for one in fields
            if one.name not in _IRRELEVANT_SETTINGS and not _as_before(one, getattr(options, one.name))
        ]
    )


class DetectionCache:
    """Cache folder of detections; any number of processes may share it.

    Args:
        folder: by default in the user's cache folder; created by the first `put`.
        limit_bytes: size of all entries together; the least recently used are removed first.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        cache = Path(platformdirs.user_cache_dir("lipsync", appauthor=False))
        self.folder = folder or cache / "faces"
        self.limit_bytes = limit_bytes

    def get(self, key: DetectionKey) -> Detections | None:
        """The entry for `key`; None if there is none. A damaged entry is removed."""
        return self.get_as(key, _from_arrays)

    def get_as(self, key: DetectionKey, read: Callable[[dict[str, Any]], T]) -> T | None:
        """The entry for `key` as `read` makes it of its arrays; otherwise as `get`.

        Args:
            read: raises ValueError or KeyError where an entry is damaged.
        """
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                value = read({name: arrays[name] for name in arrays.files})
            os.utime(path)
        except FileNotFoundError:
            return None
        except _DAMAGED:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return value

    def put(self, key: DetectionKey, detections: Detections) -> None:
        """Store an entry, unless the video has changed or the disk is full."""
        self.put_arrays(key, _to_arrays(detections))

    def put_arrays(self, key: DetectionKey, arrays: Mapping[str, Any]) -> None:
        """Store an entry of other arrays, for `get_as`; otherwise as `put`."""
        if not key.is_current:
            return
        with contextlib.suppress(OutputError, OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_write(self._path(key)) as part, part.open("wb") as file:
                np.savez(file, **arrays)
            self._evict()

    def _path(self, key: DetectionKey) -> Path:
        return self.folder / f"{key.name}.npz"

    def _evict(self) -> None:
        """Remove least recently used entries over the limit, and what killed processes left."""
        remove_abandoned(self.folder)
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime, reverse=True)
        total = 0
        for path, stat in entries:
            total += stat.st_size
            if total > self.limit_bytes:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob("*.npz"):
            with contextlib.suppress(OSError):  # another process has removed it
                yield path, path.stat()


# --- serialisation ---------------------------------------------------------------------------------


def _to_arrays(detections: Detections) -> dict[str, Any]:
    """Detections as arrays, concatenated over the sampled frames."""
    rows = [one for faces in detections.by_frame.values() for one in faces]
    faces = [one.face for one in rows]
    no_points = np.full((5, 2), np.nan, np.float32)
    return {
        "frames": np.array(list(detections.by_frame), np.int64),
        "counts": np.array([len(faces) for faces in detections.by_frame.values()], np.int64),
        "boxes": np.array([face.box for face in faces], np.float32).reshape(-1, 4),
        "scores": np.array([face.score for face in faces], np.float64),
        "points": np.array(
            [no_points if face.points is None else face.points for face in faces], np.float32
        ).reshape(-1, 5, 2),
        "with_points": np.array([face.points is not None for face in faces], np.bool_),
        "appearances": np.array([one.appearance for one in rows], np.uint8).reshape(-1, 10, 6, 3),
        "aligned_face_bytes": np.array([len(one.aligned_face) for one in rows], np.int64),
        "aligned_faces": np.frombuffer(b"".join(one.aligned_face for one in rows), np.uint8),
        "aligned_size": np.array(ALIGNED_SIZE),
        "cuts": np.array(detections.cuts, np.int64),
        "count_and_size": np.array([detections.frame_count, *detections.frame_size], np.int64),
    }


def _from_arrays(arrays: dict[str, Any]) -> Detections:
    """Detections from the arrays of `_to_arrays`.

    Raises:
        ValueError, KeyError: the arrays are incomplete or their lengths contradict each other.
    """
    ends = np.cumsum(arrays["aligned_face_bytes"])
    aligned_faces = arrays["aligned_faces"].tobytes()
    total = len(arrays["boxes"])
    rows = {
        len(arrays[name]) for name in ("scores", "points", "with_points", "appearances", "aligned_face_bytes")
    }
    consistent = (
        rows == {total} and arrays["counts"].sum() == total and len(arrays["counts"]) == len(arrays["frames"])
    )
    if (
        not consistent
        or (total and ends[-1] != len(aligned_faces))
        or int(arrays["aligned_size"]) != ALIGNED_SIZE
    ):
        raise ValueError("the arrays contradict each other")
    starts = ends - arrays["aligned_face_bytes"]
    by_frame: dict[int, list[Detection]] = {}
    first = 0
    for frame, count in zip(arrays["frames"].tolist(), arrays["counts"].tolist(), strict=True):
        by_frame[frame] = [
            Detection(
                frame,
                Face(
                    arrays["boxes"][row],
                    float(arrays["scores"][row]),
                    arrays["points"][row] if arrays["with_points"][row] else None,
                ),
                arrays["appearances"][row],
                aligned_faces[starts[row] : ends[row]],
            )
            for row in range(first, first + count)
        ]
        first += count
    number, width, height = arrays["count_and_size"].tolist()
    return Detections(by_frame, arrays["cuts"].tolist(), number, (width, height))
