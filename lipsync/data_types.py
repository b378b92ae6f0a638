"""The values that travel between stages: shapes, dtypes, colour order and units.

Pictures are RGB uint8 `(H, W, 3)`; sound is float32 in [-1, 1]; times are seconds; boxes are
`x1, y1, x2, y2` in pixels of the frame, the right and lower edges excluded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.errors import RangeError
from lipsync.scores import ScoreCard

Frame: TypeAlias = npt.NDArray[np.uint8]
"""One picture, (H, W, 3) RGB uint8."""
FloatArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
PixelBox: TypeAlias = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels of the frame, the right and lower edges excluded."""

_CLOCK = r"(?:\d+:){0,2}\d+(?:\.\d*)?|\.\d+"
_RANGE = re.compile(rf"\s*(?P<start>{_CLOCK})?\s*(?:-|–|—|to)\s*(?P<end>{_CLOCK})?\s*")


def _seconds(clock: str) -> float:
    """`1:02:03.5`, `62:03.5` or `3723.5` as seconds."""
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


@dataclass(frozen=True)
class TimeRange:
    """A part of a file, in seconds from its start; `end` None means to the end."""

    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if self.start < 0:
            raise RangeError("A range starts before 0", given=self)
        if self.end is not None and self.end <= self.start:
            hint = "Write the earlier time first, for example 2-4.5."
            raise RangeError("A range is empty or runs backwards", given=self, hint=hint)

    @classmethod
    def parse(cls, text: str) -> TimeRange:
        """Read `start-end`; each side is seconds or h:m:s.ms, and either may be left out.

        >>> TimeRange.parse("1:02.5-70")
        TimeRange(start=62.5, end=70.0)
        """
        match = _RANGE.fullmatch(text)
        if not match or not (match["start"] or match["end"]):
            raise RangeError(
                "A time range cannot be read",
                given=repr(text),
                hint="Write start-end in seconds or h:m:s, for example 2.5-10 or 1:02-1:15.5.",
            )
        start = _seconds(match["start"]) if match["start"] else 0.0
        return cls(start, _seconds(match["end"]) if match["end"] else None)

    @classmethod
    def parse_list(cls, text: str) -> tuple[TimeRange, ...]:
        """Read several ranges parted by commas, semicolons or new lines; keeps their order."""
        return tuple(cls.parse(part) for part in re.split(r"[,;\n]", text) if part.strip())

    def __str__(self) -> str:
        return f"{self.start:g}-{'' if self.end is None else format(self.end, 'g')}"


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a picture source before its frames are read.

    Attributes:
        path: the file.
        width, height: pixels of a frame as it is shown, that is, after rotation.
        fps: frames per second of the constant rate that the frames are read at; for a
            variable-rate file the rate that loses no frame.
        duration: seconds of picture.
        frame_count: frames at `fps` in the whole file; 1 for a photo.
        is_still: the file is a photo.
        variable_frame_rate, interlaced: as found in the first packets and frames.
        rotation: degrees clockwise that were applied to show it upright.
        bit_depth: bits per colour component in the file.
        color_range: "tv" or "pc"; color_space, color_primaries, color_transfer: ffmpeg's names,
            "" where the file does not say.
        sample_aspect_ratio: width of a pixel over its height.
        has_audio: the file has a sound track too.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    duration: float
    frame_count: int
    is_still: bool = False
    variable_frame_rate: bool = False
    interlaced: bool = False
    rotation: int = 0
    bit_depth: int = 8
    color_range: str = "tv"
    color_space: str = ""
    color_primaries: str = ""
    color_transfer: str = ""
    sample_aspect_ratio: Fraction = Fraction(1)
    has_audio: bool = False


@dataclass(frozen=True)
class AudioInfo:
    """What is known of a sound source: the first audio stream of `path`."""

    path: Path
    sample_rate: int
    channels: int
    duration: float


@dataclass(frozen=True, repr=False)
class AudioClip:
    """Mono sound for the network: `samples` float32 (n,) in [-1, 1] at `sample_rate` Hz."""

    samples: FloatArray
    sample_rate: int = 16_000

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"samples must be float32 (n,), got {self.samples.dtype} {self.samples.shape}")

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    def __repr__(self) -> str:
        return f"AudioClip({len(self.samples)} samples at {self.sample_rate} Hz, {self.duration:.3f} s)"


