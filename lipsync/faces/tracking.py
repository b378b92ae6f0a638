"""Face tracking: from reduced frames to the selected face's box in every frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from lipsync.errors import NoFaceError
from lipsync.faces.association import Identity, associate, group_identities
from lipsync.faces.detection_schedule import Detections, detect_faces
from lipsync.faces.detectors.base import FaceDetector
from lipsync.faces.recognition import ReferenceFace, read_reference
from lipsync.faces.selection import select_identities, shots_left_to_right
from lipsync.faces.trajectory import interpolate_gaps, smooth_and_pad
from lipsync.faces.unused import UnusedFaces, frames_covered, frames_cut_off, frames_of_others, without
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import FaceTrack, FloatArray, Frame


@dataclass(frozen=True, eq=False)
class TrackSummary:
    """Summary of one identity in one shot, from which the user can select.

    Attributes:
        shot: index of the shot, 0 before the first cut.
        index: position from the left in that shot; what `face_index` means.
        frame: number of the frame in which the face is largest, for a thumbnail.
        seconds: time of the first frame with the face.
        frames: number of frames with the face.
        box: float32 (4,) x1, y1, x2, y2, median, pixels of the full-size frame, without pads.
        selected: whether this is the selected face.
    """

    shot: int
    index: int
    frame: int
    seconds: float
    frames: int
    box: FloatArray
    selected: bool


@dataclass(frozen=True)
class VideoShape:
    """Length, frame size and frame rate of the video that tracks are made for.

    Attributes:
        count: number of frames.
        frame_size: width, height in pixels of the full-size frame.
        fps: frames per second.
    """

    count: int
    frame_size: tuple[int, int]
    fps: float | Fraction


@dataclass(frozen=True, eq=False)
class TrackedFaces:
    """Result of `track_faces`.

    Attributes:
        track: the selected face, one row per frame.
        identities: all faces, by shot and from left to right.
        cuts: numbers of the first frames of the shots after the first.
        face_counts: (frame number, number of faces) of every frame the detector ran on, in order.
        unused: frames with a face that is not to be drawn, and why; those with a covered mouth are in
            `track`, since whether they count is a setting of the blending.
    """

    track: FaceTrack
    identities: tuple[TrackSummary, ...]
    cuts: tuple[int, ...]
    face_counts: tuple[tuple[int, int], ...] = ()
    unused: tuple[UnusedFaces, ...] = ()


def reduced_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """Size of the same aspect with the longer side at most `longest`; not enlarged."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def track_faces(
    frames: Iterable[Frame],
    shape: VideoShape,
    *,
    detector: FaceDetector,
    options: FaceOptions,
    progress: StageProgress,
) -> TrackedFaces:
    """Detect and track all faces, select one and give its box in every frame.

    Args:
        frames: (h, w, 3) RGB uint8, all of one size, in order. Usually reduced to
            `options.detect_size`; read once, and only about a second of them is buffered.
        shape: of the result. Frames beyond `shape.count` are not read; where there are fewer, the
            missing ones have no face.
        progress: advanced by one a frame; carries the cancel token.

    Raises:
        NoFaceError: no face in any frame, or none is selected.
        OptionError: no shot has as many faces as `options.face_index` asks for.
        MediaError: the reference image cannot be read.
        Cancelled: the user stopped the job.
    """
    references = read_references([options], detector)
    detections = detect_faces(islice(frames, shape.count), detector, options, progress)
    [tracked] = build_tracks(detections, shape, choices=[options], references=references)
    return tracked


def read_references(choices: Sequence[FaceOptions], detector: FaceDetector) -> dict[Path, ReferenceFace]:
    """Read the reference images that `choices` name.

    Best done before detection, so that errors show early.

    Raises:
        NoFaceError: an image has no face.
        MediaError: an image cannot be read.
    """
    paths = {one.face_reference: one for one in choices if one.which_face == "reference"}
    return {path: read_reference(path, detector, one) for path, one in paths.items() if path is not None}


def build_tracks(
    detections: Detections,
    shape: VideoShape,
    *,
    choices: Sequence[FaceOptions],
    references: Mapping[Path, ReferenceFace] | None = None,
) -> list[TrackedFaces]:
    """Track detected faces and select one for each of `choices`.

    Args:
        detections: from `detect_faces`, of at most `shape.count` frames.
        shape: of the results.
        choices: face selections; one result for each.
        references: from `read_references`.

    Raises:
        NoFaceError: no face in any frame, or none is selected.
        OptionError: no shot has as many faces as a `face_index` asks for.
    """
    if not any(detections.by_frame.values()):
        raise _no_face(detections, choices[0])
    # 1. Association
    rate = float(shape.fps)
    identities = group_identities(associate(detections, rate), detections.cuts)
    shots = shots_left_to_right(identities, rate)
    scale = np.tile(np.array(shape.frame_size, np.float32) / detections.frame_size, 2).astype(np.float32)
    sampled = np.fromiter(detections.by_frame, dtype=np.int64)
    face_counts = tuple((number, len(faces)) for number, faces in detections.by_frame.items())
    found = []
    for options in choices:
        # 2. Selection
        reference = (references or {}).get(options.face_reference or Path())
        selected = select_identities(shots, detections, options, rate, reference)
        # 3. Trajectory
        arrays = interpolate_gaps(selected.values(), sampled, shape.count, rate)
        track = smooth_and_pad(arrays, detections.cuts, detections.frame_size, shape.frame_size, options)
        unused: tuple[UnusedFaces, ...] = (
            frames_of_others(shots, selected, shape.count),
            frames_cut_off(track, shape.frame_size),
        )
        summaries = tuple(
            _summary(identity, index, scale, rate, identity is selected.get(shot))
            for shot, members in sorted(shots.items())
            for index, identity in enumerate(members)
        )
        track = without(track, unused)
        unused = *unused, frames_covered(selected.values(), shape.count)
        found.append(TrackedFaces(track, summaries, tuple(detections.cuts), face_counts, unused))
    return found


def _summary(identity: Identity, index: int, scale: FloatArray, fps: float, selected: bool) -> TrackSummary:
    return TrackSummary(
        shot=identity.shot,
        index=index,
        frame=max(identity.detections, key=lambda detection: detection.face.area).frame,
        seconds=identity.tracks[0].first / fps,
        frames=identity.frames,
        box=identity.box * scale,
        selected=selected,
    )


def _no_face(detections: Detections, options: FaceOptions) -> NoFaceError:
    return NoFaceError(
        "No face was found",
        given=f"searched {len(detections.by_frame)} of {detections.frame_count} frames, "
        f"{detections.frame_size[0]}x{detections.frame_size[1]} pixels, confidence {options.min_score:g}",
        hint="Lower the confidence of a face ('min_score'), detect faces at a larger size ('detect_size'), "
        "or give the face's position ('box'), which also helps with drawings and animals.",
    )
