"""Sync of real videos, in which faces come and go: a row for each face in each shot.

How a face becomes a clip for LSE is that of joonson/syncnet_python's `run_pipeline.py`: 25 frames a
second, tracks within shots, at most a second missed, more than 100 frames and 100 pixels, boxes
through a median of 13 frames, crops 1.4 times as wide as the face with the chin, grey beyond the
frame. Faces and shots themselves are found by this program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from scipy.signal import medfilt

from lipsync.faces import FaceDetector
from lipsync.faces.association import Track, associate
from lipsync.faces.detection_schedule import detect_faces
from lipsync.faces.trajectory import pad_boxes
from lipsync.media import VideoReader, YuvFrame, open_audio, open_video
from lipsync.metrics.lse import FEWEST_FRAMES, LSE_FPS, WINDOWS_AT_A_TIME, LseScore, SyncEmbedder, measure_lse
from lipsync.options import FaceOptions, MediaOptions, OptionGroup, option
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.sync_score import SyncExpert
from lipsync.sync_score.meter import SyncMeter
from lipsync.sync_score.syncnet import SYNCNET_INPUT_SIZE
from lipsync.types import AudioClip, Frame, PixelBox, SyncScore
from lipsync.utils.prefetch import Prefetcher

_RATE = 16_000
_FRAME_SAMPLES = _RATE // LSE_FPS
_CROP_SCALE = 0.40
_MEDIAN_FRAMES = 13
_GREY = 110
Doubles: TypeAlias = npt.NDArray[np.float64]
Score = TypeVar("Score", LseScore, SyncScore)
Item = TypeVar("Item")


@dataclass(frozen=True)
class TrackOptions(OptionGroup):
    """Which faces are judged, and how they are looked for."""

    min_frames: int = option(101, "shorter tracks are left out", min=6, unit="frames at 25 a second")
    min_side: float = option(100.0, "smaller faces are left out", min=0, unit="pixels")
    min_score: float = option(0.5, "less certain faces are left out", min=0.05, max=0.99)
    detect_every: int = option(
        5,
        "look for faces in every n-th frame, and in more where they move; the reference looks in all",
        min=1,
    )
    detect_size: int = option(
        640, "longer side of the picture that faces are looked for in", min=128, unit="pixels"
    )


@dataclass(frozen=True)
class FacePath:
    """One face in one shot.

    Attributes:
        first: number of the first frame, 25 a second.
        boxes: (T, 4) x1, y1, x2, y2 in pixels of the full-size frame, without pads.
    """

    first: int
    boxes: Doubles

    @property
    def side(self) -> float:
        """Pixels: the longer side of the mean box, as the reference measures a face."""
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).mean(axis=0)
        return float(max(width, height))


@dataclass(frozen=True)
class TrackScore(Generic[Score]):
    """The score of one face in one shot, or of the whole video.

    Attributes:
        video: the file.
        track: its number in the video, by when it begins, from 0.
        start, end: seconds from the start of the video.
        box: where the face is, the median; None for whole frames.
        score: what was measured.
    """

    video: Path
    track: int
    start: float
    end: float
    box: PixelBox | None
    score: Score


@dataclass(frozen=True)
class Measure(Generic[Score]):
    """How a face is judged; made by `by_lse` or `by_expert`.

    Attributes:
        of_track: takes frames, where the face is in them, the sound of that time, and the progress, which
            it advances by one a frame.
        of_frames: takes frames that the face fills, and sound; None where a measure has no such form.
    """

    of_track: Callable[[Iterator[YuvFrame], FacePath, AudioClip, StageProgress], Score]
    of_frames: Callable[[Iterator[Frame], AudioClip, CancelToken], Score] | None = None


def by_lse(network: SyncEmbedder, batch: int = WINDOWS_AT_A_TIME) -> Measure[LseScore]:
    """LSE-D, LSE-C and offset; `network` is to be SyncNet."""

    def of_track(
        frames: Iterator[YuvFrame], path: FacePath, sound: AudioClip, stage: StageProgress
    ) -> LseScore:
        cancel = stage.cancel
        # While one batch goes through the network, the next is read and cut out.
        with Prefetcher(crop_as_reference(frames, path.boxes), batch, cancel, "cut") as crops:
            return measure_lse(network, _counted(crops, stage), sound, batch=batch, cancel=cancel)

    def of_frames(frames: Iterator[Frame], sound: AudioClip, cancel: CancelToken) -> LseScore:
        return measure_lse(network, frames, sound, batch=batch, cancel=cancel)

    return Measure(of_track, of_frames)


def by_expert(expert: SyncExpert) -> Measure[SyncScore]:
    """The sync score of our own; it needs faces, so it has no form for whole frames."""

    def of_track(
        frames: Iterator[YuvFrame], path: FacePath, sound: AudioClip, stage: StageProgress
    ) -> SyncScore:
        meter = SyncMeter(expert, sound, LSE_FPS)
        boxes: Doubles | None = None
        for number, frame in enumerate(_counted(frames, stage)):
            if boxes is None:
                boxes = pad_boxes(path.boxes, (frame.width, frame.height), FaceOptions())
            meter.update(number / LSE_FPS, frame, boxes[number])
        return meter.result()

    return Measure(of_track)


def evaluate_frames(
    path: Path | str, measure: Measure[Score], *, cancel: CancelToken | None = None
) -> TrackScore[Score]:
    """The score of a video in which one face fills the frame, as in LRS2, LRS3 and LRW.

    Raises:
        InputError: it is too short; MediaError: it cannot be read.
        ValueError: the measure has no form for whole frames.
        Cancelled: the user stopped it.
    """
    if measure.of_frames is None:
        raise ValueError("this measure needs faces")
    cancel = cancel or CancelToken()
    picture = _open_picture(path)
    # The first frames are decoded while the sound is.
    reading = picture.read(np.arange(picture.frame_count), cancel=cancel)
    with Prefetcher(reading, WINDOWS_AT_A_TIME, cancel, "read") as frames:
        sound = _read_sound(path, cancel)
        score = measure.of_frames(frames, sound, cancel)
    heard = len(sound.samples) // _FRAME_SAMPLES + 1
    return TrackScore(picture.info.path, 0, 0.0, min(picture.frame_count, heard) / LSE_FPS, None, score)


def evaluate_tracks(
    path: Path | str,
    measure: Measure[Score],
    detector: FaceDetector,
    options: TrackOptions | None = None,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[TrackScore[Score]]:
    """The score of every face in every shot, in order of time; none where nobody is seen long enough.

    Frames are read once to find the faces, then once for each track; a second or two of them is held.

    Raises:
        MediaError: the video cannot be read, or has no sound.
        Cancelled: the user stopped it.
    """
    options, cancel = options or TrackOptions(), cancel or CancelToken()
    picture, sound = _open_picture(path), _read_sound(path, cancel)
    paths = find_paths(picture, detector, options, progress, cancel)
    stage = StageProgress("Judging lip sync", sum(len(one.boxes) for one in paths), progress, cancel)
    rows = []
    for track, one in enumerate(paths):
        last = one.first + len(one.boxes)
        part = AudioClip(sound.samples[one.first * _FRAME_SAMPLES : last * _FRAME_SAMPLES])
        if len(part.samples) < FEWEST_FRAMES * _FRAME_SAMPLES:  # the sound has ended before
            stage.advance(len(one.boxes))
            continue
        with closing(picture.read_yuv(np.arange(one.first, last), cancel=cancel)) as frames:
            score = measure.of_track(frames, one, part, stage)
        box = PixelBox(*(round(float(edge)) for edge in np.median(one.boxes, axis=0)))
        start, end = one.first / LSE_FPS, last / LSE_FPS
        rows.append(TrackScore(picture.info.path, track, start, end, box, score))
    return rows


def find_paths(
    picture: VideoReader,
    detector: FaceDetector,
    options: TrackOptions,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[FacePath]:
    """The faces that are seen long and large enough, in order of their first frame.

    Args:
        picture: read at 25 frames a second.
    """
    count = picture.frame_count
    stage = StageProgress("Finding faces", count, progress, cancel or CancelToken())
    looking = FaceOptions(detect_every=options.detect_every, min_score=options.min_score)
    reduced = picture.read(np.arange(count), max_side=options.detect_size, cancel=stage.cancel)
    with Prefetcher(reduced, LSE_FPS, stage.cancel, "look") as frames:
        detections = detect_faces(frames, detector, looking, stage)
    scale = np.tile(np.array([picture.width, picture.height]) / np.maximum(1, detections.frame_size), 2)
    paths = [_path(track, scale) for track in associate(detections, LSE_FPS)]
    return [one for one in paths if len(one.boxes) >= options.min_frames and one.side > options.min_side]


def mean_lse(rows: Sequence[TrackScore[LseScore]]) -> LseScore | None:
    """One row for a video: the means over its windows, and the offset of the longest track."""
    if not rows:
        return None
    weights = [row.score.windows for row in rows]
    distance = float(np.average([row.score.distance for row in rows], weights=weights))
    confidence = float(np.average([row.score.confidence for row in rows], weights=weights))
    return LseScore(distance, confidence, rows[int(np.argmax(weights))].score.offset, sum(weights))


def crop_as_reference(frames: Iterable[YuvFrame], boxes: Doubles) -> Iterator[Frame]:
    """Faces as `run_pipeline.py` cuts them out, (224, 224, 3), of frames with these boxes (T, 4)."""
    half = np.maximum(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]) / 2
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    x, y, half = (medfilt(values, min(_MEDIAN_FRAMES, _odd(len(values)))) for values in (x, y, half))
    for frame, mx, my, bs in zip(frames, x, y, half, strict=True):
        edge = int(bs * (1 + 2 * _CROP_SCALE))  # the reference pads the frame by this and counts from there
        top, bottom = int(my + edge - bs) - edge, int(my + edge + bs * (1 + 2 * _CROP_SCALE)) - edge
        left = int(mx + edge - bs * (1 + _CROP_SCALE)) - edge
        right = int(mx + edge + bs * (1 + _CROP_SCALE)) - edge
        face = _cut(frame, left, top, right, bottom)
        yield np.asarray(cv2.resize(face, (SYNCNET_INPUT_SIZE, SYNCNET_INPUT_SIZE)), np.uint8)


def _cut(frame: YuvFrame, left: int, top: int, right: int, bottom: int) -> Frame:
    """A part of the frame, grey where it lies beyond."""
    x1, y1, x2, y2 = max(0, left), max(0, top), min(right, frame.width), min(bottom, frame.height)
    out = np.full((bottom - top, right - left, 3), _GREY, np.uint8)
    if x1 < x2 and y1 < y2:
        out[y1 - top : y2 - top, x1 - left : x2 - left] = frame.to_rgb(PixelBox(x1, y1, x2, y2))
    return out


def _odd(count: int) -> int:
    return count - 1 + count % 2


def _open_picture(path: Path | str) -> VideoReader:
    return open_video(path, MediaOptions(fps=LSE_FPS))


def _read_sound(path: Path | str, cancel: CancelToken) -> AudioClip:
    return open_audio(path).read(_RATE, cancel=cancel)


def _path(track: Track, scale: Doubles) -> FacePath:
    """The box in every frame from the first sighting to the last, on straight lines between them."""
    seen = [detection.frame for detection in track.detections]
    boxes = np.array([detection.face.box for detection in track.detections], np.float64) * scale
    frames = np.arange(track.first, track.last + 1)
    return FacePath(track.first, np.stack([np.interp(frames, seen, edge) for edge in boxes.T], axis=1))


def _counted(frames: Iterable[Item], stage: StageProgress) -> Iterator[Item]:
    for frame in frames:
        stage.advance()
        yield frame
