"""The line from a stream of reduced frames to the chosen face, or several, in every frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from lipsync.errors import NoFaceError
from lipsync.faces.association import Person, associate, gather_people
from lipsync.faces.detection_schedule import Detections, detect_faces
from lipsync.faces.detectors.base import FaceDetector
from lipsync.faces.recognition import Reference, read_reference
from lipsync.faces.selection import choose, left_to_right
from lipsync.faces.trajectory import fill_in, finish
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import FaceTrack, FloatArray, Frame


@dataclass(frozen=True, eq=False)
class TrackSummary:
    """One person in one scene, for showing the choice to the user.

    Attributes:
        scene: 0 before the first cut, 1 after it, ...
        index: counted from the left in that scene; what `face_index` means.
        frame: number of the frame where the face is largest, to make a thumbnail of.
        first_frame: where the person is first seen; `seconds` is the same as a time.
        frames: how many frames they are seen in.
        box: float32 (4,) x1, y1, x2, y2, median, pixels of the full-size frame, without pads.
        chosen: this one speaks.
    """

    scene: int
    index: int
    frame: int
    first_frame: int
    seconds: float
    frames: int
    box: FloatArray
    chosen: bool


@dataclass(frozen=True, eq=False)
class TrackedFaces:
    """What `track_faces` found.

    Attributes:
        track: the chosen face, one row a frame.
        people: everybody, by scene and from left to right.
        cuts: first frames of the scenes after the first.
        frames_looked_at: how many frames the detector saw.
        looks: for each of those, in order, its number and how many faces it had.
    """

    track: FaceTrack
    people: tuple[TrackSummary, ...]
    cuts: tuple[int, ...]
    frames_looked_at: int
    looks: tuple[tuple[int, int], ...] = ()


def reduced_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """Width and height with the longer side at most `longest`, of the same aspect; never enlarged."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def track_faces(
    frames: Iterable[Frame],
    *,
    count: int,
    frame_size: tuple[int, int],
    fps: float | Fraction,
    detector: FaceDetector,
    options: FaceOptions,
    progress: StageProgress,
) -> TrackedFaces:
    """Find all faces, follow them, choose one, and give its box in every frame.

    Args:
        frames: (h, w, 3) RGB uint8, all of one size, in order. Usually reduced to
            `options.detect_size`; read once, and only a second or so of them is held.
        count: rows of the result. Frames beyond are not read; where there are fewer, the missing
            ones have no face.
        frame_size: width, height of the full-size frame that the boxes are for.
        fps: frames per second.
        progress: advanced by one a frame; carries the cancel token.

    Raises:
        NoFaceError: no face in any frame, or none that is chosen.
        OptionError: no scene has as many people as `options.face_index` asks for.
        MediaError: the reference picture cannot be read.
        Cancelled: the user stopped the job.
    """
    references = read_references([options], detector)
    detections = detect_faces(islice(frames, count), detector, options, progress)
    [tracked] = build_tracks(
        detections, count=count, frame_size=frame_size, fps=fps, choices=[options], references=references
    )
    return tracked


def read_references(choices: Sequence[FaceOptions], detector: FaceDetector) -> dict[Path, Reference]:
    """The faces in the pictures that `choices` go by; best read before the search for faces.

    Raises:
        NoFaceError: there is none in one of them.
        MediaError: one cannot be read.
    """
    paths = {one.face_reference: one for one in choices if one.which_face == "reference"}
    return {path: read_reference(path, detector, one) for path, one in paths.items() if path is not None}


def build_tracks(
    detections: Detections,
    *,
    count: int,
    frame_size: tuple[int, int],
    fps: float | Fraction,
    choices: Sequence[FaceOptions],
    references: Mapping[Path, Reference] | None = None,
) -> list[TrackedFaces]:
    """Follow the faces that were seen, and for each of the choices give the chosen one's box in every frame.

    Args:
        sightings: from `detect_faces`, of at most `count` frames.
        count, frame_size, fps: as for `track_faces`.
        choices: each gives one of the results.
        references: from `read_references`.

    Raises:
        NoFaceError: no face in any frame, or none that is chosen.
        OptionError: no scene has as many people as a `face_index` asks for.
    """
    if not any(detections.seen.values()):
        raise _no_face(detections, choices[0])
    # 1. Follow.
    rate = float(fps)
    people = gather_people(associate(detections, rate), detections.cuts)
    scenes = left_to_right(people, rate)
    scale = np.tile(np.array(frame_size, np.float32) / detections.size, 2).astype(np.float32)
    looked = np.fromiter(detections.seen, dtype=np.int64)
    looks = tuple((number, len(faces)) for number, faces in detections.seen.items())
    found = []
    for options in choices:
        # 2. Choose.
        reference = (references or {}).get(options.face_reference or Path())
        chosen = choose(scenes, detections, options, rate, reference)
        # 3. One row a frame.
        rows = fill_in(chosen.values(), looked, count, rate)
        track = finish(rows, detections.cuts, detections.size, frame_size, options)
        summaries = tuple(
            _summary(person, index, scale, rate, person is chosen.get(scene))
            for scene, members in sorted(scenes.items())
            for index, person in enumerate(members)
        )
        found.append(TrackedFaces(track, summaries, tuple(detections.cuts), len(detections.seen), looks))
    return found


def _summary(person: Person, index: int, scale: FloatArray, fps: float, chosen: bool) -> TrackSummary:
    first = person.tracks[0].first
    return TrackSummary(
        scene=person.scene,
        index=index,
        frame=max(person.detections, key=lambda detection: detection.face.area).frame,
        first_frame=first,
        seconds=first / fps,
        frames=person.frames,
        box=person.box * scale,
        chosen=chosen,
    )


def _no_face(detections: Detections, options: FaceOptions) -> NoFaceError:
    return NoFaceError(
        "No face was found in the picture",
        given=f"looked at {len(detections.seen)} of {detections.count} frames, "
        f"{detections.size[0]}x{detections.size[1]} pixels, min_score {options.min_score:g}",
        hint="Lower the confidence a face needs (min_score), look in a larger picture (detect_size), "
        "or say where the face is with a fixed box, which also helps with drawings and animals.",
    )
