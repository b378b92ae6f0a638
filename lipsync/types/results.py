"""Results of the pipeline: plan, preview, finished video."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from lipsync.types.faces import FaceCandidate, Mask, PixelBox
from lipsync.types.media import FloatArray, Frame
from lipsync.types.score import ScoreCard


@dataclass(frozen=True)
class Plan:
    """Properties of a result, known before the run.

    Attributes:
        frames: frames in the result.
        fps: frames per second of the result.
        width, height: pixels.
        video_seconds, voice_seconds: lengths of the inputs, after ranges; 0 for a photo.
        warnings: sentences for the user about what of the source the result cannot keep, about large
            temporary files, and about a disk that is too full.
        temporary_bytes: what lies beside the result while it is made, at most.
    """

    frames: int
    fps: Fraction
    width: int
    height: int
    video_seconds: float
    voice_seconds: float
    warnings: tuple[str, ...] = ()
    temporary_bytes: int = 0

    @property
    def seconds(self) -> float:
        """Length of the result."""
        return float(self.frames / self.fps)

    @property
    def picture_seconds(self) -> float:
        """Deprecated name of `video_seconds`."""
        _warn_renamed("Plan.picture_seconds", "Plan.video_seconds")
        return self.video_seconds


@dataclass(frozen=True, repr=False)
class Preview:
    """One frame of the result, with face box, landmarks and mask.

    Attributes:
        time: seconds from the start of the result.
        source, result: RGB uint8 (H, W, 3), the frame before and after, at full size.
        box: the face box; None without a face, where the frame passes through unchanged.
        points: float32 (5, 2) landmarks; None without a box.
        mask: alpha of the generated mouth; None without a box.
        variant: the generator that was used.
        people: the faces in the shot, from left to right.
        video_time: time of `source` in the video (its ranges joined), seconds; what `face_time` means.
        warnings: sentences for the user about the voice, such as that it is silent.
    """

    time: float
    source: Frame
    result: Frame
    box: PixelBox | None
    points: FloatArray | None
    mask: Mask | None
    variant: str
    people: tuple[FaceCandidate, ...] = ()
    video_time: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def picture_time(self) -> float:
        """Deprecated name of `video_time`."""
        _warn_renamed("Preview.picture_time", "Preview.video_time")
        return self.video_time


@dataclass(frozen=True)
class SyncResult:
    """Result of a finished run.

    Attributes:
        path: the finished video.
        frames: frames in the result; `frames_synced` of them carry a generated mouth, the rest
            passed through unchanged.
        fps: frames per second of the result.
        width, height: pixels.
        variant: the generator that was used.
        timings: seconds of work per stage; stages overlap, so they add up to more than the wall
            time, which is under "total".
        warnings: sentences for the user.
        score: sync score of result and source; None if not scored.
        subtitles: .srt file next to the result; None without subtitles.
        provenance: how the result is marked as AI-made, a sentence for the user.
    """

    path: Path
    frames: int
    frames_synced: int
    fps: Fraction
    width: int
    height: int
    variant: str
    timings: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    score: ScoreCard | None = None
    subtitles: Path | None = None
    provenance: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.frames / self.fps)


def _warn_renamed(old: str, new: str) -> None:
    warnings.warn(f"{old} is now called {new}", DeprecationWarning, stacklevel=3)
