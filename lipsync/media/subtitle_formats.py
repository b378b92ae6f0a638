"""Subtitle formats: SubRip (SRT) and WebVTT (W3C), read and written as UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

from lipsync.errors import MediaError
from lipsync.utils.checked_file import checked_file
from lipsync.utils.timecodes import parse_time, subtitle_time

_TIME = r"((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})"
_TIMES = re.compile(rf"{_TIME}\s*-->\s*{_TIME}")
_ARROW = re.compile(r"^.*-->.*$", re.MULTILINE)


@dataclass(frozen=True)
class Cue:
    """Subtitle cue.

    Attributes:
        start, end: seconds.
        text: its lines, separated by line breaks.
    """

    start: float
    end: float
    text: str


def read_subtitles(path: Path | str) -> tuple[Cue, ...]:
    """The cues of an SRT or WebVTT file in UTF-8, sorted by start, without empty ones.

    Raises:
        MediaError: it is missing, not in UTF-8, or has no cues.
    """
    path = checked_file(path)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "Save it as UTF-8."
        raise MediaError("The subtitles are not in UTF-8", given=path, hint=hint) from error
    cues = parse_subtitles(text)
    if not cues:
        hint = "Give an .srt or .vtt file."
        raise MediaError("There are no subtitles in the file", given=path, hint=hint)
    return tuple(sorted((cue for cue in cues if cue.end > cue.start), key=lambda cue: cue.start))


def parse_subtitles(text: str) -> list[Cue]:
    """The cues of SRT or WebVTT text in its order, without those that have no text."""
    return [cue for cue in subtitle_blocks(text) if isinstance(cue, Cue)]


def subtitle_blocks(text: str) -> Iterator[Cue | str]:
    """The cues of SRT or WebVTT text that have text; of a block whose times cannot be read, their line."""
    escaped = text.startswith("WEBVTT")
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        if found := _TIMES.search(block):
            _, _, words = block[found.end() :].partition("\n")  # WebVTT may have settings after the times
            words = unescape(words.strip()) if escaped else words.strip()
            if words:
                start, end = (parse_time(time.replace(",", ".")) for time in found.groups())
                yield Cue(start, end, words)
        elif arrow := _ARROW.search(block):
            yield arrow[0].strip()


def format_srt(cues: Iterable[Cue]) -> str:
    """The cues as SRT text."""
    # SubRip has no escapes, and players find the times by the arrow.
    blocks = [
        f"{number}\n{_times(cue, ',')}\n{cue.text.replace('-->', '->')}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def format_vtt(cues: Iterable[Cue]) -> str:
    """The cues as WebVTT text."""
    blocks = [f"{_times(cue, '.')}\n{escape(cue.text, quote=False)}\n" for cue in cues]
    return "\n".join(["WEBVTT\n", *blocks])


def _times(cue: Cue, separator: str) -> str:
    return f"{subtitle_time(cue.start, separator)} --> {subtitle_time(cue.end, separator)}"
