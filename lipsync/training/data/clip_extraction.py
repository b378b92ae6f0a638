"""One video to clips of one face each: brought to 25 fps, followed, parted at cuts, cut out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from lipsync.faces import FaceDetector, track_faces
from lipsync.media import VideoReader, open_audio, open_video
from lipsync.options import FaceOptions, OptionGroup, option
from lipsync.progress import CancelToken, StageProgress
from lipsync.training.data.dataset_format import FPS, MARGIN, SIDE, Stored, part_of, with_margin, write_clip
from lipsync.training.data.landmarks import FaceLandmarker, whole_head
from lipsync.training.data.mouth_shapes import KEPT
from lipsync.types import FaceTrack, FloatArray, Frame, IntArray

_MOST_UNSEEN = 0.2
"""Share of a clip's frames that may lack landmarks."""
SIDES = (128, 160, 192, 224, 256, 288, 320, 384, 512)


@dataclass(frozen=True)
class CutOptions(OptionGroup):
    """Which parts of a video become clips."""

    min_seconds: float = option(1.5, "shorter parts are left out", min=0.2, unit="s")
    min_side: float = option(60.0, "smaller faces are left out", min=16, unit="pixels")
    min_score: float = option(0.5, "less certain faces are left out", min=0.05, max=0.99)
    detect_every: int = option(3, "look for faces in every n-th frame", min=1, max=25)
    crop_side: int = option(
        128,
        "face crops are stored this large; the built-in model needs no more than 128",
        choices=SIDES,
        unit="pixels",
    )


def cut_file(
    path: Path,
    folder: Path,
    name: str,
    options: CutOptions,
    detector: FaceDetector,
    teacher: FaceLandmarker | None,
    cancel: CancelToken,
) -> dict[str, int]:
    """Write the clips of one file: one for each stretch of a scene in which a good face is seen.

    Args:
        folder: gets `<name>_00.mp4`, `<name>_00.npz` and so on.
        teacher: finds the landmarks; without one there are none.

    Returns:
        The clips' names, with how many frames they have.

    Raises:
        LipsyncError: the file has no picture, no sound or no face, or cannot be read.
    """
    picture = open_video(path)
    frames = _at_25(picture)[: math.ceil(open_audio(path).duration * FPS)]
    if len(frames) < options.min_seconds * FPS:
        return {}
    face_options = FaceOptions(detect_every=options.detect_every, min_score=options.min_score)
    tracked = track_faces(
        picture.read(frames, max_side=face_options.detect_size, cancel=cancel),
        count=len(frames),
        frame_size=(picture.width, picture.height),
        fps=FPS,
        detector=detector,
        options=face_options,
        progress=StageProgress("Finding faces", len(frames), cancel=cancel),
    )
    clips = {}
    for number, (start, end) in enumerate(_stretches(tracked.track, tracked.cuts, options)):
        boxes, wanted = tracked.track.boxes[start:end], frames[start:end]
        landmarks = _landmarks(picture, wanted, boxes, teacher, cancel) if teacher else None
        if landmarks is not None and np.isnan(landmarks[:, 0, 0]).mean() > _MOST_UNSEEN:
            continue
        clip = f"{name}_{number:02d}"
        write_clip(
            folder,
            clip,
            picture.info,
            part_of(path, start / FPS, (end - start) / FPS),
            (
                _crop(frame, box, options.crop_side)
                for frame, box in zip(picture.read(wanted, cancel=cancel), boxes, strict=True)
            ),
            Stored(boxes, landmarks),
            with_margin(options.crop_side),
            cancel,
        )
        clips[clip] = end - start
    return clips


def _at_25(picture: VideoReader) -> IntArray:
    """Which frame of the file is shown at each 25th of a second."""
    count = int(picture.frame_count / picture.fps * FPS)
    at = np.floor(np.arange(count) / FPS * float(picture.fps) + 1e-6)
    return np.minimum(at.astype(np.int64), picture.frame_count - 1)


def _stretches(track: FaceTrack, cuts: tuple[int, ...], options: CutOptions) -> Iterator[tuple[int, int]]:
    side = np.sqrt((track.boxes[:, 2] - track.boxes[:, 0]) * (track.boxes[:, 3] - track.boxes[:, 1]))
    with np.errstate(invalid="ignore"):
        good = track.present & (side >= options.min_side) & (track.scores >= options.min_score)
    edges = {0, len(good), *cuts, *(np.flatnonzero(np.diff(good.astype(np.int8))) + 1).tolist()}
    for start, end in pairwise(sorted(edges)):
        if good[start] and end - start >= options.min_seconds * FPS:
            yield start, end


def _landmarks(
    picture: VideoReader, frames: IntArray, boxes: FloatArray, teacher: FaceLandmarker, cancel: CancelToken
) -> FloatArray:
    """Kept landmarks (T, K, 3) in pixels of a stored crop of 160x160."""
    back: list[FloatArray] = []

    def heads() -> Iterator[Frame]:
        for frame, box in zip(picture.read(frames, cancel=cancel), boxes, strict=True):
            head, corner = whole_head(frame, box)
            back.append(corner)
            yield head

    seen = teacher(heads())[:, list(KEPT)]
    corner, scale = np.stack(back)[:, None, :2], np.stack(back)[:, None, 2:]
    in_frame = seen[..., :2] * scale + corner
    stretch = SIDE / (boxes[:, 2:] - boxes[:, :2])[:, None]
    in_crop = (in_frame - boxes[:, None, :2]) * stretch + MARGIN
    depth = seen[..., 2:] * scale * stretch[..., :1]
    return np.concatenate([in_crop, depth], axis=2).astype(np.float32)


def _crop(frame: Frame, box: FloatArray, side: int) -> Frame:
    """The face as `side` x `side` pixels, and its margin."""
    stretch = side / (box[2:] - box[:2])
    reduce = np.minimum(1.0, stretch)
    size = np.maximum(1, np.rint(np.array(frame.shape[1::-1]) * reduce)).astype(int)
    small = (
        cv2.resize(frame, tuple(size.tolist()), interpolation=cv2.INTER_AREA) if reduce.min() < 0.8 else frame
    )
    factor = np.array(small.shape[1::-1]) / np.array(frame.shape[1::-1])
    scale = stretch / factor
    stored = with_margin(side)
    shift = (stored - side) / 2 - box[:2] * stretch
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float64)
    crop = cv2.warpAffine(
        small, matrix, (stored, stored), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)
