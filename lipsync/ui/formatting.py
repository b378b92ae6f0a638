"""Text for the page: progress, results, errors."""

from __future__ import annotations

import logging
from collections.abc import Callable

from lipsync.errors import Cancelled, LipsyncError
from lipsync.options import MediaOptions
from lipsync.progress import Progress
from lipsync.types import Plan, SyncResult, TimeRange
from lipsync.ui.jobs import Waiting
from lipsync.ui.labels import in_labels
from lipsync.ui.languages import strings, translated
from lipsync.utils.timecodes import spoken_duration

_log = logging.getLogger(__name__)
_SAME_SECONDS = 0.1
"""Lengths that differ by less count as equal."""


def progress_text(label: str, progress: Progress) -> str:
    """One line with the label, stage, amount done and time left."""
    parts = [label, translated(progress.stage), _amount(progress)]
    if progress.seconds_left is not None:
        parts.append(strings.STATUS_LEFT.format(left=duration_text(progress.seconds_left)))
    return " · ".join(filter(None, parts))


def _amount(progress: Progress) -> str:
    """How much is done; "" while the total is unknown."""
    if not progress.total:
        return ""
    if progress.counts_bytes:
        return strings.STATUS_BYTES.format(done=progress.done / 1e6, total=progress.total / 1e6)
    texts = {"s": strings.STATUS_SECONDS, "line": strings.STATUS_LINES, "video": strings.STATUS_VIDEOS}
    return texts.get(progress.unit, strings.STATUS_FRAMES).format(done=progress.done, total=progress.total)


def duration_text(seconds: float) -> str:
    """Seconds as `4.2 s` or `3 min 5 s`, with the units of the language."""
    return translated(spoken_duration(seconds))


def waiting_text(waiting: Waiting) -> str:
    """Who is before a run, and for how long."""
    text = strings.WAITING_ONE if waiting.ahead == 1 else strings.WAITING.format(count=waiting.ahead)
    if waiting.seconds is None:
        return text
    return text + strings.WAITING_SECONDS.format(time=duration_text(round(waiting.seconds)))


def result_markdown(result: SyncResult) -> str:
    """Summary and warnings of a result, as Markdown."""
    done = strings.RESULT_DONE.format(
        total=result.timings["total"],
        seconds=result.duration,
        width=result.width,
        height=result.height,
        fps=float(result.fps),
        variant=result.variant,
    )
    warnings = (f"- {in_labels(strip_folders(warning))}" for warning in result.warnings)
    return "\n".join([done, "", *warnings, "", in_labels(result.provenance)]).rstrip()


def error_text(error: Exception, reword: Callable[[str], str] = in_labels) -> str:
    """The message for a visitor; an error that is not a `LipsyncError` is logged, and its details hidden.

    Args:
        reword: puts settings into the words of the reader; callers of the API know them by name.
    """
    if isinstance(error, Cancelled):
        return strings.STATUS_STOPPED
    if isinstance(error, LipsyncError):
        return strip_folders(_sentences(error, reword))
    _log.error("unexpected", exc_info=error)
    return _sentences(LipsyncError(strings.UNEXPECTED, hint=strings.UNEXPECTED_HINT), str)


def _sentences(error: LipsyncError, reword: Callable[[str], str]) -> str:
    """What `LipsyncError.worded` returns, with the punctuation of the language."""
    form = strings.ERROR_GIVEN if error.given else strings.ERROR
    sentence = form.format(what=reword(error.what), given=error.given)
    return " ".join(filter(None, [sentence, reword(error.hint)]))


def strip_folders(text: str) -> str:
    """Reduce paths on this machine to file names: visitors must not learn its folders."""
    words = []
    for word in text.split(" "):
        at = word.find("/")
        is_path = at >= 0 and "://" not in word and not word[:at].strip("'\"(") and word.count("/") > 1
        words.append(word[:at] + word.rsplit("/", 1)[1] if is_path else word)
    return " ".join(words)


def lengths_text(plan: Plan, media: MediaOptions) -> str:
    """What is used of video and voice, where their lengths differ or parts are chosen; "" for a photo."""
    parts, longer = media.video_ranges, plan.video_seconds - plan.voice_seconds
    if not plan.video_seconds or (not parts and abs(longer) < _SAME_SECONDS):
        return ""
    video = (strings.STATUS_VIDEO, strings.STATUS_PART, strings.STATUS_PARTS)[min(len(parts), 2)]
    rest = ""
    if longer >= _SAME_SECONDS and media.length_mode not in ("stretch", "picture"):
        rest = _unused(parts, plan)
    elif longer <= -_SAME_SECONDS and media.length_mode in ("picture", "shorter"):
        rest = strings.STATUS_UNUSED["voice"].format(seconds=-longer)
    elif abs(longer) >= _SAME_SECONDS:
        rest = strings.STATUS_FILLED[media.length_mode]
    return strings.STATUS_LENGTHS.format(
        video=video.format(count=len(parts), seconds=plan.video_seconds), voice=plan.voice_seconds, rest=rest
    )


def _unused(parts: tuple[TimeRange, ...], plan: Plan) -> str:
    """Which parts come after the end of the result, else how much of the video."""
    starts, at = [], 0.0
    for part in parts:
        starts.append(at)
        at = float("inf") if part.end is None else at + part.end - part.start
    unused = sum(start >= plan.seconds - _SAME_SECONDS for start in starts)
    if not unused:
        return strings.STATUS_UNUSED["rest"].format(seconds=plan.video_seconds - plan.seconds)
    number = len(parts) - unused + 1
    return strings.STATUS_UNUSED["one" if unused == 1 else "many"].format(number=number, count=len(parts))
