"""Rows of the segment editor: who says what and when, as typed, and as segments.

The page holds them as JSON. The language of `lipsync.segments` is accepted in its place, and written where
it can hold the rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lipsync.dubbing.script import Script
from lipsync.dubbing.speakers import SpeakerTurn
from lipsync.errors import LipsyncError, OptionError
from lipsync.media.subtitle_formats import Cue
from lipsync.segments import Segment, parse_face, parse_segments
from lipsync.types import TimeRange
from lipsync.ui.languages import strings
from lipsync.utils.timecodes import typed_time

MAX_ROWS = 2000
_WHOLE = TimeRange()


@dataclass(frozen=True)
class ScriptRow:
    """Row of the editor, as typed.

    Attributes:
        start, end: when, in the video.
        face: as segments write it; "" for the choice of the settings.
        voice: index of the voice file, or a voice that speaks the text, such as "espeak:en".
        part: which part of the voice file, as segments write it; "" for all.
        text: what is said.
        speaker: name, for the reader.
    """

    start: str = ""
    end: str = ""
    face: str = ""
    voice: str = "0"
    part: str = ""
    text: str = ""
    speaker: str = ""

    @property
    def is_spoken(self) -> bool:
        """Whether the text is spoken by a synthesiser."""
        return not self.voice.isdecimal()

    @property
    def has_own_sound(self) -> bool:
        """Whether its sound is of this line alone: spoken, or a file that a script names for it."""
        return self.is_spoken or (self.voice != "0" and bool(self.text.strip()) and not self.part.strip())

    @property
    def time(self) -> TimeRange:
        """When, in the video.

        Raises:
            RangeError: it cannot be read.
        """
        return TimeRange.parse(f"{self.start.strip()}-{self.end.strip()}")

    def segment(self, voice_file: int | None = None) -> Segment:
        """The row as a segment.

        Args:
            voice_file: index of the file with the spoken text.

        Raises:
            LipsyncError: a value cannot be read.
        """
        face = parse_face(self.face) if self.face.strip() else None
        if isinstance(face, Path):
            raise OptionError(strings.ROW_FACE, given=self.face)
        part = TimeRange.parse(self.part) if self.part.strip() and not self.is_spoken else _WHOLE
        file = voice_file if voice_file is not None else int(self.voice)
        return Segment(self.time, face, part, file)


def read_rows(text: str | None) -> tuple[ScriptRow, ...]:
    """Rows from their JSON, or from the language of segments.

    Raises:
        LipsyncError: they cannot be read.
    """
    text = (text or "").strip()
    if not text.startswith("[{") and text != "[]":
        return rows_of_segments(parse_segments(text, allow_files=False))
    try:
        given = json.loads(text)
        rows = tuple(ScriptRow(**{key: str(value) for key, value in one.items()}) for one in given)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise OptionError(strings.ROWS_BAD, given=text[:80]) from error
    if len(rows) > MAX_ROWS:
        raise OptionError(strings.ROWS_MANY.format(limit=MAX_ROWS), given=len(rows))
    return rows


def write_rows(rows: Iterable[ScriptRow]) -> str:
    """Rows as JSON."""
    return json.dumps([asdict(row) for row in rows], ensure_ascii=False)


def segments_of(rows: Sequence[ScriptRow], spoken: Sequence[int | None] = ()) -> tuple[Segment, ...]:
    """Rows as segments.

    Args:
        spoken: for each row the index of the file with its spoken text, or None.

    Raises:
        LipsyncError: a row cannot be read; the error names it.
    """
    files = spoken or [None] * len(rows)
    segments = []
    for number, (row, file) in enumerate(zip(rows, files, strict=True), 1):
        try:
            segments.append(row.segment(file))
        except LipsyncError as error:
            named = strings.ROW_NAMED.format(number=number)
            given = f"{named}, {error.given}" if error.given else named
            raise type(error)(error.what, given=given, hint=error.hint) from error
    return tuple(segments)


def segment_text(rows: Sequence[ScriptRow]) -> str:
    """Rows in the language of segments; "" where a row is spoken or cannot be read.

    Texts and speakers are left out.
    """
    if any(row.is_spoken for row in rows):
        return ""
    try:
        return "\n".join(map(str, segments_of(rows)))
    except LipsyncError:
        return ""


def cues_of(rows: Sequence[ScriptRow]) -> tuple[Cue, ...]:
    """The texts of rows as subtitles; rows without an end have none."""
    timed = [(row.time, row.text.strip()) for row in rows if row.text.strip()]
    return tuple(
        Cue(time.start, time.end, text)
        for time, text in sorted(timed, key=lambda one: one[0].start)
        if time.end is not None
    )


def rows_of_segments(segments: Iterable[Segment]) -> tuple[ScriptRow, ...]:
    """Segments as rows."""
    return tuple(
        ScriptRow(
            *_typed(one.time),
            "" if one.face is None else str(one.face),
            str(one.voice_file),
            "" if one.voice == _WHOLE else str(one.voice),
        )
        for one in segments
    )


def rows_of_script(script: Script, sounds: dict[Path, int], otherwise: str) -> tuple[ScriptRow, ...]:
    """Lines of a script as rows.

    Args:
        sounds: index of the voice file by a line's own sound.
        otherwise: the voice of lines without one: "0", of which a line is the stretch at its own time, or
            one that speaks.
    """
    rows = []
    for line in script.lines:
        start, end = _typed(TimeRange(line.start, line.end))
        voice, part = (str(sounds[line.sound]), "") if line.sound else (otherwise, "")
        if line.sound is None and otherwise.isdecimal():
            part = f"{start}-"
        rows.append(ScriptRow(start, end, "", voice, part, line.text, line.speaker))
    return tuple(rows)


def rows_of_turns(turns: Iterable[SpeakerTurn]) -> tuple[ScriptRow, ...]:
    """Turns of speakers as rows, each with the voice at its own time; without those of nobody in the picture.

    A face is the same point in all of its turns.
    """
    points: dict[int, str] = {}
    rows = []
    for turn in turns:
        if turn.face is None or turn.point is None:
            continue
        face = points.setdefault(turn.face, str(turn.point))
        start, end = _typed(TimeRange(turn.start, turn.end))
        name = strings.FACE.format(number=list(points).index(turn.face) + 1)
        rows.append(ScriptRow(start, end, face, "0", f"{start}-", speaker=name))
    return tuple(rows)


def with_faces(rows: Sequence[ScriptRow], turns: Sequence[SpeakerTurn]) -> tuple[ScriptRow, ...]:
    """Rows without a face with that of whoever speaks the longest in the lines of their speaker.

    Rows without a speaker's name stand for themselves. Where nobody in the picture speaks, rows stay as they
    are.
    """
    points = {turn.face: str(turn.point) for turn in reversed(turns) if turn.point is not None}
    spoken: dict[str, dict[int, float]] = {}
    for number, row in enumerate(rows):
        try:
            time = row.time
        except LipsyncError:  # marked in the row
            continue
        heard = spoken.setdefault(row.speaker or str(number), {})
        for turn in turns:
            overlap = min(turn.end, math.inf if time.end is None else time.end) - max(turn.start, time.start)
            if turn.face in points and turn.face is not None and overlap > 0:
                heard[turn.face] = heard.get(turn.face, 0.0) + overlap
    given = []
    for number, row in enumerate(rows):
        heard = spoken.get(row.speaker or str(number), {})
        face = points[max(heard, key=lambda one: heard[one])] if heard and not row.face else row.face
        given.append(replace(row, face=face))
    return tuple(given)


def _typed(time: TimeRange) -> tuple[str, str]:
    return typed_time(time.start), "" if time.end is None else typed_time(time.end)
