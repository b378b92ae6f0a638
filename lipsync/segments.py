"""Who says what, and when: several people, each with a voice of their own, in one job.

One segment a line (or parted by ";"), as a person writes it:

    0-4.5  face=0            voice=0-4.5
    5-9    face=1            voice=0-4     file=1
    10-    face=0.7,0.4@12   voice=4.5-    file=0
    20-25  face="anna.png"

First stands the time in the picture. `face` is counted from the left, the first is 0; or it is a
point in shares of width and height, with `@` the second at which the face is there; or a picture
of the person. `voice` is the part of the voice that is heard, `file` which of the given voices it
is from, the first is 0. What is left out is as the settings say: the face that they choose, and
the first voice from its start.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from lipsync.errors import LipsyncError, OptionError, RangeError
from lipsync.options import FaceOptions
from lipsync.types import TimeRange

_ROUNDING_SECONDS = 0.05
"""A time may lie this much past an end: people type lengths that a player has rounded."""
_MOST = 60
"""A command line, which is where their sounds are joined, is 32 KB at most on Windows."""
_PART = re.compile(r"\s*(?:[;\n]\s*)+")
_WORD = re.compile(r"(\w+)\s*=\s*")
_QUOTED = re.compile(r'"[^"]*"')
_POINT = re.compile(r"(\d*\.?\d+)\s*,\s*(\d*\.?\d+)\s*(?:@\s*(\d+\.?\d*))?")
_ALL = TimeRange()
_WORDS = ("face", "voice", "file")
_EXAMPLE = "Write for example: 0-4.5 face=0 voice=0-4.5; 5-9 face=1 voice=0-4 file=1"


@dataclass(frozen=True)
class FacePoint:
    """Who is nearest to a point: shares of width and height, at `time` seconds into the picture."""

    x: float
    y: float
    time: float = 0.0

    def __str__(self) -> str:
        return f"{self.x:g},{self.y:g}@{self.time:g}"


FaceChoice: TypeAlias = int | FacePoint | Path | None
"""Counted from the left (0 is the first), a point, a picture of the person, or as the settings say."""


@dataclass(frozen=True)
class Segment:
    """One person saying one thing.

    Attributes:
        time: when, in the picture.
        face: who.
        voice: which part of the voice.
        voice_file: from which of the given voices, 0 is the first.
    """

    time: TimeRange
    face: FaceChoice = None
    voice: TimeRange = _ALL
    voice_file: int = 0

    def __post_init__(self) -> None:
        if self.voice_file < 0 or (isinstance(self.face, int) and self.face < 0):
            raise OptionError("Faces and voices are counted from 0", given=self)
        if isinstance(self.face, Path) and re.search(r'["\n]', str(self.face)):
            raise OptionError("This name of a picture cannot be used here", given=self.face)

    def __str__(self) -> str:
        words = [str(self.time)]
        if self.face is not None:
            words.append(f'face="{self.face}"' if isinstance(self.face, Path) else f"face={self.face}")
        if self.voice != _ALL:
            words.append(f"voice={self.voice}")
        if self.voice_file:
            words.append(f"file={self.voice_file}")
        return " ".join(words)

    def face_options(self, settings: FaceOptions) -> FaceOptions:
        """`settings`, choosing this segment's face."""
        if self.face is None:
            return settings
        if isinstance(self.face, Path):
            return replace(settings, which_face="reference", face_reference=self.face)
        if isinstance(self.face, int):
            return replace(settings, which_face="index", face_index=self.face)
        point = {"face_x": self.face.x, "face_y": self.face.y, "face_time": self.face.time}
        return replace(settings, which_face="point", **point)  # type: ignore[arg-type]


@dataclass(frozen=True)
class PlacedSegment:
    """A segment whose times are all known, in seconds.

    Attributes:
        number: its place among the segments as given.
        start, end: when, in the picture.
        voice_start: where in the voice it begins; it is as long as `end - start`.
    """

    segment: Segment
    number: int
    start: float
    end: float
    voice_start: float

    @property
    def voice_range(self) -> TimeRange:
        """The part of the voice that is heard."""
        return TimeRange(self.voice_start, self.voice_start + self.end - self.start)


# ------------------------------------------------------------------------------------- text


def parse_segments(text: str, pictures: bool = True) -> tuple[Segment, ...]:
    """Read segments as the head of this module shows them.

    Args:
        pictures: whether a face may be named by a file of this machine.

    Raises:
        OptionError, RangeError: with the segment that cannot be read.
    """
    # What stands in quotes is set aside, so that a file's name may hold any sign.
    quoted = _QUOTED.findall(text)
    parts = [part for part in _PART.split(_QUOTED.sub('""', text).strip()) if part]
    if len(parts) > _MOST:
        raise OptionError("There are too many segments", given=len(parts), hint=f"{_MOST} are the most.")
    found = []
    for number, part in enumerate(parts, 1):
        names = [quoted.pop(0)[1:-1] for _ in range(part.count('""'))]
        try:
            found.append(_parse(part, names, pictures))
        except LipsyncError as error:
            given = f"segment {number}, {error.given}" if error.given else f"segment {number}"
            raise type(error)(error.what, given=given, hint=error.hint) from error
    return tuple(found)


