"""Frames, audio clips, time ranges and properties of media files."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.errors import RangeError
from lipsync.utils.given_values import finite_number, short_repr
from lipsync.utils.timecodes import TIME_PATTERN, parse_time

Frame: TypeAlias = npt.NDArray[np.uint8]
"""One frame, (H, W, 3) RGB uint8."""
Crops: TypeAlias = npt.NDArray[np.uint8] | list[Frame]
"""Face crops, (B, H, W, 3) RGB uint8, or where each has its own size a list of B frames."""
FloatArray: TypeAlias = npt.NDArray[np.float32]
Mouths: TypeAlias = FloatArray | list[FloatArray]
"""Generated crops, float32 (B, 3, H, W) RGB in [0, 1], or where each has its own size a list of B."""
IntArray: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_RANGE = re.compile(rf"\s*(?P<start>{TIME_PATTERN})?\s*(?:-|–|—|to)\s*(?P<end>{TIME_PATTERN})?\s*")


@dataclass(frozen=True)
class TimeRange:
    """Part of a file in seconds from its start; `end` None means to the end.

    Raises:
        RangeError: a time is no number, or the range is empty or reversed.
    """

    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _seconds(self.start))
        if self.end is not None:
            object.__setattr__(self, "end", _seconds(self.end))
        if self.start < 0:
            hint = "Write a time from 0 on, for example 0-4.5."
            raise RangeError("A range starts before 0", given=self, hint=hint)
        if self.end is not None and self.end <= self.start:
            hint = "Write the earlier time first, for example 2-4.5."
            raise RangeError("A range is empty or runs backwards", given=self, hint=hint)

    @classmethod
    def parse(cls, text: str) -> TimeRange:
        """Range from `start-end`; each side is seconds or h:m:s.ms, and either may be left out.

        >>> TimeRange.parse("1:02.5-70")
        TimeRange(start=62.5, end=70.0)

        Raises:
            RangeError: the text is not of that form, or the range is empty or reversed.
        """
        match = _RANGE.fullmatch(text)
        if not match or not (match["start"] or match["end"]):
            raise RangeError(
                "A time range cannot be read",
                given=repr(text),
                hint="Write start-end in seconds or h:m:s, for example 2.5-10 or 1:02-1:15.5.",
            )
        start = parse_time(match["start"]) if match["start"] else 0.0
        return cls(start, parse_time(match["end"]) if match["end"] else None)

    @classmethod
    def parse_list(cls, text: str) -> tuple[TimeRange, ...]:
        """Ranges separated by commas, semicolons or new lines, in their order."""
        return tuple(cls.parse(part) for part in re.split(r"[,;\n]", text) if part.strip())

    def __str__(self) -> str:
        return f"{self.start:g}-{'' if self.end is None else format(self.end, 'g')}"


def _seconds(value: Any) -> float:
    """A time as a number; whole seconds stay whole.

    Raises:
        RangeError: it is no finite number.
    """
    try:
        seconds = finite_number(value)
        if not math.isnan(seconds):
            return seconds
    except (TypeError, ValueError, OverflowError):
        pass
    hint = "Give seconds as numbers, such as TimeRange(2, 4.5)."
    raise RangeError("A time is not a number", given=short_repr(value), hint=hint)


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video or photo, known before its frames are read.

    Attributes:
        path: the file.
        width, height: pixels of a frame as it is shown, that is, after rotation.
        fps: frames per second of the constant rate that the frames are read at; for a
            variable-rate file the rate that loses no frame.
        duration: seconds of video.
        frame_count: frames at `fps` in the whole file; 1 for a photo.
        is_still: the file is a photo.
        variable_frame_rate, interlaced: as found in the first packets and frames.
        rotation: degrees clockwise that were applied to show it upright.
        bit_depth: bits per colour component in the file.
        color_range: "tv" or "pc"; color_space, color_primaries, color_transfer: ffmpeg's names,
            "" where the file does not say.
        sample_aspect_ratio: width of a pixel over its height.
        has_audio: the file has an audio stream too.
        has_alpha: its frames have an alpha channel.
        transparent: some of the first frames have transparent pixels.
        chroma: how chroma is sampled: "420", "422" or "444", the latter for RGB too.
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
    has_alpha: bool = False
    transparent: bool = False
    chroma: str = "420"


@dataclass(frozen=True)
class AudioInfo:
    """Properties of the first audio stream of `path`; `duration` in seconds."""

    path: Path
    sample_rate: int
    channels: int
    duration: float


@dataclass(frozen=True, repr=False)
class AudioClip:
    """Mono audio: `samples` float32 (n,) in [-1, 1] at `sample_rate` Hz."""

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
