"""Scripts of a dub: lines with times from subtitle files, tables and JSON.

SubRip and WebVTT files name the speaker as subtitlers do: `[Ann] Good morning`, `Ann: Good morning`,
`<v Ann>Good morning`. Tables (CSV with any usual separator) and JSON (a list of objects, also as "lines" of
an object) have the columns start, end, speaker, text and sound; only the times are needed.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lipsync.errors import MediaError, OptionError, RangeError
from lipsync.media.subtitle_formats import subtitle_blocks
from lipsync.utils.checked_file import checked_file
from lipsync.utils.timecodes import TIME_PATTERN, clock_time, parse_time

_MAX_BYTES = 20_000_000
_FORMATS = "Give an .srt, .vtt, .csv or .json file."
_COLUMNS = ("start", "end", "speaker", "text", "sound")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|\{\\[^}]*\}")
_VOICE_TAG = re.compile(r"\A\s*<v(?:\.[^\s>]*)?\s+([^>]+)>")
_BRACKETED = re.compile(r"\A\s*\[([^\]\n]{1,40})\]\s*")
_NAME = r"[^\W\d_][^\s:<>\[\]]*"
_BEFORE_COLON = re.compile(rf"\A\s*({_NAME}(?: {_NAME}){{0,2}}):\s+")
_TIME = re.compile(TIME_PATTERN)


@dataclass(frozen=True)
class ScriptLine:
    """Line of a script.

    Attributes:
        number: its place in the file, starting at 1.
        start, end: when it is spoken in the video, seconds.
        text: what is said; "" if the script does not tell.
        speaker: as the script names them; "" for nobody in particular.
        sound: a file with this line alone; None if it is part of a track of all lines.
    """

    number: int
    start: float
    end: float
    text: str = ""
    speaker: str = ""
    sound: Path | None = None

    def __str__(self) -> str:
        who = f", {self.speaker}" if self.speaker else ""
        return f"line {self.number} ({clock_time(self.start, 2)}-{clock_time(self.end, 2)}{who})"


def named(line: ScriptLine) -> str:
    """A line as the beginning of a sentence."""
    return str(line)[0].upper() + str(line)[1:]


@dataclass(frozen=True)
class Script:
    """Lines of a script by their starts, and notes on what was repaired."""

    lines: tuple[ScriptLine, ...]
    notes: tuple[str, ...] = ()

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers' names, in the order of their first lines."""
        return tuple(dict.fromkeys(line.speaker for line in self.lines if line.speaker))


def read_script(path: Path | str, sounds: Mapping[str, Path] | None = None) -> Script:
    """Read a script; its form is told by the end of its name.

    Files in UTF-8 and UTF-16 are read as such, others as Windows-1252, which a note tells. Sound files of a
    table are looked for beside it.

    Args:
        sounds: the sound files by name, where they are not beside it; no other file is then looked for.

    Raises:
        MediaError: it is missing, too large, of an unknown form, or has no lines.
        RangeError: a time cannot be read, or a line ends before it starts; the error names the line.
        OptionError: a table lacks a column, or a sound file's name is missing.
    """
    path = checked_file(path)
    if path.stat().st_size > _MAX_BYTES:
        raise MediaError("The script is too large", given=path, hint=_FORMATS)
    text, notes = _decoded(path)
    find = partial(_beside, path) if sounds is None else partial(_among, sounds)
    table = partial(_table, find=find)
    readers: dict[str, Callable[[str, Path], Iterator[ScriptLine]]] = {
        ".srt": _cues,
        ".vtt": _cues,
        ".csv": table,
        ".tsv": table,
        ".json": partial(_objects, find=find),
    }
    if path.suffix.lower() not in readers:
        raise MediaError("This is not a script", given=path, hint=_FORMATS)
    lines = sorted(readers[path.suffix.lower()](text, path), key=lambda line: line.start)
    if not lines:
        hint = "Write at least one line with its times. " + _FORMATS
        raise MediaError("There are no lines in the script", given=path, hint=hint)
    return Script(tuple(lines), notes)


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    """The file's text with "\\n" between lines, and a note if its encoding had to be guessed."""
    data = path.read_bytes()
    notes: tuple[str, ...] = ()
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
        guessed = f"{path.name} is not in UTF-8; it was read as Windows-1252."
        notes = (guessed + " Check the letters with accents.",)
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


