"""Segments: which face speaks which part of which voice, and when.

One segment per line (or separated by ";"), as a user types it:

    0-4.5  face=0            voice=0-4.5
    5-9    face=1            voice=0-4     file=1
    10-    face=0.7,0.4@12   voice=4.5-    file=0
    20-25  face="anna.png"

The time range in the video comes first. `face` is an index counted from the left, starting at 0; or a
point in fractions of width and height, with `@` and the second at which the face is there; or an image
of the person. `voice` is the part of the voice that is used, `file` the index of the voice file, starting
at 0. What is left out comes from the settings: the face that they choose, and the first voice from its
start.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from lipsync.errors import LipsyncError, OptionError, RangeError
from lipsync.options import FaceOptions, OptionGroup, option
from lipsync.types import TimeRange

_ROUNDING_SECONDS = 0.05
"""A time may be this much past an end: users type lengths that a player has rounded."""
_MAX_SEGMENTS = 2000
"""More than the lines of a feature film's dub: such a text is no list of segments."""
_SEPARATOR = re.compile(r"\s*(?:[;\n]\s*)+")
_KEY = re.compile(r"(\w+)\s*=\s*")
_QUOTED = re.compile(r'"[^"]*"')
_INDEX = re.compile(r"[0-9]{1,6}")
_MAX_INDEX = 999_999
_POINT = re.compile(r"(\d*\.?\d+)\s*,\s*(\d*\.?\d+)\s*(?:@\s*(\d+\.?\d*))?")
_WHOLE = TimeRange()
_KEYS = ("face", "voice", "file")
_EXAMPLE = "Write for example: 0-4.5 face=0 voice=0-4.5; 5-9 face=1 voice=0-4 file=1"


@dataclass(frozen=True)
class FacePoint(OptionGroup):
    """The face nearest to a point of the frame at a given time.

    Attributes:
        x, y: fractions of width and height, 0..1.
        time: seconds into the video.

    Raises:
        OptionError: a number is of the wrong kind or out of range.
    """

    x: float = option(MISSING, "across the frame, 0 left to 1 right", min=0, max=1)
    y: float = option(MISSING, "down the frame, 0 top to 1 bottom", min=0, max=1)
    time: float = option(0.0, "when the face is at that point", min=0, max=360_000, unit="s")

    def __str__(self) -> str:
        return f"{self.x:g},{self.y:g}@{self.time:g}"


FaceChoice: TypeAlias = int | FacePoint | Path | None
"""Index from the left starting at 0, a point, an image of the person, or None for the settings' choice."""


@dataclass(frozen=True)
class Segment(OptionGroup):
    """One person speaking one part of a voice file.

    Attributes:
        time: when, in the video.
        face: which face.
        voice: which part of the voice file.
        voice_file: index of the voice file, starting at 0.

    Raises:
        OptionError: a value is of the wrong kind or out of range.
    """

    time: TimeRange = option(MISSING, "when, in the video")
    face: FaceChoice = option(None, "which face")
    voice: TimeRange = option(_WHOLE, "which part of the voice file")
    voice_file: int = option(0, "index of the voice file, starting at 0", min=0, max=_MAX_INDEX)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.face, int) and not 0 <= self.face <= _MAX_INDEX:
            hint = f"Faces are counted from the left, from 0 to {_MAX_INDEX}."
            raise OptionError("'face' is out of range", given=self.face, hint=hint)
        if isinstance(self.face, Path) and re.search(r'["\n]', str(self.face)):
            raise OptionError("An image with this file name cannot be used here", given=self.face)

    def __str__(self) -> str:
        parts = [str(self.time)]
        if self.face is not None:
            parts.append(f'face="{self.face}"' if isinstance(self.face, Path) else f"face={self.face}")
        if self.voice != _WHOLE:
            parts.append(f"voice={self.voice}")
        if self.voice_file:
            parts.append(f"file={self.voice_file}")
        return " ".join(parts)

    def face_options(self, settings: FaceOptions) -> FaceOptions:
        """`settings` with this segment's choice of face."""
        if self.face is None:
            return settings
        if isinstance(self.face, Path):
            return replace(settings, which_face="reference", face_reference=self.face)
        if isinstance(self.face, int):
            return replace(settings, which_face="index", face_index=self.face)
        point = {"face_x": self.face.x, "face_y": self.face.y, "face_time": self.face.time}
        return replace(settings, which_face="point", **point)  # type: ignore[arg-type]


