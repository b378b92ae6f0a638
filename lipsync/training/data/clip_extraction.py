"""Extraction of face clips from one video.

Frames are sampled at 25 fps, one face is tracked, and its track is split at cuts and gaps and cropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from lipsync.faces import FaceDetector, VideoShape, frames_tilted, track_faces, without
from lipsync.media import VideoReader, open_audio, open_video
from lipsync.options import FaceOptions, OptionGroup, option
from lipsync.progress import CancelToken, StageProgress
from lipsync.training.data.dataset_format import (
    FPS,
    MARGIN,
    SIDE,
    ClipContent,
    FaceAnnotations,
    open_audio_part,
    with_margin,
    write_clip,
)
from lipsync.training.data.landmarks import FaceLandmarker, crop_head
from lipsync.training.data.mouth_shapes import KEPT
from lipsync.types import FaceTrack, FloatArray, Frame, IntArray

_MAX_UNDETECTED = 0.2
"""Share of a clip's frames that may lack landmarks."""
SIDES = (128, 160, 192, 224, 256, 288, 320, 384, 512)


@dataclass(frozen=True)
class ExtractionOptions(OptionGroup):
    """Which parts of a video become clips."""

    min_seconds: float = option(1.5, "leave out shorter clips", min=0.2, unit="s")
    min_side: float = option(60.0, "leave out smaller faces", min=16, unit="pixels")
    min_score: float = option(0.5, "leave out faces below this confidence", min=0.05, max=0.99)
    detect_every: int = option(3, "detect faces in every n-th frame", min=1, max=25, unit="frames")
    crop_side: int = option(
        128,
        "side of the face crops that are stored; the built-in model needs no more than 128",
        choices=SIDES,
        unit="pixels",
    )


@dataclass(frozen=True)
class FaceTools:
    """Face detector, and the landmarker, if landmarks are needed."""

    detector: FaceDetector
    landmarker: FaceLandmarker | None = None


def extract_clips(
    path: Path, folder: Path, name: str, options: ExtractionOptions, tools: FaceTools, cancel: CancelToken
) -> dict[str, int]:
    """Write the clips of one video, one for each part of a shot with a tracked face.

    Args:
        path: the video.
        folder: gets `<name>_00.mp4`, `<name>_00.npz` and so on.

    Returns:
        The names of the clips with their numbers of frames.

    Raises:
        LipsyncError: the file has no video, no audio or no face, or cannot be read.
        Cancelled: the user stopped the job.
    """
    video = open_video(path)
    frames = _frames_at_25_fps(video)[: math.ceil(open_audio(path).duration * FPS)]
    if len(frames) < options.min_seconds * FPS:
        return {}
    face_options = FaceOptions(detect_every=options.detect_every, min_score=options.min_score)
    tracked = track_faces(
        video.read(frames, max_side=face_options.detect_size, cancel=cancel),
        VideoShape(len(frames), (video.width, video.height), FPS),
        detector=tools.detector,
        options=face_options,
        progress=StageProgress("Finding faces", len(frames), cancel=cancel),
    )
    clips = {}
    track = without(tracked.track, (*tracked.unused, frames_tilted(tracked.track)))
    for number, (start, end) in enumerate(_clip_ranges(track, tracked.cuts, options)):
        boxes, numbers = tracked.track.boxes[start:end], frames[start:end]
        landmarks = _landmarks(video, numbers, boxes, tools.landmarker, cancel) if tools.landmarker else None
        if landmarks is not None and np.isnan(landmarks[:, 0, 0]).mean() > _MAX_UNDETECTED:
            continue
        content = ClipContent(
            source=video.info,
            audio=open_audio_part(path, start / FPS, (end - start) / FPS),
            crops=_crops(video, numbers, boxes, options.crop_side, cancel),
            annotations=FaceAnnotations(boxes, landmarks),
            side=with_margin(options.crop_side),
        )
        clip = f"{name}_{number:02d}"
        write_clip(folder, clip, content, cancel)
        clips[clip] = end - start
    return clips


def _frames_at_25_fps(video: VideoReader) -> IntArray:
    """The frame of the file that is shown at each 25th of a second, (T,)."""
    count = int(video.frame_count / video.fps * FPS)
    numbers = np.floor(np.arange(count) / FPS * float(video.fps) + 1e-6)
    return np.minimum(numbers.astype(np.int64), video.frame_count - 1)


def _clip_ranges(
    track: FaceTrack, cuts: tuple[int, ...], options: ExtractionOptions
) -> Iterator[tuple[int, int]]:
    """Ranges between cuts in which the face is present, large and confident."""
    side = np.sqrt((track.boxes[:, 2] - track.boxes[:, 0]) * (track.boxes[:, 3] - track.boxes[:, 1]))
    with np.errstate(invalid="ignore"):
        good = track.present & (side >= options.min_side) & (track.scores >= options.min_score)
    edges = {0, len(good), *cuts, *(np.flatnonzero(np.diff(good.astype(np.int8))) + 1).tolist()}
    for start, end in pairwise(sorted(edges)):
        if good[start] and end - start >= options.min_seconds * FPS:
            yield start, end


def _landmarks(
    video: VideoReader, frames: IntArray, boxes: FloatArray, landmarker: FaceLandmarker, cancel: CancelToken
) -> FloatArray:
    """The kept landmarks, (T, K, 3) in pixels of a stored crop of 160x160."""
    to_frame: list[FloatArray] = []

    def heads() -> Iterator[Frame]:
        for frame, box in zip(video.read(frames, cancel=cancel), boxes, strict=True):
            head, corner_and_scale = crop_head(frame, box)
            to_frame.append(corner_and_scale)
            yield head

    points = landmarker(heads())[:, list(KEPT)]
    corner, scale = np.stack(to_frame)[:, None, :2], np.stack(to_frame)[:, None, 2:]
    in_frame = points[..., :2] * scale + corner
    stretch = SIDE / (boxes[:, 2:] - boxes[:, :2])[:, None]
    in_crop = (in_frame - boxes[:, None, :2]) * stretch + MARGIN
    depth = points[..., 2:] * scale * stretch[..., :1]
    return np.concatenate([in_crop, depth], axis=2).astype(np.float32)


def _crops(
    video: VideoReader, frames: IntArray, boxes: FloatArray, side: int, cancel: CancelToken
) -> Iterator[Frame]:
    for frame, box in zip(video.read(frames, cancel=cancel), boxes, strict=True):
        yield crop_face_with_margin(frame, box, side)


def crop_face_with_margin(frame: Frame, box: FloatArray, side: int) -> Frame:
    """The face box scaled to `side` x `side` pixels, with its margin; uint8 RGB.

    Args:
        frame: uint8 (H, W, 3) RGB.
        box: (4,) x1, y1, x2, y2 in pixels.
    """
    stretch = side / (box[2:] - box[:2])
    reduction = np.minimum(1.0, stretch)
    size = np.maximum(1, np.rint(np.array(frame.shape[1::-1]) * reduction)).astype(int)
    if reduction.min() < 0.8:  # warpAffine interpolates between four pixels only; average areas first
        reduced = cv2.resize(frame, tuple(size.tolist()), interpolation=cv2.INTER_AREA)
    else:
        reduced = frame
    factor = np.array(reduced.shape[1::-1]) / np.array(frame.shape[1::-1])
    scale = stretch / factor
    stored = with_margin(side)
    shift = (stored - side) / 2 - box[:2] * stretch
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float64)
    crop = cv2.warpAffine(
        reduced, matrix, (stored, stored), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)
