"""Progress, results and errors in words for people."""

from __future__ import annotations

import logging

from lipsync.errors import Cancelled, LipsyncError
from lipsync.progress import Progress
from lipsync.types import SyncResult
from lipsync.ui import strings
from lipsync.utils.timecodes import spoken_duration

_log = logging.getLogger(__name__)
_BYTES = 100_000
"""A total above this counts bytes; below, frames."""
_IN_SECONDS = ("Measuring loudness", "Transcribing speech", "Separating the voice")
"""Stages that count seconds of sound."""


def describe_progress(what: str, progress: Progress) -> str:
    """One line for the status: stage, how far, time left."""
    parts = [what, progress.stage]
    if progress.total > _BYTES:
        parts.append(strings.STATUS_BYTES.format(done=progress.done / 1e6, total=progress.total / 1e6))
    elif progress.total and progress.stage in _IN_SECONDS:
        parts.append(strings.STATUS_SECONDS.format(done=progress.done, total=progress.total))
    elif progress.total:
        parts.append(strings.STATUS_FRAMES.format(done=progress.done, total=progress.total))
    if progress.seconds_left is not None:
        parts.append(strings.STATUS_LEFT.format(left=spoken_duration(progress.seconds_left)))
    return " · ".join(filter(None, parts))


def describe_result(result: SyncResult) -> str:
    """What was made and what to know about it, as Markdown."""
    done = strings.RESULT_DONE.format(
        total=result.timings["total"],
        seconds=result.duration,
        width=result.width,
        height=result.height,
        fps=float(result.fps),
        variant=result.variant,
    )
    return "\n".join([done, "", *(f"- {without_folders(warning)}" for warning in result.warnings)])


def in_words(error: Exception) -> str:
    """What to tell a visitor of an error; one that should not be is written to the log as well."""
    if isinstance(error, Cancelled):
        return strings.STATUS_STOPPED
    if isinstance(error, LipsyncError):
        return without_folders(str(error))
    _log.error("unexpected", exc_info=error)
    return f"{strings.UNEXPECTED}. {strings.UNEXPECTED_HINT}"


def without_folders(text: str) -> str:
    """The text with only the names of files on this machine: where they lie is no visitor's business."""
    words = []
    for word in text.split(" "):
        at = word.find("/")
        is_path = at >= 0 and "://" not in word and not word[:at].strip("'\"(") and word.count("/") > 1
        words.append(word[:at] + word.rsplit("/", 1)[1] if is_path else word)
    return " ".join(words)
