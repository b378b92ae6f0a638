"""Plan of a dub: the lines of a script as segments with face and sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from lipsync.dubbing.fitting import ROUNDING
from lipsync.dubbing.matching import known_faces
from lipsync.dubbing.script import Script, ScriptLine, named, read_script
from lipsync.errors import InputError, OptionError, RangeError
from lipsync.media import open_video, probe_audio
from lipsync.media.subtitle_formats import Cue
from lipsync.options import MediaOptions
from lipsync.segments import FaceChoice, Segment
from lipsync.types import TimeRange

_SHORTEST = 0.04
"""Seconds; a line cut to less is not spoken."""
_WITHOUT_SOUND = (
    "Give a track with all lines as the voice, a sound file for each line in the script, or a voice that "
    "speaks them ('say_voice')."
)


@dataclass(frozen=True)
class Dub:
    """What `sync` needs for a script.

    Attributes:
        voice, more_voices: the sound files; segments name them by index.
        segments: one for each line.
        cues: the lines as subtitles.
        notes: sentences for the user on what was repaired or left out.
    """

    voice: Path
    segments: tuple[Segment, ...]
    more_voices: tuple[Path, ...]
    cues: tuple[Cue, ...]
    notes: tuple[str, ...]


def plan_dub(
    video: Path | str,
    script: Script | Path | str,
    voice: Path | str | None = None,
    speakers: Mapping[str, FaceChoice] | None = None,
    media: MediaOptions | None = None,
) -> Dub:
    """The segments of a script, whose times are those of the video.

    A line without a sound file of its own is the same stretch of `voice`, which is a track of all lines.
    Lines of one face that overlap are cut where the next one starts, and lines at the end of the video
    there; sound that is longer than its line is not heard to its end. Notes tell each.

    Args:
        video: any video, or a photo, which is as long as the script.
        script: a file, see `read_script`, or what `speak_lines` and `fit_lines` have made of it.
        voice: a track with all lines; None where each line has its own file.
        speakers: the face of each speaker, by name in any case, such as `match_speakers` finds them.
            Without any, all lines go to the face that the settings choose.
        media: the settings by which the video is read, such as its ranges.

    Raises:
        LipsyncError: a file cannot be used, a line lies beyond the end of the video or has no sound, or
            a speaker has no face.
    """
    read = script if isinstance(script, Script) else read_script(script)
    faces = _faces(read, speakers or {})
    reader = open_video(Path(video), media or MediaOptions())
    seconds = None if reader.is_still else float(reader.frame_count / reader.fps)
    length = cache(lambda file: probe_audio(file).duration)
    lines, notes = _fitted(read.lines, faces, seconds)
    files: dict[Path, int] = {}
    segments = []
    for line in lines:
        file = line.sound or (None if voice is None else Path(voice).absolute())
        if file is None:
            raise InputError("A line has no sound", given=line, hint=_WITHOUT_SOUND)
        part = _part_of_file(line, length(file), notes)
        if part is not None:
            start, seconds_heard = part
            time, heard = (TimeRange(at, at + seconds_heard) for at in (line.start, start))
            number = files.setdefault(file, len(files))
            segments.append(Segment(time, faces.get(line.speaker), heard, number))
    if not segments:
        raise InputError(
            "No line of the script has any sound", given=f"{len(read.lines)} lines", hint=_WITHOUT_SOUND
        )
    first, *others = files
    cues = tuple(Cue(line.start, line.end, line.text) for line in lines if line.text)
    return Dub(first, tuple(segments), tuple(others), cues, (*read.notes, *notes))


def _faces(script: Script, given: Mapping[str, FaceChoice]) -> dict[str, FaceChoice]:
    """Face by the speaker's name as the script has it.

    Raises:
        OptionError: a speaker has no face, or a face is for nobody.
    """
    if not given:
        return {}
    faces = known_faces(script, given)
    without = [name for name in script.speakers if name not in faces]
    if without:
        known = ", ".join(script.speakers)
        raise OptionError(
            "A speaker of the script has no face",
            given=", ".join(without),
            hint=f"Name a face for each ({known}), such as {without[0]}=0 for the leftmost.",
        )
    return faces


def _fitted(
    lines: Sequence[ScriptLine], faces: Mapping[str, FaceChoice], seconds: float | None
) -> tuple[list[ScriptLine], list[str]]:
    """The lines cut at the end of the video and at the next line of the same face, and notes on it.

    Raises:
        RangeError: a line starts after the end of the video, or together with another of the same face.
    """
    fitted, notes = [], []
    for position, line in enumerate(lines):
        end = line.end
        if seconds is not None and line.start >= seconds - _SHORTEST:
            raise RangeError(
                "A line starts after the end of the video",
                given=line,
                hint=f"The video lasts {seconds:.2f} s; is the script that of another cut?",
            )
        if seconds is not None and end > seconds:
            if end > seconds + ROUNDING:
                notes.append(f"{named(line)} is cut at the end of the video.")
            end = seconds
        following = [one for one in lines[position + 1 :] if one.start < end]
        same_face = [one for one in following if faces.get(one.speaker) == faces.get(line.speaker)]
        if same_face:
            after = same_face[0]
            if after.start - line.start < _SHORTEST:
                raise RangeError(
                    "Two lines of one face start together",
                    given=f"{line} and {after}",
                    hint="Give their speakers different faces, or correct the times.",
                )
            if after.start < end - ROUNDING:
                notes.append(f"{named(line)} is cut where line {after.number} of the same face starts.")
            end = after.start
        fitted.append(replace(line, end=end))
    return fitted, notes


def _part_of_file(line: ScriptLine, length: float, notes: list[str]) -> tuple[float, float] | None:
    """Start and length of a line in its sound file; None, with a note, where the file has nothing for it."""
    start = 0.0 if line.sound else line.start
    if start >= length - _SHORTEST:
        notes.append(f"{named(line)} is left out: the voice has ended by then.")
        return None
    wanted = line.end - line.start
    if line.sound and length > wanted + ROUNDING:
        notes.append(
            f"{named(line)} lasts {wanted:.2f} s, but its sound {length:.2f} s: the end is not heard."
        )
    return start, min(wanted, length - start)
