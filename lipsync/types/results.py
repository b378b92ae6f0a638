"""Results of the pipeline: plan, preview, finished video."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from lipsync.types.faces import Mask, PixelBox, SeenFace
from lipsync.types.media import FloatArray, Frame
from lipsync.types.score import ScoreCard


@dataclass(frozen=True)
class Plan:
    """Properties of a result before it is made.

    Attributes:
        frames: frames in the result, `fps` of them a second.
        width, height: pixels.
        picture_seconds, voice_seconds: lengths of the inputs, after ranges; 0 for a photo.
    """

    frames: int
    fps: Fraction
    width: int
    height: int
    picture_seconds: float
    voice_seconds: float

    @property
    def seconds(self) -> float:
        """Length of the result."""
        return float(self.frames / self.fps)


@dataclass(frozen=True, repr=False)
class Preview:
    """One frame of the result, with face box, landmarks and mask.

    Attributes:
        time: seconds from the start of the result.
        source, result: the frame before and after, full size.
        box: the face box that was used; None when there is no face and the frame passes through.
        points: float32 (5, 2) landmarks; None without a box.
        mask: alpha of the generated mouth; None without a box.
        variant: the generator that was used.
        people: everybody in the shot around that moment, from the left.
        picture_time: seconds into the video (its ranges joined) that `source` was taken at; what
            `face_time` means.
    """

    time: float
    source: Frame
    result: Frame
    box: PixelBox | None
    points: FloatArray | None
    mask: Mask | None
    variant: str
    people: tuple[SeenFace, ...] = ()
    picture_time: float = 0.0


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
        warnings: things worth knowing that did not stop the job, in words.
        score: sync score of result and source; None if not scored.
        subtitles: .srt file beside the result; None without.
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

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.frames / self.fps)
