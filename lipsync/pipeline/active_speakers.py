"""Active speakers of a job: who speaks when in the source, as segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lipsync.context import RunContext
from lipsync.dubbing import SpeakerTurn, find_speakers
from lipsync.errors import NoFaceError
from lipsync.faces import DetectionCache
from lipsync.media import VideoReader
from lipsync.pipeline.excerpt import cut_ranges
from lipsync.pipeline.job import SPEAKING, Job
from lipsync.pipeline.turn_cache import cached_turns
from lipsync.segments import FacePoint, Segment, place_segments
from lipsync.types import TimeRange

_SHORTEST = 0.04
"""Seconds; a shorter stretch of a turn is not drawn."""
_PREVIEW_STEP = 3.0
_PREVIEW_SECONDS = 6.0
"""Seconds before and after a multiple of the step in which is found who speaks at the moments near it."""
_LENGTHS_DIFFER = 0.5


def assign_speakers(
    job: Job, context: RunContext, around: float | None = None, cache: DetectionCache | None = None
) -> tuple[Job, tuple[str, ...]]:
    """The job with a segment for each turn of a face that speaks in the source, and warnings.

    The voice keeps the source's times and is heard as it is. Where nobody in the picture speaks, all lips are
    left alone. Jobs whose settings choose the face in another way are returned as they are.

    Args:
        around: seconds in the result around which alone the speakers are found, for a preview; there may be
            none. Those of a few seconds are found together, so that the next preview has them.
        cache: of turns; None caches nothing.

    Raises:
        NoFaceError: nobody in the picture speaks.
        MediaError, WeightsError, Cancelled: as `find_speakers`.
    """
    if context.options.faces.which_face != SPEAKING:
        return job, ()
    start, media = 0.0, context.options.media
    if around is not None:
        middle = round(around / _PREVIEW_STEP) * _PREVIEW_STEP
        start = max(0.0, middle - _PREVIEW_SECONDS)
        media = replace(media, video_ranges=_part(job.video, start, middle + _PREVIEW_SECONDS))
    path = job.video.info.path

    def search() -> tuple[SpeakerTurn, ...]:
        return find_speakers(path, media=media, progress=context.progress, cancel=context.cancel)

    turns = cached_turns(search, path, media, cache)
    end = min(job.seconds, job.voices[0].duration)
    segments = _segments(turns, start, end)
    if not segments and around is None:
        raise NoFaceError(
            "Nobody in the picture speaks in the video's own sound",
            given=path,
            hint="Choose the face in another way ('which_face').",
        )
    placed = place_segments(segments, job.seconds, [job.voices[0].duration])
    return replace(job, segments=placed), _warnings(job, turns)


def _part(video: VideoReader, start: float, end: float) -> tuple[TimeRange, ...]:
    """The stretch of a video between two of its times, as ranges of its file."""
    spans = tuple(TimeRange(first, first + length) for first, length in video.range_spans)
    parts = cut_ranges(spans, start, end)
    return tuple(part for part in parts if part.end is not None and part.end - part.start > _SHORTEST)


def _segments(turns: Sequence[SpeakerTurn], start: float, end: float) -> list[Segment]:
    """Segments of turns `start` seconds later, as far as `end`; one point for each face in each shot."""
    points: dict[tuple[int, int], FacePoint] = {}
    segments = []
    for turn in turns:
        if turn.face is None or turn.point is None:
            continue
        moved = replace(turn.point, time=turn.point.time + start)
        point = points.setdefault((turn.face, turn.track), moved)
        first, last = turn.start + start, min(turn.end + start, end)
        if last - first >= _SHORTEST:
            time = TimeRange(first, last)
            segments.append(Segment(time, point, time))
    return segments


def _warnings(job: Job, turns: Sequence[SpeakerTurn]) -> tuple[str, ...]:
    warnings = []
    voice, video = job.voices[0].duration, job.seconds
    if abs(voice - video) > _LENGTHS_DIFFER:
        warnings.append(
            f"The voice lasts {voice:.2f} s and the video {video:.2f} s: the voice must have the "
            "video's times, since who speaks is taken from there."
        )
    unseen = sum(turn.end - turn.start for turn in turns if turn.face is None)
    if unseen:
        warnings.append(
            f"{unseen:.1f} s of the video's speech come from nobody in the picture; there all lips are left "
            "as they are."
        )
    return tuple(warnings)
