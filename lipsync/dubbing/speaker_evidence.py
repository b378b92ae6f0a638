"""Evidence of who speaks: how well each face follows the sound over time.

frames, sound -> face tracks -> likeness by the sync expert      -> TrackEvidence of every track
                             -> opening of the lips as located  /
sound -> opening that the built-in model's voice network expects
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import numpy as np

from lipsync.faces import FaceDetector, pixel_box
from lipsync.faces.trajectory import pad_boxes
from lipsync.generators.builtin.adapter import Builtin
from lipsync.generators.builtin.outline_points import LOWER_INNER, UPPER_INNER
from lipsync.media import VideoReader
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lips import LipTrack
from lipsync.metrics.lse_tracks import ShotTrack, TrackOptions, find_tracks
from lipsync.options import FaceOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress
from lipsync.sync_score import SyncExpert
from lipsync.sync_score.base import EXPERT_FPS, WINDOW_FRAMES
from lipsync.sync_score.crops import crop_lower_face
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.sync_score.streaming_embed import AudioEmbedder, FaceEmbedder
from lipsync.types import AudioClip, FloatArray, Frame, PixelBox

STAGE = "Listening to faces"
_TRACKS = TrackOptions(min_frames=8, min_side=24.0)
"""Faces that are seen for less than a third of a second, or are smaller, tell nothing."""
_BATCH = 64


@dataclass(frozen=True, eq=False)
class TrackEvidence:
    """One face in one shot, and how it follows the sound.

    Attributes:
        track: first frame and boxes, at 25 frames a second.
        similarity: float32 (T, 31), likeness of the window around each frame to the sound at offsets
            -15 .. 15; NaN where there is none.
        opening: float32 (T,) of the lips, in distances between the eyes.
    """

    track: ShotTrack
    similarity: FloatArray
    opening: FloatArray


@dataclass(frozen=True)
class Networks:
    """Face detector, sync expert, and the built-in model with its mouth locator."""

    detector: FaceDetector
    expert: SyncExpert
    builtin: Builtin
    locator: LipLocator


def expected_opening(builtin: Builtin, audio: AudioClip, frames: int, cancel: CancelToken) -> FloatArray:
    """Opening of a usual mouth that says this, float32 (frames,), at 25 frames a second."""
    shapes = builtin.encode_audio(audio, EXPERT_FPS, frames, cancel=cancel)
    components = builtin.network.components.float().cpu().numpy().reshape(shapes.shape[1], -1, 3)
    return np.asarray(shapes @ (components[:, LOWER_INNER, 1] - components[:, UPPER_INNER, 1]), np.float32)


def gather_evidence(
    video: VideoReader,
    audio: AudioClip,
    networks: Networks,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> list[TrackEvidence]:
    """Evidence of every face track of a video, in order of time.

    Frames are read twice, and none is kept.

    Args:
        video: read at 25 frames a second.
        audio: its own, at 16 kHz, from the same time on.

    Raises:
        MediaError: the video cannot be read.
        Cancelled: the token was cancelled.
    """
    tracks = find_tracks(video, networks.detector, _TRACKS, progress, cancel)
    observers = [_Observer(track, (video.width, video.height), audio, networks) for track in tracks]
    stage = StageProgress(STAGE, video.frame_count, progress, cancel)
    seen = sorted({number for one in observers for number in one.frames})
    with closing(video.read_yuv(np.asarray(seen, np.int64), cancel=cancel)) as frames:
        for number, frame in zip(seen, frames, strict=True):
            for observer in observers:
                if number in observer.frames:
                    box = observer.box(number)
                    region = frame.aligned_box(pixel_box(box, frame.width, frame.height))
                    observer.look(number, frame.to_rgb(region), region)
            stage.advance()
    return [observer.result() for observer in observers]


class _Observer:
    """Looks at one face, frame by frame."""

    def __init__(self, track: ShotTrack, size: tuple[int, int], audio: AudioClip, networks: Networks) -> None:
        self._track, self._locator = track, networks.locator
        self.frames = track.frames
        self._boxes = pad_boxes(track.boxes, size, FaceOptions()).astype(np.float32)
        self._faces, self._audio = FaceEmbedder(networks.expert), AudioEmbedder(networks.expert, audio)
        count = len(self.frames)
        self._similarity = np.full((count, 2 * MAX_OFFSET + 1), np.nan, np.float32)
        self._opening = np.full(count, np.nan, np.float32)
        self._windows: list[Frame] = []
        self._window_numbers: list[int] = []

    def box(self, number: int) -> FloatArray:
        """The padded box in a frame, (4,) pixels."""
        box: FloatArray = self._boxes[number - self.frames.start]
        return box

    def look(self, number: int, part: Frame, region: PixelBox) -> None:
        """Take a frame in, of which `part` is what `region` covers."""
        box = self.box(number) - np.array([region.x1, region.y1] * 2, np.float32)
        self._add(self._faces.push(number, crop_lower_face(part, box)))
        self._windows.append(self._locator.crop(part, pixel_box(box, part.shape[1], part.shape[0])))
        self._window_numbers.append(number)
        if len(self._windows) == _BATCH:
            self._locate()

    def result(self) -> TrackEvidence:
        """The evidence of all frames."""
        self._add(self._faces.flush())
        self._locate()
        return TrackEvidence(self._track, self._similarity, self._opening)

    def _add(self, windows: tuple[int, FloatArray] | None) -> None:
        if windows is None:
            return
        first, faces = windows
        at = first - self.frames.start + WINDOW_FRAMES // 2  # the middle frame of the first window
        self._similarity[at : at + len(faces)] = self._audio.similarity(first, faces)

    def _locate(self) -> None:
        if not self._windows:
            return
        numbers = np.array(self._window_numbers)
        boxes = self._boxes[numbers - self.frames.start]
        outlines, units = self._locator.locate(np.stack(self._windows), boxes)
        self._opening[numbers - self.frames.start] = LipTrack(outlines, units).opening
        self._windows, self._window_numbers = [], []
