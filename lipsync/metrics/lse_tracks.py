"""LSE of real videos: one for each face track in each shot.

Tracks and crops follow joonson/syncnet_python's `run_pipeline.py`: 25 frames a second, tracks within shots
with at most a second missed, more than 100 frames and 100 pixels, boxes through a median filter of 13 frames,
crops 1.4 times as wide as the face and extended below the chin, grey outside the frame. Face and shot
detection are this program's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.faces import FaceDetector
from lipsync.faces.association import Track, associate
from lipsync.faces.detection_schedule import Detection, detect_faces
from lipsync.media import VideoReader, YuvFrame, open_audio, open_video
from lipsync.metrics.lse import (
    BATCH_WINDOWS,
    FRAME_SAMPLES,
    LSE_FPS,
    LSE_SAMPLE_RATE,
    MIN_FRAMES,
    STAGE,
    LseScore,
    SyncEmbedder,
    measure_lse,
)
from lipsync.options import FaceOptions, MediaOptions, OptionGroup, option
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.sync_score.syncnet import SYNCNET_INPUT_SIZE
from lipsync.types import AudioClip, Frame, PixelBox
from lipsync.utils.prefetch import Prefetcher

_CROP_SCALE = 0.40
_MEDIAN_FRAMES = 13
_GREY = 110
Doubles: TypeAlias = npt.NDArray[np.float64]
ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class TrackOptions(OptionGroup):
    """Face detection, and the smallest tracks that are scored."""

    min_frames: int = option(101, "shorter tracks are left out", min=6, unit="frames at 25 a second")
    min_side: float = option(100.0, "smaller faces are left out", min=0, unit="pixels")
    min_score: float = option(0.5, "less certain faces are left out", min=0.05, max=0.99)
    detect_every: int = option(
        5,
        "detect faces in every n-th frame, and in more where they move; the reference uses all",
        min=1,
    )
    detect_size: int = option(
        640, "longer side of the frame that faces are detected in", min=128, unit="pixels"
    )


@dataclass(frozen=True)
class ShotTrack:
    """One face in one shot.

    Attributes:
        first: number of the first frame, 25 a second.
        boxes: float64 (T, 4) x1, y1, x2, y2 in pixels of the full-size frame, without pads.
        detections: those that it was made of, in reduced frames.
    """

    first: int
    boxes: Doubles
    detections: tuple[Detection, ...] = ()

    @property
    def frames(self) -> range:
        """Numbers of the frames in which it is seen."""
        return range(self.first, self.first + len(self.boxes))

    @property
    def side(self) -> float:
        """Longer side of the mean box in pixels, as the reference measures a face."""
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).mean(axis=0)
        return float(max(width, height))


@dataclass(frozen=True)
class TrackScore:
    """LSE of one face track, or of the whole video.

    Attributes:
        video: the file.
        track: number of the track in the video, from 0, in order of its start.
        start, end: seconds from the start of the video.
        box: median box of the face; None for whole frames.
        score: the measured score.
    """

    video: Path
    track: int
    start: float
    end: float
    box: PixelBox | None
    score: LseScore


def evaluate_frames(
    path: Path | str, network: SyncEmbedder, *, cancel: CancelToken | None = None
) -> TrackScore:
    """LSE of a video in which one face fills the frame, as in LRS2, LRS3 and LRW.

    Args:
        network: SyncNet, unless in tests.

    Raises:
        InputError: the video is too short.
        MediaError: it cannot be read.
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    video = _open_video(path)
    # The first frames are decoded while the audio is.
    reading = video.read(np.arange(video.frame_count), cancel=cancel)
    with Prefetcher(reading, BATCH_WINDOWS, cancel, "read") as frames:
        audio = _read_audio(path, cancel)
        score = measure_lse(network, frames, audio, cancel=cancel)
    audio_frames = len(audio.samples) // FRAME_SAMPLES + 1
    end = min(video.frame_count, audio_frames) / LSE_FPS
    return TrackScore(video.info.path, 0, 0.0, end, None, score)


