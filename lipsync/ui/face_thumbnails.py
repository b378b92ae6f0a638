"""Faces of a video to choose from: where they are, with thumbnails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from lipsync.devices import choose_device
from lipsync.faces import DETECTORS
from lipsync.faces.detectors.base import FaceDetector
from lipsync.media import VideoReader, open_video
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken
from lipsync.segments import FaceChoice, FacePoint
from lipsync.types import Frame
from lipsync.ui.components.data_urls import jpeg_data_url
from lipsync.utils.atomic_write import write_text

_DETECT_SIDE = 640
_READ_SIDE = 1280
_THUMBNAIL = 72
_MARGIN = 0.3
"""Of the face's longer side, on all sides: detectors box a face from the brows to the chin."""
_REACH = 0.75
"""Sides of a face from its middle, within which a point means it."""
_QUALITY = 80
_MOMENTS = 4
_MOST = 12


@dataclass(frozen=True)
class SeenFace:
    """A face of one frame.

    Attributes:
        x, y: its middle, in fractions of width and height.
        side: its longer side in fractions of the frame's width.
        time: second of the frame.
        image: thumbnail as a data URL.
    """

    x: float
    y: float
    side: float
    time: float
    image: str

    @property
    def point(self) -> str:
        """The face as segments choose it."""
        return str(FacePoint(round(self.x, 3), round(self.y, 3), round(self.time, 2)))

    def is_at(self, x: float, y: float, aspect: float) -> bool:
        """Whether a point means this face; `aspect` is the frame's width by its height."""
        return float(np.hypot(x - self.x, (y - self.y) / aspect)) <= _REACH * self.side


class FaceFinder:
    """Faces at single moments of one video, remembered on disk.

    Args:
        video: path of a video or photo.
        options: how it is read, and the detector.
        folder: of the visitor.

    Raises:
        LipsyncError: the video cannot be read.
    """

    def __init__(self, video: str, options: SyncOptions, folder: Path, cancel: CancelToken) -> None:
        self._options, self._folder, self._cancel = options, folder / "faces-seen", cancel
        self.reader: VideoReader = open_video(video, options.media)
        self.aspect = self.reader.width / self.reader.height
        self._state = f"{video} {Path(video).stat().st_mtime_ns} {options.media}"
        self._detector: FaceDetector | None = None

    @property
    def seconds(self) -> float | None:
        """Length of the video; None for a photo."""
        return None if self.reader.is_still else float(self.reader.frame_count / self.reader.fps)

    def at(self, time: float) -> tuple[SeenFace, ...]:
        """The faces at a moment, from left to right.

        Raises:
            MediaError, WeightsError, Cancelled: as the reader and the detector.
        """
        self._cancel.check()
        number = 0 if self.reader.is_still else int(time * self.reader.fps)
        number = min(max(0, number), self.reader.frame_count - 1)
        name = hashlib.sha256(f"{self._state} {number}".encode("utf-8", "surrogateescape")).hexdigest()
        kept = self._folder / f"{name}.json"
        if kept.exists():
            return tuple(SeenFace(**one) for one in json.loads(kept.read_text("utf-8")))
        [frame] = self.reader.read(np.array([number]), max_side=_READ_SIDE, cancel=self._cancel)
        faces = self._detect(frame, time)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps([asdict(one) for one in faces]))
        return faces

    def _detect(self, frame: Frame, time: float) -> tuple[SeenFace, ...]:
        if self._detector is None:
            faces = self._options.faces
            device = choose_device("cpu")
            self._detector = DETECTORS.create(faces.detector, weights=faces.detector_weights, device=device)
        height, width = frame.shape[:2]
        scale = min(1.0, _DETECT_SIDE / max(height, width))
        small = cv2.resize(frame, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        [found] = self._detector.detect([np.asarray(small, np.uint8)])
        seen = []
        for face in found:
            if face.score >= self._options.faces.min_score:
                x1, y1, x2, y2 = (float(value) / scale for value in face.box)
                seen.append(
                    SeenFace(
                        (x1 + x2) / 2 / width,
                        (y1 + y2) / 2 / height,
                        max(x2 - x1, y2 - y1) / width,
                        time,
                        thumbnail(frame, (x1, y1, x2, y2)),
                    )
                )
        return tuple(sorted(seen, key=lambda one: one.x))

    def palette(self, times: Iterable[float], more: Sequence[SeenFace] = ()) -> list[SeenFace]:
        """Different faces at these moments and at some all over the video, at most `_MOST`, from the left.

        Faces at the same place count as one.

        Args:
            more: faces that are among them in any case.
        """
        length = self.seconds
        spread = [0.0] if length is None else [length * (n + 0.5) / _MOMENTS for n in range(_MOMENTS)]
        faces = list(more)
        for time in [*spread, *times]:
            for face in self.at(time):
                known = any(one.is_at(face.x, face.y, self.aspect) for one in faces)
                if not known and len(faces) < _MOST:
                    faces.append(face)
        return sorted(faces, key=lambda one: one.x)

    def chosen(self, face: FaceChoice, time: float) -> SeenFace | None:
        """The face that a row chooses; None where there is none.

        Args:
            time: a moment of the row.
        """
        if isinstance(face, FacePoint):
            return next((one for one in self.at(face.time) if one.is_at(face.x, face.y, self.aspect)), None)
        seen = self.at(time)
        if isinstance(face, int):
            return seen[face] if face < len(seen) else None
        return max(seen, key=lambda one: one.side, default=None)


def thumbnail(frame: Frame, box: Sequence[float], side: int = _THUMBNAIL) -> str:
    """A square JPEG of a face with forehead and chin, as a data URL.

    Args:
        frame: RGB uint8 (H, W, 3).
        box: x1, y1, x2, y2 in pixels.
    """
    crop = face_crop(frame, box)
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return jpeg_data_url(np.asarray(small, np.uint8), _QUALITY)


def face_crop(frame: Frame, box: Sequence[float]) -> Frame:
    """The square of a frame around a whole face, with a margin; beyond the frame its border is repeated."""
    x1, y1, x2, y2 = box
    side = max(2, round(max(x2 - x1, y2 - y1) * (1 + 2 * _MARGIN)))
    left, top = round((x1 + x2) / 2 - side / 2), round((y1 + y2) / 2 - side / 2)
    height, width = frame.shape[:2]
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return frame[rows][:, columns]
