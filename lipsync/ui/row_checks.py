"""Checks of the segment editor's rows before a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lipsync.errors import LipsyncError
from lipsync.segments import FacePoint, Segment
from lipsync.ui.face_thumbnails import FaceFinder, SeenFace
from lipsync.ui.formatting import error_text
from lipsync.ui.languages import strings
from lipsync.ui.script_rows import ScriptRow
from lipsync.ui.spoken_rows import overlong
from lipsync.utils.timecodes import typed_time

_ROUNDING = 0.05
"""As `lipsync.segments` allows."""


def row_problems(
    rows: Sequence[ScriptRow],
    video_seconds: float | None,
    voice_seconds: Sequence[float],
    installed: Collection[str],
    spoken_seconds: Sequence[float | None] = (),
) -> list[str]:
    """What is wrong with each row; "" for nothing.

    Args:
        video_seconds: None for a photo, or while it is not known.
        voice_seconds: length of each voice file.
        installed: names of the speech synthesisers that are there.
        spoken_seconds: length of each row's spoken text, as far as known.
    """
    problems: list[str] = []
    segments: list[Segment | None] = []
    lengths = spoken_seconds or [None] * len(rows)
    for row, spoken in zip(rows, lengths, strict=True):
        try:
            segment = row.segment(0 if row.is_spoken else None)
        except LipsyncError as error:
            problems.append(error_text(error))
            segments.append(None)
            continue
        segments.append(segment)
        problems.append(
            _past_video(segment, video_seconds)
            or (_spoken_problem(row, installed) if row.is_spoken else _voice_problem(segment, voice_seconds))
            or (overlong(row, spoken) if spoken else "")
        )
    heard = [
        length if row.is_spoken else None if segment is None else _heard(segment, voice_seconds)
        for row, segment, length in zip(rows, segments, lengths, strict=True)
    ]
    ends = [_end(segment, video_seconds, one) for segment, one in zip(segments, heard, strict=True)]
    for first, second in _overlaps(segments, ends):
        for one, other in ((first, second), (second, first)):
            problems[one] = problems[one] or strings.ROW_OVERLAP.format(number=other + 1)
    return problems


def _past_video(segment: Segment, seconds: float | None) -> str:
    time = segment.time
    if seconds is None or (time.start < seconds and (time.end or 0) <= seconds + _ROUNDING):
        return ""
    return strings.ROW_PAST_VIDEO.format(length=typed_time(seconds))


def _spoken_problem(row: ScriptRow, installed: Collection[str]) -> str:
    name = row.voice.partition(":")[0]
    if name not in installed:
        return strings.ROW_NO_SYNTHESIZER.format(name=name)
    return "" if any(map(str.isalnum, row.text)) else strings.ROW_NO_TEXT


def _voice_problem(segment: Segment, voice_seconds: Sequence[float]) -> str:
    if segment.voice_file >= len(voice_seconds):
        return strings.ROW_NO_VOICE
    length, part = voice_seconds[segment.voice_file], segment.voice
    if part.start < length and (part.end or 0) <= length + _ROUNDING:
        return ""
    return strings.ROW_PAST_VOICE.format(length=typed_time(length))


def _heard(segment: Segment, voices: Sequence[float]) -> float | None:
    """How many seconds a row's part of its voice lasts; None if there is no such voice."""
    if segment.voice_file >= len(voices):
        return None
    part = segment.voice
    return (voices[segment.voice_file] if part.end is None else part.end) - part.start


def _end(segment: Segment | None, video: float | None, heard: float | None) -> float:
    """Where a row ends, as `place_segments` finds it, as far as that is known."""
    if segment is None:
        return 0.0
    spoken = None if heard is None else segment.time.start + heard
    return min((one for one in (segment.time.end, video, spoken) if one is not None), default=float("inf"))


def _overlaps(segments: Sequence[Segment | None], ends: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs of rows of one face of which the second starts before the first has ended."""
    order = sorted(
        (number for number, one in enumerate(segments) if one is not None),
        key=lambda number: segments[number].time.start,  # type: ignore[union-attr]
    )
    last: dict[object, int] = {}
    found = []
    for number in order:
        segment = segments[number]
        assert segment is not None
        before = last.get(segment.face)
        if before is not None and segment.time.start < ends[before]:
            found.append((before, number))
        if before is None or ends[number] >= ends[before]:
            last[segment.face] = number
    return found


def face_problems(
    rows: Sequence[ScriptRow], finder: FaceFinder
) -> tuple[list[str], dict[str, SeenFace], list[float]]:
    """What is wrong with the face of each row, the faces that rows choose, and the moments looked at.

    Raises:
        LipsyncError: the video cannot be read, or a network is missing.
    """
    problems: list[str] = []
    chosen: dict[str, SeenFace] = {}
    times = []
    for row in rows:
        try:
            segment = row.segment(0)
        except LipsyncError:  # said already
            problems.append("")
            continue
        time, face = _middle(segment, finder.seconds), segment.face
        times.append(time)
        seen = finder.chosen(face, time)
        if seen is not None:
            chosen.setdefault(row.face, seen)
            here = finder.at(time)
            problems.append("" if here else strings.ROW_NO_FACE.format(time=typed_time(time)))
        elif isinstance(face, FacePoint):
            problems.append(strings.ROW_NO_POINT.format(time=typed_time(face.time)))
        elif isinstance(face, int) and finder.at(time):
            count = len(finder.at(time))
            problems.append(strings.ROW_NO_INDEX.format(count=count, time=typed_time(time)))
        else:
            problems.append(strings.ROW_NO_FACE.format(time=typed_time(time)))
    return problems, chosen, times


def _middle(segment: Segment, seconds: float | None) -> float:
    start = segment.time.start
    end = segment.time.end if segment.time.end is not None else (seconds or start)
    return (start + end) / 2
