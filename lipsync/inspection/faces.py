"""Face analysis of a video: counts over time, cuts, thumbnails of people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from lipsync.devices import choose_device
from lipsync.errors import NoFaceError
from lipsync.faces import DETECTORS, TrackedFaces, TrackSummary, VideoShape, track_faces, without
from lipsync.faces.shots import ShotDetector
from lipsync.media import VideoReader
from lipsync.options import FaceOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import FaceTrack, FloatArray, Frame

_MAX_PEOPLE = 8
_THUMBNAIL_MARGIN = 0.4  # of the face's size
_THUMBNAIL_SIDE = 256


@dataclass(frozen=True, repr=False)
class PersonSummary:
    """One person in one shot.

    Attributes:
        time: of the thumbnail, seconds.
        seconds: how long the face is visible.
        width: of the face, pixels of the frame.
        selected: this is the face that would be synced.
        thumbnail: RGB uint8 (H, W, 3), the face with a margin, at most 256 pixels a side.
    """

    time: float
    seconds: float
    width: int
    selected: bool
    thumbnail: Frame

    def __repr__(self) -> str:
        return f"PersonSummary(at {self.time:.2f} s for {self.seconds:.2f} s, {self.width} pixels)"


@dataclass(frozen=True)
class FaceReport:
    """Faces of a video.

    Attributes:
        per_second: mean number of faces in each second.
        most: largest number of faces in one frame.
        unsynced_share: share of frames without a face to sync, 0..1; those are not changed.
        width: median width of the face that would be synced, pixels; 0 without one.
        cuts: starts of the shots after the first, seconds.
        people: those who are visible longest, in order of time.
        person_count: number of people, summed over the shots.
    """

    per_second: tuple[float, ...]
    most: int
    unsynced_share: float
    width: int
    cuts: tuple[float, ...] = ()
    people: tuple[PersonSummary, ...] = ()
    person_count: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON form, without thumbnails."""
        return {
            "per_second": [round(count, 2) for count in self.per_second],
            "most": self.most,
            "unsynced_share": round(self.unsynced_share, 4),
            "width": self.width,
            "cuts": [round(time, 3) for time in self.cuts],
            "persons": self.person_count,
            "people": [
                {
                    "time": round(person.time, 3),
                    "seconds": round(person.seconds, 3),
                    "width": person.width,
                    "speaks": person.selected,
                }
                for person in self.people
            ],
        }


@dataclass(frozen=True)
class FaceAnalysis:
    """Result of `analyse_faces`.

    Attributes:
        report: the faces of the video.
        track: the face that would be synced, one row per frame; None without a face.
    """

    report: FaceReport
    track: FaceTrack | None = field(repr=False)


def analyse_faces(
    video: VideoReader,
    options: FaceOptions | None = None,
    device: str = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> FaceAnalysis:
    """Detect and track the faces in all frames, which are read once; about a second is buffered.

    Raises:
        MediaError: the video cannot be read.
        WeightsError: the detector's weights are missing and cannot be downloaded.
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    cuts = ShotDetector()
    try:
        faces = track_video_faces(video, options or FaceOptions(), device, progress, cancel, cuts)
    except NoFaceError:
        cuts.close()
        seconds = -(-video.frame_count // max(1, round(video.fps)))
        times = tuple(number / float(video.fps) for number in cuts.cuts)
        return FaceAnalysis(FaceReport((0.0,) * seconds, 0, 1.0, 0, times), None)
    return FaceAnalysis(_report(video, faces, cancel), faces.track)


def track_video_faces(
    video: VideoReader,
    options: FaceOptions,
    device: str,
    progress: ProgressCallback,
    cancel: CancelToken,
    cuts: ShotDetector | None = None,
) -> TrackedFaces:
    """Detect and track the faces in all frames, as the pipeline does.

    Args:
        cuts: also gets every frame, for callers that need the cuts of a video without faces.

    Raises:
        NoFaceError: no face was found.
        MediaError, WeightsError, Cancelled: as `analyse_faces`.
    """
    numbers = np.arange(video.frame_count)
    detector = DETECTORS.create(
        options.detector, weights=options.detector_weights, device=choose_device(device)
    )
    with closing(video.read(numbers, max_side=options.detect_size, cancel=cancel)) as frames:
        return track_faces(
            _also_to(cuts, frames) if cuts else frames,
            VideoShape(len(numbers), (video.width, video.height), video.fps),
            detector=detector,
            options=options,
            progress=StageProgress("Finding faces", len(numbers), progress, cancel),
        )


def _also_to(cuts: ShotDetector, frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        cuts.push(frame)
        yield frame


def _report(video: VideoReader, faces: TrackedFaces, cancel: CancelToken) -> FaceReport:
    fps, track = float(video.fps), without(faces.track, faces.unused)
    widths = track.boxes[track.present, 2] - track.boxes[track.present, 0]
    longest = sorted(faces.identities, key=lambda identity: -identity.frames)[:_MAX_PEOPLE]
    return FaceReport(
        per_second=_by_second(faces.face_counts, video.frame_count, fps),
        most=max((count for _, count in faces.face_counts), default=0),
        unsynced_share=float(1 - track.present.mean()),
        width=round(float(np.median(widths))) if len(widths) else 0,
        cuts=tuple(cut / fps for cut in faces.cuts),
        people=_summaries(video, sorted(longest, key=lambda identity: identity.frame), cancel),
        person_count=len(faces.identities),
    )


def _by_second(face_counts: tuple[tuple[int, int], ...], frames: int, fps: float) -> tuple[float, ...]:
    """Mean number of faces per second; a count holds until the next frame with detection."""
    counts = np.zeros(frames)
    for number, count in face_counts:
        counts[number:] = count
    seconds = (np.arange(frames) / fps).astype(int)
    return tuple(float(counts[seconds == second].mean()) for second in range(seconds[-1] + 1))


def _summaries(
    video: VideoReader, identities: list[TrackSummary], cancel: CancelToken
) -> tuple[PersonSummary, ...]:
    """Each person with a thumbnail from the frame in which the face is largest."""
    fps = float(video.fps)
    frames = video.read([identity.frame for identity in identities], cancel=cancel)
    return tuple(
        PersonSummary(
            time=identity.frame / fps,
            seconds=identity.frames / fps,
            width=round(float(identity.box[2] - identity.box[0])),
            selected=identity.selected,
            thumbnail=_thumbnail(frame, identity.box),
        )
        for identity, frame in zip(identities, frames, strict=True)
    )


def _thumbnail(frame: Frame, box: FloatArray) -> Frame:
    height, width = frame.shape[:2]
    side = (1 + 2 * _THUMBNAIL_MARGIN) * max(box[2] - box[0], box[3] - box[1])
    center_x, center_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, right = (int(np.clip(center_x + sign * side / 2, 0, width)) for sign in (-1, 1))
    top, bottom = (int(np.clip(center_y + sign * side / 2, 0, height)) for sign in (-1, 1))
    crop = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = min(1.0, _THUMBNAIL_SIDE / max(crop.shape[:2]))
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