# ------------------------------------------------------------------------------------- subtitles


def _cues(text: str, path: Path) -> Iterator[ScriptLine]:
    for number, cue in enumerate(subtitle_blocks(text), 1):
        if isinstance(cue, str):
            raise RangeError(
                "The times of a line cannot be read",
                given=f"{cue!r} in {path.name}",
                hint="Write them as 00:01:02,500 --> 00:01:04,000.",
            )
        speaker, said = split_speaker(cue.text)
        yield _checked(ScriptLine(number, cue.start, cue.end, said, speaker))


def split_speaker(text: str) -> tuple[str, str]:
    """Name of the speaker ("" if none is given) and what is said, without markup."""
    for pattern in (_VOICE_TAG, _BRACKETED, _BEFORE_COLON):
        plain = text if pattern is _VOICE_TAG else _MARKUP.sub("", text)
        if found := pattern.match(plain):
            return found[1].strip(), _MARKUP.sub("", plain[found.end() :]).strip()
    return "", _MARKUP.sub("", text).strip()


# ------------------------------------------------------------------------------------- tables


def _beside(script: Path, name: str) -> Path:
    return checked_file(script.parent / name)


def _among(sounds: Mapping[str, Path], name: str) -> Path:
    """The sound file of this name; folders before it do not count."""
    plain = name.replace("\\", "/").rpartition("/")[2]
    if plain not in sounds:
        given = f"{plain}; there are {', '.join(sounds) or 'none'}"
        raise MediaError("A sound of the script is missing", given=given, hint="Give this file, too.")
    return sounds[plain]


def _table(text: str, path: Path, find: Callable[[str], Path]) -> Iterator[ScriptLine]:
    if not text.strip():
        return
    first = text.lstrip("\n").partition("\n")[0]
    separator = max((",", ";", "\t"), key=first.count)
    file = io.StringIO(text.lstrip("\n"), newline="")
    rows = csv.DictReader(file, delimiter=separator, skipinitialspace=True)
    rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
    missing = {"start", "end"} - set(rows.fieldnames)
    if missing:
        raise OptionError(
            "A column of the script is missing",
            given=f"{' and '.join(sorted(missing))} in {path.name}, which has {', '.join(rows.fieldnames)}",
            hint=f"Its first row names the columns: {', '.join(_COLUMNS)}.",
        )
    filled = (row for row in rows if any(isinstance(value, str) and value.strip() for value in row.values()))
    for number, row in enumerate(filled, 1):
        yield _line(number, row, find)


def _objects(text: str, path: Path, find: Callable[[str], Path]) -> Iterator[ScriptLine]:
    hint = f"Write a list of objects with {', '.join(_COLUMNS)}."
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MediaError("The script is not JSON", given=f"{path} ({error})", hint=hint) from error
    read = read.get("lines") if isinstance(read, dict) else read
    if not isinstance(read, list) or not all(isinstance(one, dict) for one in read):
        raise MediaError("The script's JSON holds no lines", given=path, hint=hint)
    for number, one in enumerate(read, 1):
        yield _line(number, one, find)


def _line(number: int, values: Mapping[str, object], find: Callable[[str], Path]) -> ScriptLine:
    """A line of a table or of JSON."""
    start, end = (_seconds(values.get(name), number, name) for name in ("start", "end"))
    text, speaker, sound = (str(values.get(name) or "").strip() for name in ("text", "speaker", "sound"))
    if not speaker:
        speaker, text = split_speaker(text)
    file = None
    if sound:
        try:
            file = find(sound)
        except MediaError as error:
            raise MediaError(error.what, given=f"{error.given} of line {number}", hint=error.hint) from error
    return _checked(ScriptLine(number, start, end, text, speaker, file))


def _seconds(value: object, number: int, name: str) -> float:
    """A time given as seconds or as a clock time."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    written = str(value if value is not None else "").strip().replace(",", ".")
    if not _TIME.fullmatch(written):
        raise RangeError(
            "A time of the script cannot be read",
            given=f"{name} {written!r} of line {number}",
            hint="Write seconds (62.5) or a clock time (1:02.5).",
        )
    return parse_time(written)


def _checked(line: ScriptLine) -> ScriptLine:
    if line.end <= line.start:
        raise RangeError("A line of the script ends before it starts", given=line, hint="Correct its times.")
    return line