def evaluate_tracks(
    path: Path | str,
    network: SyncEmbedder,
    detector: FaceDetector,
    options: TrackOptions | None = None,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[TrackScore]:
    """LSE of every face track of a video, in order of time; empty if no track is long enough.

    Frames are read once for detection, then once for each track; a second or two of them is buffered.

    Raises:
        MediaError: the video cannot be read, or has no audio.
        Cancelled: the token was cancelled.
    """
    options, cancel = options or TrackOptions(), cancel or CancelToken()
    video, audio = _open_video(path), _read_audio(path, cancel)
    tracks = find_tracks(video, detector, options, progress, cancel)
    stage = StageProgress(STAGE, sum(len(track.boxes) for track in tracks), progress, cancel)
    scores = []
    for number, track in enumerate(tracks):
        last = track.first + len(track.boxes)
        part = AudioClip(audio.samples[track.first * FRAME_SAMPLES : last * FRAME_SAMPLES])
        if len(part.samples) < MIN_FRAMES * FRAME_SAMPLES:  # the audio ended before
            stage.advance(len(track.boxes))
            continue
        with closing(video.read_yuv(np.arange(track.first, last), cancel=cancel)) as frames:
            score = _measure_track(network, frames, track, part, stage)
        box = PixelBox(*(round(float(edge)) for edge in np.median(track.boxes, axis=0)))
        start, end = track.first / LSE_FPS, last / LSE_FPS
        scores.append(TrackScore(video.info.path, number, start, end, box, score))
    return scores


def _measure_track(
    network: SyncEmbedder,
    frames: Iterator[YuvFrame],
    track: ShotTrack,
    audio: AudioClip,
    stage: StageProgress,
) -> LseScore:
    """LSE of the frames of a track with the audio of that time; the stage advances by one per frame."""
    # The next batch is read and cropped while one goes through the network.
    crops = crop_like_reference(frames, track.boxes)
    with Prefetcher(crops, BATCH_WINDOWS, stage.cancel, "crop") as ahead:
        return measure_lse(network, _advancing(ahead, stage), audio, cancel=stage.cancel)


def find_tracks(
    video: VideoReader,
    detector: FaceDetector,
    options: TrackOptions,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[ShotTrack]:
    """Detect and track the faces of a video; those that are long and large enough, in order of time.

    Args:
        video: read at 25 frames a second.
    """
    count = video.frame_count
    stage = StageProgress("Finding faces", count, progress, cancel or CancelToken())
    face_options = FaceOptions(detect_every=options.detect_every, min_score=options.min_score)
    reduced = video.read(np.arange(count), max_side=options.detect_size, cancel=stage.cancel)
    with Prefetcher(reduced, LSE_FPS, stage.cancel, "detect") as frames:
        detections = detect_faces(frames, detector, face_options, stage)
    scale = np.tile(np.array([video.width, video.height]) / np.maximum(1, detections.frame_size), 2)
    tracks = [_interpolate(track, scale) for track in associate(detections, LSE_FPS)]
    return [
        track for track in tracks if len(track.boxes) >= options.min_frames and track.side > options.min_side
    ]


def mean_lse(scores: Sequence[TrackScore]) -> LseScore | None:
    """LSE of a video: the means over the windows of all tracks, and the offset of the longest one."""
    if not scores:
        return None
    weights = [track.score.windows for track in scores]
    distance = float(np.average([track.score.distance for track in scores], weights=weights))
    confidence = float(np.average([track.score.confidence for track in scores], weights=weights))
    return LseScore(distance, confidence, scores[int(np.argmax(weights))].score.offset, sum(weights))


def crop_like_reference(frames: Iterable[YuvFrame], boxes: Doubles) -> Iterator[Frame]:
    """Crop faces as `run_pipeline.py` does.

    Args:
        boxes: (T, 4) of the T frames, x1, y1, x2, y2 in pixels.

    Yields:
        (224, 224, 3) RGB uint8.
    """
    half = np.maximum(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]) / 2
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    from scipy.signal import medfilt  # imported here: it takes a second, and runs import this module

    x, y, half = (medfilt(values, min(_MEDIAN_FRAMES, _odd(len(values)))) for values in (x, y, half))
    for frame, mx, my, bs in zip(frames, x, y, half, strict=True):
        edge = int(bs * (1 + 2 * _CROP_SCALE))  # the reference pads the frame by this and counts from there
        top, bottom = int(my + edge - bs) - edge, int(my + edge + bs * (1 + 2 * _CROP_SCALE)) - edge
        left = int(mx + edge - bs * (1 + _CROP_SCALE)) - edge
        right = int(mx + edge + bs * (1 + _CROP_SCALE)) - edge
        face = _crop_padded(frame, PixelBox(left, top, right, bottom))
        yield np.asarray(cv2.resize(face, (SYNCNET_INPUT_SIZE, SYNCNET_INPUT_SIZE)), np.uint8)


def _crop_padded(frame: YuvFrame, box: PixelBox) -> Frame:
    """A region as RGB, grey outside the frame."""
    x1, y1 = max(0, box.x1), max(0, box.y1)
    x2, y2 = min(box.x2, frame.width), min(box.y2, frame.height)
    out = np.full((box.height, box.width, 3), _GREY, np.uint8)
    if x1 < x2 and y1 < y2:
        out[y1 - box.y1 : y2 - box.y1, x1 - box.x1 : x2 - box.x1] = frame.to_rgb(PixelBox(x1, y1, x2, y2))
    return out


def _odd(count: int) -> int:
    return count - 1 + count % 2


def _open_video(path: Path | str) -> VideoReader:
    return open_video(path, MediaOptions(fps=LSE_FPS))


def _read_audio(path: Path | str, cancel: CancelToken) -> AudioClip:
    return open_audio(path).read(LSE_SAMPLE_RATE, cancel=cancel)


def _interpolate(track: Track, scale: Doubles) -> ShotTrack:
    """The box in every frame from first to last detection, linear between them, times `scale`."""
    detected = [detection.frame for detection in track.detections]
    boxes = np.array([detection.face.box for detection in track.detections], np.float64) * scale
    frames = np.arange(track.first, track.last + 1)
    every = np.stack([np.interp(frames, detected, edge) for edge in boxes.T], axis=1)
    return ShotTrack(track.first, every, tuple(track.detections))


def _advancing(frames: Iterable[ItemT], stage: StageProgress) -> Iterator[ItemT]:
    for frame in frames:
        stage.advance()
        yield frame
