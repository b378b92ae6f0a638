"""Time ranges of a file, and the video frame to show in every output frame."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from lipsync.errors import OptionError, RangeError
from lipsync.options import LENGTH_MODES
from lipsync.types import IntArray, TimeRange

ROUNDING_SECONDS = 0.05
"""A range may end this much after the file: users type lengths that a player has rounded."""


def resolve_ranges(
    ranges: Sequence[TimeRange], duration: float, path: Path
) -> tuple[tuple[float, float], ...]:
    """Start and end of each range, seconds; the entire file if there are none.

    Args:
        ranges: parts of the file; an end of None is the end of the file.
        duration: length of the file, seconds.
        path: the file, for the error message.

    Raises:
        RangeError: a range starts or ends past the end of the file.
    """
    return tuple(_resolve(part, duration, path) for part in ranges) or ((0.0, duration),)


def _resolve(part: TimeRange, duration: float, path: Path) -> tuple[float, float]:
    end = duration if part.end is None else part.end
    if part.start >= duration or end > duration + ROUNDING_SECONDS:
        raise RangeError(
            "A range goes past the end of the file",
            given=f"{part} of {path.name!r}",
            hint=f"The file lasts {duration:.2f} s; choose times between 0 and that.",
        )
    return part.start, min(end, duration)


def frames_for(seconds: float, fps: Fraction) -> int:
    """Number of frames that last `seconds`, to the nearest; at least one."""
    return max(1, int(Fraction(seconds) * fps + Fraction(1, 2)))


def plan_timeline(
    video_frames: int,
    audio_seconds: float | None,
    fps: Fraction,
    mode: str,
    *,
    still: bool | None = None,
) -> IntArray:
    """Index of the video frame to show in every output frame.

    Args:
        video_frames: number N of frames of the video.
        audio_seconds: length of the audio; None without audio, for which the video is shown once.
        fps: frames per second of the output.
        mode: one of `options.LENGTH_MODES`.
        still: the video is a single image without a duration, which lasts as long as the audio in
            every mode. None takes any video of one frame for a still.

    Returns:
        int64 (T,) with values in [0, N); T is right to the nearest frame and at least 1.

    Raises:
        OptionError: there is no such mode.
        ValueError: `video_frames` is less than 1.
    """
    if mode not in LENGTH_MODES:
        known = ", ".join(LENGTH_MODES)
        raise OptionError("There is no such length mode", given=repr(mode), hint=f"Use one of: {known}.")
    if video_frames < 1:
        raise ValueError(f"a video has at least one frame, not {video_frames}")
    if audio_seconds is None:
        return np.arange(video_frames, dtype=np.int64)
    audio_frames = frames_for(audio_seconds, fps)
    if still or (still is None and video_frames == 1):
        return np.zeros(audio_frames, dtype=np.int64)
    if mode == "picture":
        return np.arange(video_frames, dtype=np.int64)
    if mode == "shorter":
        return np.arange(min(video_frames, audio_frames), dtype=np.int64)
    return _fill(video_frames, np.arange(audio_frames, dtype=np.int64), mode)


def _fill(frames: int, slots: IntArray, mode: str) -> IntArray:
    """Video frames for `slots` 0..T-1, in the modes that last as long as the audio."""
    if mode == "loop":
        return slots % frames
    if mode == "hold":
        return np.minimum(slots, frames - 1)
    if mode == "stretch":  # the middle of each output frame, floor((i + 0.5) * N / T), in integers
        return (2 * slots + 1) * frames // (2 * len(slots))
    there_and_back = slots % max(1, 2 * frames - 2)  # 0 .. N-1 .. 1, so neither end is shown twice
    return np.where(there_and_back < frames, there_and_back, 2 * frames - 2 - there_and_back)