def format_segments(segments: Sequence[Segment]) -> str:
    """Text that `parse_segments` reads back, one a line."""
    return "\n".join(map(str, segments))


def _parse(text: str, names: list[str], pictures: bool) -> Segment:
    time, *rest = _WORD.split(text)
    values: dict[str, str] = {}
    for word, value in zip(rest[::2], rest[1::2], strict=True):
        if word not in _WORDS or word in values:
            what = "A segment says a thing twice" if word in values else "A segment has no such word"
            raise OptionError(what, given=f"{word}=", hint=_EXAMPLE)
        values[word] = value.strip().rstrip(",").rstrip()
    if not time.strip():
        raise RangeError("A segment does not say when", given=text, hint=_EXAMPLE)
    return Segment(
        time=TimeRange.parse(time),
        face=_parse_face(values["face"], names, pictures) if "face" in values else None,
        voice=TimeRange.parse(values["voice"]) if "voice" in values else _ALL,
        voice_file=_parse_number(values.get("file", "0"), "file"),
    )


def _parse_face(text: str, names: list[str], pictures: bool) -> FaceChoice:
    if text.isdigit():
        return int(text)
    if point := _POINT.fullmatch(text):
        x, y, time = (float(part or 0) for part in point.groups())
        if x > 1 or y > 1:
            hint = "From the upper left corner 0,0 to the lower right one 1,1, for example face=0.7,0.4@12"
            raise OptionError("A point lies outside the picture", given=f"face={text}", hint=hint)
        return FacePoint(x, y, time)
    name = names.pop(0) if text == '""' and names else text
    if not name or not pictures:
        hint = "Write a number counted from the left (face=0) or a point (face=0.7,0.4@12)"
        hint += " or a picture of the person (face=anna.png)." if pictures else "."
        raise OptionError("A face cannot be told from this", given=f"face={name}", hint=hint)
    return Path(name)


def _parse_number(text: str, word: str) -> int:
    if not text.isdigit():
        hint = "The first is 0. " + _EXAMPLE
        raise OptionError("This is not a number of a voice", given=f"{word}={text}", hint=hint)
    return int(text)


# ------------------------------------------------------------------------------------- times


def place_segments(
    segments: Sequence[Segment], picture_seconds: float | None, voice_seconds: Sequence[float]
) -> tuple[PlacedSegment, ...]:
    """Segments with all times known, in order of their start.

    A segment ends with its time or with its part of the voice, whichever is first: after that the
    picture and its sound are the source's again.

    Args:
        picture_seconds: length of the picture; None for a photo, which has none.
        voice_seconds: length of each of the given voices.

    Raises:
        RangeError: a time past the end of picture or voice; one face in two segments at a time.
        OptionError: there is no such voice.
    """
    placed = sorted(
        (_place(segment, number, picture_seconds, voice_seconds) for number, segment in enumerate(segments)),
        key=lambda one: (one.start, one.number),
    )
    for place, one in enumerate(placed):
        for other in placed[place + 1 :]:
            if other.start < one.end and other.segment.face == one.segment.face:
                raise RangeError(
                    "One face would say two things at a time",
                    given=f"segment {one.number + 1} ({one.segment}) "
                    f"and segment {other.number + 1} ({other.segment})",
                    hint="Let the one end before the other starts, or give them different faces.",
                )
    return tuple(placed)


def _place(
    segment: Segment, number: int, picture_seconds: float | None, voice_seconds: Sequence[float]
) -> PlacedSegment:
    name = f"segment {number + 1} ({segment})"
    if segment.voice_file >= len(voice_seconds):
        known = "There is one voice, file=0" if len(voice_seconds) == 1 else "They go from file=0"
        hint = known + (f" to file={len(voice_seconds) - 1}." if len(voice_seconds) > 1 else ".")
        raise OptionError("There is no such voice", given=f"file={segment.voice_file} in {name}", hint=hint)
    heard = voice_seconds[segment.voice_file]
    voice_end = _inside(segment.voice, heard, "voice", name)
    length = voice_end - segment.voice.start
    if picture_seconds is None:
        end = segment.time.start + length if segment.time.end is None else segment.time.end
    else:
        end = _inside(segment.time, picture_seconds, "picture", name)
    end = min(end, segment.time.start + length)
    return PlacedSegment(segment, number, segment.time.start, end, segment.voice.start)


def _inside(part: TimeRange, length: float, what: str, name: str) -> float:
    """The end of `part`, which must lie in a file of `length` seconds."""
    end = length if part.end is None else part.end
    if part.start >= length or end > length + _ROUNDING_SECONDS:
        raise RangeError(
            f"A segment goes past the end of the {what}",
            given=f"{part} in {name}",
            hint=f"The {what} lasts {length:.2f} s; choose times between 0 and that.",
        )
    return min(end, length)