# The resume key of a job hashes the text of placed segments: names of their fields must not change.
@dataclass(frozen=True)
class PlacedSegment:
    """Segment with all times resolved, in seconds.

    Attributes:
        segment: as given.
        number: its index among the segments as given.
        start, end: when, in the video.
        voice_start: where it starts in the voice file; its length there is `end - start`.
    """

    segment: Segment
    number: int
    start: float
    end: float
    voice_start: float


# ------------------------------------------------------------------------------------- text


def parse_segments(text: str, allow_files: bool = True) -> tuple[Segment, ...]:
    """Parse segments in the format shown at the top of this module.

    Args:
        text: the segments.
        allow_files: whether a face may be given as an image file of this machine.

    Raises:
        OptionError, RangeError: a segment cannot be parsed; the error names it.
    """
    # Quoted text is taken out first, so that a file name may contain any character.
    quoted = _QUOTED.findall(text)
    parts = [part for part in _SEPARATOR.split(_QUOTED.sub('""', text).strip()) if part]
    if len(parts) > _MAX_SEGMENTS:
        hint = f"At most {_MAX_SEGMENTS} are possible."
        raise OptionError("There are too many segments", given=len(parts), hint=hint)
    found = []
    for number, part in enumerate(parts, 1):
        names = [quoted.pop(0)[1:-1] for _ in range(part.count('""'))]
        try:
            found.append(_parse(part, names, allow_files))
        except LipsyncError as error:
            given = f"segment {number}, {error.given}" if error.given else f"segment {number}"
            raise type(error)(error.what, given=given, hint=error.hint) from error
    return tuple(found)


def _parse(text: str, names: list[str], allow_files: bool) -> Segment:
    time, *rest = _KEY.split(text)
    values: dict[str, str] = {}
    for key, value in zip(rest[::2], rest[1::2], strict=True):
        if key not in _KEYS or key in values:
            what = "A segment gives a value twice" if key in values else "A segment has an unknown value"
            raise OptionError(what, given=f"{key}=", hint=_EXAMPLE)
        values[key] = value.strip().rstrip(",").rstrip()
    if not time.strip():
        raise RangeError("A segment has no time range", given=text, hint=_EXAMPLE)
    return Segment(
        time=TimeRange.parse(time),
        face=_parse_face(values["face"], names, allow_files) if "face" in values else None,
        voice=TimeRange.parse(values["voice"]) if "voice" in values else _WHOLE,
        voice_file=_parse_index(values.get("file", "0"), "file"),
    )


def parse_face(text: str) -> FaceChoice:
    """A choice of face as segments write it: `0`, `0.7,0.4@12` or the name of an image.

    Raises:
        OptionError: it cannot be read.
    """
    return _parse_face(text, [], allow_files=True)


def parse_speakers(texts: Sequence[str]) -> dict[str, FaceChoice]:
    """Faces of speakers from texts such as `ann=0`.

    Raises:
        OptionError: a text has no name or no face, or a name comes twice.
    """
    faces: dict[str, FaceChoice] = {}
    for text in texts:
        name, equals, face = text.partition("=")
        name = name.strip()
        if not name or not equals or not face.strip():
            hint = "Write for example ann=0 for the leftmost face, or ann=ann.png."
            raise OptionError("This names no face of a speaker", given=text, hint=hint)
        if name.casefold() in {known.casefold() for known in faces}:
            raise OptionError("A speaker has two faces", given=name, hint="Name each speaker once.")
        faces[name] = parse_face(face.strip())
    return faces


