"""Who is seen in a file: faces over time, cuts, and a picture of each person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from lipsync.devices import choose_device
from lipsync.errors import NoFaceError
from lipsync.faces import DETECTORS, TrackedFaces, TrackSummary, track_faces
from lipsync.faces.shots import ShotDetector
from lipsync.media import VideoReader
from lipsync.options import FaceOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import FaceTrack, FloatArray, Frame

_MOST_PEOPLE = 8
_AROUND = 0.4  # of the face's size, shown around it
_PICTURE_SIDE = 256


@dataclass(frozen=True, repr=False)
class PersonSeen:
    """Somebody in one scene.

    Attributes:
        time: when the picture was taken, seconds.
        seconds: how long they are seen.
        width: of the face, pixels of the frame.
        speaks: this is who would be synced.
        picture: RGB uint8, the face and a little around it.
    """

    time: float
    seconds: float
    width: int
    speaks: bool
    picture: Frame

    def __repr__(self) -> str:
        return f"PersonSeen(at {self.time:.2f} s for {self.seconds:.2f} s, {self.width} pixels)"


@dataclass(frozen=True)
class FacesReport:
    """The faces of a file.

    Attributes:
        per_second: mean number of faces in each second.
        most: most faces at a time.
        unsynced_share: share of frames in which there is no face to sync, 0..1; they pass through.
        width: of the face that would be synced, pixels, the median; 0 where there is none.
        cuts: when a new scene begins, seconds.
        people: the persons that are seen longest, in order of time.
        persons: how many there are, counted in each scene anew.
    """

    per_second: tuple[float, ...]
    most: int
    unsynced_share: float
    width: int
    cuts: tuple[float, ...] = ()
    people: tuple[PersonSeen, ...] = ()
    persons: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the pictures."""
        return {
            "per_second": [round(count, 2) for count in self.per_second],
            "most": self.most,
            "unsynced_share": round(self.unsynced_share, 4),
            "width": self.width,
            "cuts": [round(time, 3) for time in self.cuts],
            "persons": self.persons,
            "people": [
                {
                    "time": round(one.time, 3),
                    "seconds": round(one.seconds, 3),
                    "width": one.width,
                    "speaks": one.speaks,
                }
                for one in self.people
            ],
        }


@dataclass(frozen=True)
class Looked:
    """What looking through a picture gave: the report, and what the sync score goes on with.

    Attributes:
        track: the face that would be synced, a row a frame; None where there is no face.
    """

    report: FacesReport
    track: FaceTrack | None = field(repr=False)


def look(
    picture: VideoReader,
    options: FaceOptions | None = None,
    device: str = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Looked:
    """Find the faces in all of a picture. Frames are read once, a second or so is held.

    Raises:
        MediaError: the picture cannot be read.
        WeightsError: the detector's weights are absent and cannot be had.
        Cancelled: the user stopped it.
    """
    cancel = cancel or CancelToken()
    cuts = ShotDetector()
    try:
        found = detect_faces_of(picture, options or FaceOptions(), device, progress, cancel, cuts)
    except NoFaceError:
        cuts.close()
        seconds = -(-picture.frame_count // max(1, round(picture.fps)))
        times = tuple(number / float(picture.fps) for number in cuts.cuts)
        return Looked(FacesReport((0.0,) * seconds, 0, 1.0, 0, times), None)
    return Looked(_report(picture, found, cancel), found.track)


def detect_faces_of(
    picture: VideoReader,
    options: FaceOptions,
    device: str,
    progress: ProgressCallback,
    cancel: CancelToken,
    cuts: ShotDetector | None = None,
) -> TrackedFaces:
    """The faces in all frames, as a run finds them.

    Args:
        cuts: is given every frame too; for those who want the cuts even where there is no face.

    Raises:
        NoFaceError: there is none.
    """
    numbers = np.arange(picture.frame_count)
    detector = DETECTORS.create(
        options.detector, weights=options.detector_weights, device=choose_device(device)
    )
    with closing(picture.read(numbers, max_side=options.detect_size, cancel=cancel)) as frames:
        return track_faces(
            _shown_to(cuts, frames) if cuts else frames,
            count=len(numbers),
            frame_size=(picture.width, picture.height),
            fps=picture.fps,
            detector=detector,
            options=options,
            progress=StageProgress("Finding faces", len(numbers), progress, cancel),
        )


def _shown_to(cuts: ShotDetector, frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        cuts.push(frame)
        yield frame


def _report(picture: VideoReader, found: TrackedFaces, cancel: CancelToken) -> FacesReport:
    fps, track = float(picture.fps), found.track
    widths = track.boxes[track.present, 2] - track.boxes[track.present, 0]
    longest = sorted(found.identities, key=lambda one: -one.frames)[:_MOST_PEOPLE]
    return FacesReport(
        per_second=_by_second(found.face_counts, picture.frame_count, fps),
        most=max((count for _, count in found.face_counts), default=0),
        unsynced_share=float(1 - track.present.mean()),
        width=round(float(np.median(widths))) if len(widths) else 0,
        cuts=tuple(cut / fps for cut in found.cuts),
        people=_pictures(picture, sorted(longest, key=lambda one: one.frame), cancel),
        persons=len(found.identities),
    )


def _by_second(looks: tuple[tuple[int, int], ...], frames: int, fps: float) -> tuple[float, ...]:
    """Mean number of faces in each second; between two looks what the first one saw holds."""
    counts = np.zeros(frames)
    for number, count in looks:
        counts[number:] = count
    second = (np.arange(frames) / fps).astype(int)
    return tuple(float(counts[second == at].mean()) for at in range(second[-1] + 1))


def _pictures(
    picture: VideoReader, people: list[TrackSummary], cancel: CancelToken
) -> tuple[PersonSeen, ...]:
    """The people, each cut out of the frame where the face is largest."""
    fps = float(picture.fps)
    frames = picture.read([one.frame for one in people], cancel=cancel)
    return tuple(
        PersonSeen(
            time=one.frame / fps,
            seconds=one.frames / fps,
            width=round(float(one.box[2] - one.box[0])),
            speaks=one.chosen,
            picture=_cut_out(frame, one.box),
        )
        for one, frame in zip(people, frames, strict=True)
    )


def _cut_out(frame: Frame, box: FloatArray) -> Frame:
    height, width = frame.shape[:2]
    side = (1 + 2 * _AROUND) * max(box[2] - box[0], box[3] - box[1])
    middle_x, middle_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, right = (int(np.clip(middle_x + sign * side / 2, 0, width)) for sign in (-1, 1))
    top, bottom = (int(np.clip(middle_y + sign * side / 2, 0, height)) for sign in (-1, 1))
    part = frame[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = min(1.0, _PICTURE_SIDE / max(part.shape[:2]))
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
