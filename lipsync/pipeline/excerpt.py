"""Excerpt: a few seconds of a job as a job of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lipsync.errors import RangeError
from lipsync.options import MediaOptions, SyncOptions
from lipsync.pipeline.job import Job
from lipsync.segments import PlacedSegment, Segment
from lipsync.types import IntArray, TimeRange

EXCERPT_SECONDS = 3.0
"""Length of an excerpt."""
_SHORTEST_SECONDS = 0.2


@dataclass(frozen=True)
class Excerpt:
    """Part of a result.

    Attributes:
        start, end: in the result, seconds.
        options: those of the whole job, reduced to the part; without score, subtitles and voice shift.
        segments: those of the whole job that are in it.
    """

    start: float
    end: float
    options: SyncOptions
    segments: tuple[Segment, ...]


def excerpt(job: Job, options: SyncOptions, at: float, seconds: float = EXCERPT_SECONDS) -> Excerpt:
    """The part of a job's result around `at` seconds, as a job of its own.

    Frames that the whole result shows backwards are shown forwards.

    Args:
        job: opened with `options`.

    Raises:
        RangeError: nobody speaks in that part.
    """
    fps = job.video.fps
    count = min(len(job.timeline), max(1, round(seconds * fps)))
    first = min(max(0, int((at - seconds / 2) * fps)), len(job.timeline) - count)
    start, end = float(first / fps), float((first + count) / fps)
    segments = [_cut_segment(one, start, end) for one in job.segments if one.start < end and start < one.end]
    spoken = None if job.segments else _spoken(job, options.media, start, end)
    if not segments and not spoken:
        raise RangeError("Nobody speaks there", given=f"{start:g} to {end:g} s", hint="Choose another time.")
    options = replace(
        options,
        report=replace(options.report, score=False, subtitles="none"),
        media=replace(options.media, codec="h264"),  # which browsers play
    )
    if not job.video.is_still:
        options = _cut_video(job, options, job.timeline[first : first + count])
    if spoken:
        shift = max(0.0, options.media.voice_shift - 1000 * start)
        ranges = cut_ranges(options.media.voice_ranges, *spoken)
        options = replace(options, media=replace(options.media, voice_ranges=ranges, voice_shift=shift))
    return Excerpt(start, end, options, tuple(segments))


def _spoken(job: Job, media: MediaOptions, start: float, end: float) -> tuple[float, float] | None:
    """Start and end of the voice that is heard in a part of the result; None where there is none."""
    shift = media.voice_shift / 1000
    low, high = max(0.0, start - shift), min(end - shift, job.voices[0].duration - shift)
    return (low, high) if high - low >= _SHORTEST_SECONDS else None


def _cut_video(job: Job, options: SyncOptions, shown: IntArray) -> SyncOptions:
    """The options with the video reduced to the frames that are shown."""
    media, faces, fps = options.media, options.faces, job.video.fps
    is_continuous = media.length_mode in ("hold", "stretch")
    runs = [(int(shown.min()), int(shown.max()))] if is_continuous else _runs(shown)
    times = [(float(low / fps), float((high + 1) / fps)) for low, high in runs]
    ranges = tuple(part for one in times for part in cut_ranges(media.video_ranges, *one))
    seconds = sum(high - low for low, high in times)
    face_time = min(max(0.0, faces.face_time - times[0][0]), seconds)
    return replace(
        options,
        media=replace(media, video_ranges=ranges),
        faces=replace(faces, face_time=face_time),
    )


def cut_ranges(ranges: tuple[TimeRange, ...], start: float, end: float) -> tuple[TimeRange, ...]:
    """The parts of a file that lie between two times of its joined ranges; no ranges are the whole file."""
    parts, at = [], 0.0
    for part in ranges or (TimeRange(),):
        length = (math.inf if part.end is None else part.end) - part.start
        low, high = max(start, at), min(end, at + length)
        if high > low:
            parts.append(TimeRange(part.start + low - at, part.start + high - at))
        at += length
    return tuple(parts)


def _runs(shown: IntArray) -> list[tuple[int, int]]:
    """First and last frame of each run of neighbours, which is played forwards."""
    breaks = np.flatnonzero(np.abs(np.diff(shown)) > 1) + 1
    runs = np.split(shown, breaks)
    return [(int(run[0] if run[:2].max() > run[0] else run.min()), int(run.max())) for run in runs]


def _cut_segment(placed: PlacedSegment, start: float, end: float) -> Segment:
    low, high = max(placed.start, start), min(placed.end, end)
    heard = placed.voice_start + low - placed.start
    return replace(
        placed.segment,
        time=TimeRange(low - start, high - start),
        voice=TimeRange(heard, heard + high - low),
    )
