"""One line drawn again: the parts of the last result that change."""

from __future__ import annotations

import dataclasses

import numpy as np

from lipsync.errors import InputError
from lipsync.pipeline.arguments import Redraw
from lipsync.pipeline.job import Job
from lipsync.types import SyncResult, TimeRange
from lipsync.ui.languages import strings
from lipsync.ui.request import SyncRequest

_Line = tuple[float, float, str, str, float]
"""Start, end, face, voice file, and start in it."""


def redraw_request(request: SyncRequest, before: SyncRequest, result: SyncResult, row: int) -> SyncRequest:
    """The request that draws one row alone, with whatever has changed since the result was made.

    Args:
        request: now, with its texts spoken.
        before: what the result was made of.
        row: index among the segments.

    Raises:
        InputError: the result is of another video or length.
        LipsyncError: an input cannot be opened.
    """
    job, earlier = request.open(), before.open()
    same = job.video.info.path == earlier.video.info.path and np.array_equal(job.timeline, earlier.timeline)
    if not same or request.options.media.video_ranges != before.options.media.video_ranges:
        raise InputError(strings.REDRAW_OTHER)
    lines, old = _lines(job), _lines(earlier)
    wanted = [line for number, line in lines if number == row]
    changed = {line for _, line in lines} ^ {line for _, line in old}
    parts = sorted({(start, end) for start, end, *_ in [*wanted, *changed]})
    redraw = Redraw(result.path, tuple(TimeRange(start, end) for start, end in parts))
    note = strings.REDRAW_DONE if len(parts) == 1 else strings.REDRAW_MORE
    return dataclasses.replace(request, redraw=redraw, notes=(*request.notes, note.format(number=row + 1)))


def _lines(job: Job) -> list[tuple[int, _Line]]:
    """Number and description of each segment."""
    return [
        (
            one.number,
            (
                round(one.start, 3),
                round(one.end, 3),
                str(one.segment.face),
                str(job.voices[one.segment.voice_file].info.path),
                round(one.voice_start, 3),
            ),
        )
        for one in job.segments
        if one.end > one.start
    ]