def _parse_face(text: str, names: list[str], allow_files: bool) -> FaceChoice:
    if _INDEX.fullmatch(text):
        return int(text)
    if point := _POINT.fullmatch(text):
        x, y, time = (float(part or 0) for part in point.groups())
        if x > 1 or y > 1:
            hint = "From 0,0 at the upper left to 1,1 at the lower right, for example face=0.7,0.4@12"
            raise OptionError("A point lies outside the frame", given=f"face={text}", hint=hint)
        return FacePoint(x, y, time)
    name = names.pop(0) if text == '""' and names else text
    if not name or not allow_files:
        hint = "Write an index counted from the left (face=0) or a point (face=0.7,0.4@12)"
        hint += " or an image of the person (face=anna.png)." if allow_files else "."
        raise OptionError("A face cannot be chosen like this", given=f"face={name}", hint=hint)
    return Path(name)


def _parse_index(text: str, key: str) -> int:
    if not _INDEX.fullmatch(text):
        hint = "The first is 0. " + _EXAMPLE
        raise OptionError("This is not the index of a voice file", given=f"{key}={text}", hint=hint)
    return int(text)


# ------------------------------------------------------------------------------------- times


def place_segments(
    segments: Sequence[Segment], video_seconds: float | None, voice_seconds: Sequence[float]
) -> tuple[PlacedSegment, ...]:
    """Resolve the times of segments; sorted by start.

    A segment ends with its time range or with its part of the voice, whichever comes first; after that
    frames and audio are the source's again.

    Args:
        segments: in any order.
        video_seconds: length of the video; None for a photo, which has none.
        voice_seconds: length of each voice file.

    Raises:
        RangeError: a time is past the end of video or voice, or segments of one face overlap.
        OptionError: there is no such voice file.
    """
    placed = sorted(
        (_place(segment, number, video_seconds, voice_seconds) for number, segment in enumerate(segments)),
        key=lambda segment: (segment.start, segment.number),
    )
    for position, first in enumerate(placed):
        for second in placed[position + 1 :]:
            if second.start >= first.end:
                break
            if second.segment.face == first.segment.face:
                raise RangeError(
                    "Two segments of one face overlap",
                    given=f"segment {first.number + 1} ({first.segment}) "
                    f"and segment {second.number + 1} ({second.segment})",
                    hint="End the first before the second starts, or give them different faces.",
                )
    return tuple(placed)


def _place(
    segment: Segment, number: int, video_seconds: float | None, voice_seconds: Sequence[float]
) -> PlacedSegment:
    name = f"segment {number + 1} ({segment})"
    if segment.voice_file >= len(voice_seconds):
        known = "There is one voice, file=0" if len(voice_seconds) == 1 else "They go from file=0"
        hint = known + (f" to file={len(voice_seconds) - 1}." if len(voice_seconds) > 1 else ".")
        raise OptionError("There is no such voice", given=f"file={segment.voice_file} in {name}", hint=hint)
    voice_end = _resolved_end(segment.voice, voice_seconds[segment.voice_file], "voice", name)
    length = voice_end - segment.voice.start
    if video_seconds is None:
        end = segment.time.start + length if segment.time.end is None else segment.time.end
    else:
        end = _resolved_end(segment.time, video_seconds, "video", name)
    end = min(end, segment.time.start + length)
    return PlacedSegment(segment, number, segment.time.start, end, segment.voice.start)


def _resolved_end(part: TimeRange, length: float, what: str, name: str) -> float:
    """The end of `part` in seconds; it must lie in a file of `length` seconds."""
    end = length if part.end is None else part.end
    if part.start >= length or end > length + _ROUNDING_SECONDS:
        raise RangeError(
            f"A segment goes past the end of the {what}",
            given=f"{part} in {name}",
            hint=f"The {what} lasts {length:.2f} s; choose times between 0 and that.",
        )
    return min(end, length)