@dataclass(frozen=True, repr=False)
class Face:
    """One detected face.

    Attributes:
        box: float32 (4,) x1, y1, x2, y2 in pixels of the frame.
        score: the detector's confidence, 0..1.
        points: float32 (5, 2) x, y of the eye on the left of the picture, the eye on the right,
            nose tip, mouth corner on the left, mouth corner on the right; None where the
            detector gives none.
    """

    box: FloatArray
    score: float
    points: FloatArray | None = None

    @property
    def area(self) -> float:
        """Square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    @property
    def centre(self) -> tuple[float, float]:
        """x, y of the middle of the box."""
        return float(self.box[0] + self.box[2]) / 2, float(self.box[1] + self.box[3]) / 2

    def __repr__(self) -> str:
        return f"Face(box={np.round(self.box, 1).tolist()}, score={self.score:.2f})"


@dataclass(frozen=True, repr=False)
class FaceTrack:
    """The chosen face in each of T frames.

    Attributes:
        boxes: float32 (T, 4) x1, y1, x2, y2, after smoothing and pads; NaN where there is none.
        points: float32 (T, 5, 2) as in `Face`, smoothed like the boxes; NaN where unknown.
        scores: float32 (T,) confidence, interpolated between looked-at frames; 0 where no face.
    """

    boxes: FloatArray
    points: FloatArray
    scores: FloatArray

    def __post_init__(self) -> None:
        count = len(self.boxes)
        shapes = (self.boxes.shape, self.points.shape, self.scores.shape)
        if shapes != ((count, 4), (count, 5, 2), (count,)):
            raise ValueError(f"boxes, points and scores do not fit together: {shapes}")

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """bool (T,): frames that have a face; the others pass through untouched."""
        return ~np.isnan(self.boxes[:, 0])

    def __repr__(self) -> str:
        return f"FaceTrack({len(self)} frames, {int(self.present.sum())} with a face)"


@dataclass(frozen=True, repr=False)
class Mask:
    """Where and how strongly the generated picture shows, inside one rectangle of a frame.

    Attributes:
        x, y: upper left corner of the rectangle in the frame, pixels.
        alpha: float32 (h, w) in [0, 1]; 0 keeps the source pixel.
    """

    x: int
    y: int
    alpha: FloatArray

    def __repr__(self) -> str:
        return f"Mask(x={self.x}, y={self.y}, alpha {self.alpha.shape})"


@dataclass(frozen=True)
class Plan:
    """What a run would make, known before any work.

    Attributes:
        frames: frames in the result, `fps` of them a second.
        width, height: pixels.
        picture_seconds, voice_seconds: lengths of what goes in, after ranges; 0 for a photo.
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


@dataclass(frozen=True)
class SeenFace:
    """Somebody in the previewed scene, to be chosen from.

    Attributes:
        box: where, in the median of the frames that were looked at, without pads.
        x, y: the middle of it as shares of width and height: what `face_x` and `face_y` mean.
        chosen: this one speaks.
    """

    box: PixelBox
    x: float
    y: float
    chosen: bool


@dataclass(frozen=True, repr=False)
class Preview:
    """One frame of the result, and how it came about.

    Attributes:
        time: seconds from the start of the result.
        source, result: the frame before and after, full size.
        box: the face box that was used; None when there is no face and the frame passes through.
        points: float32 (5, 2) face points; None without a box.
        mask: where the generated picture shows; None without a box.
        variant: the generator that was used.
        people: everybody who is seen around that moment, from the left.
        picture_time: seconds into the picture (its ranges joined) that `source` was taken at; what
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
    """What a finished job gives back.

    Attributes:
        path: the finished video; None for a run that was only measured.
        frames: frames in the result; `frames_synced` of them carry a generated mouth, the rest
            passed through unchanged.
        fps: frames per second of the result.
        width, height: pixels.
        variant: the generator that was used.
        timings: seconds of work per stage; stages overlap, so they add up to more than the wall
            time, which is under "total".
        warnings: things worth knowing that did not stop the job, in words.
        score: how well lips and voice go together, before and after; None where it was not measured.
        subtitles: what is said, as a file beside the result; None without.
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
