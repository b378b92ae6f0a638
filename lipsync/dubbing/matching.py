"""Faces of a script's speakers, found by who spoke at the times of their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lipsync.dubbing.script import Script, read_script
from lipsync.dubbing.speakers import SpeakerTurn, find_speakers
from lipsync.errors import NoFaceError, OptionError
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.segments import FaceChoice, FacePoint

_LEAST_SECONDS = 0.5
"""Speech within the lines of a speaker that tells whose they are."""
_LEAST_SHARE = 0.6
"""Share of that speech, weighted by confidence, that must be one face's."""
_NAME_FACES = "Name the face yourself, such as {name}=0 for the leftmost or {name}={name}.png."


@dataclass(frozen=True)
class MatchedSpeakers:
    """Faces of a script's speakers.

    Attributes:
        faces: by the speaker's name as the script has it, for `plan_dub`; those that were given too.
        notes: a sentence on each that was found.
    """

    faces: dict[str, FaceChoice]
    notes: tuple[str, ...]


def match_speakers(
    video: Path | str,
    script: Script | Path | str,
    speakers: Mapping[str, FaceChoice] | None = None,
    *,
    media: MediaOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> MatchedSpeakers:
    """The face of each speaker of a script who has none yet: whoever spoke then in the video's own sound.

    A dub keeps the times of what it replaces, so the lines of one person are where that person speaks.

    Args:
        video: with its own sound.
        script: see `read_script`.
        speakers: faces that are known, by name in any case.
        media: the settings by which the video is read, as for `plan_dub`.

    Raises:
        OptionError: a known face is for nobody.
        NoFaceError: of one of the others it cannot be told.
        LipsyncError: as `read_script` and `find_speakers`.
    """
    read = script if isinstance(script, Script) else read_script(script)
    faces = known_faces(read, speakers or {})
    unknown = [name for name in read.speakers if name not in faces]
    if not unknown:
        return MatchedSpeakers(faces, ())
    turns = find_speakers(video, media=media, progress=progress, cancel=cancel)
    found = match_turns(read, unknown, turns)
    return MatchedSpeakers(faces | dict(found.faces), found.notes)


def known_faces(script: Script, given: Mapping[str, FaceChoice]) -> dict[str, FaceChoice]:
    """Face by the speaker's name as the script has it.

    Raises:
        OptionError: a face is for nobody.
    """
    names = {name.casefold(): name for name in script.speakers}
    unknown = [name for name in given if name.casefold() not in names]
    if unknown:
        known = ", ".join(script.speakers) or "nobody by name"
        raise OptionError(
            "Nobody of this name speaks in the script",
            given=", ".join(unknown),
            hint=f"These do: {known}.",
        )
    return {names[name.casefold()]: face for name, face in given.items()}


def match_turns(script: Script, names: Sequence[str], turns: Sequence[SpeakerTurn]) -> MatchedSpeakers:
    """The faces of these speakers by the turns of the video.

    Raises:
        NoFaceError: of one of them it cannot be told, or two have the same face.
    """
    faces: dict[str, FaceChoice] = {}
    owners: dict[int, str] = {}
    notes = []
    for name in names:
        votes, points = _votes(script, name, turns)
        total = sum(votes.values())
        best = max((face for face in votes if face is not None), key=votes.__getitem__, default=None)
        share = votes[best] / total if best is not None else 0.0
        hint = _NAME_FACES.format(name=name)
        if total < _LEAST_SECONDS:
            what = "In the lines of a speaker nobody is heard in the video's own sound"
            raise NoFaceError(what, given=name, hint=hint)
        if best is None or share < _LEAST_SHARE:
            what = "It cannot be told which face speaks the lines of a speaker"
            raise NoFaceError(what, given=f"{name}; {_told(votes, total)}", hint=hint)
        if best in owners:
            what = "Two speakers of the script have the same face"
            raise NoFaceError(what, given=f"{owners[best]} and {name}", hint=hint)
        owners[best] = name
        faces[name] = points[best]
        place = f"{points[best].x:.2f},{points[best].y:.2f}"
        notes.append(f"{name} is the face at {place}, which speaks in {share:.0%} of these lines' speech.")
    return MatchedSpeakers(faces, tuple(notes))


def _votes(
    script: Script, name: str, turns: Sequence[SpeakerTurn]
) -> tuple[dict[int | None, float], dict[int, FacePoint]]:
    """Seconds for which each face speaks in the lines of a speaker, and where it is in the longest of them.

    Seconds count by the confidence of their turn; None is nobody in the picture.
    """
    votes: dict[int | None, float] = {}
    longest: dict[int, tuple[float, FacePoint]] = {}
    for line in (one for one in script.lines if one.speaker == name):
        for turn in turns:
            seconds = (min(line.end, turn.end) - max(line.start, turn.start)) * turn.confidence
            if seconds <= 0:
                continue
            votes[turn.face] = votes.get(turn.face, 0.0) + seconds
            if turn.face is not None and turn.point and seconds > longest.get(turn.face, (0.0,))[0]:
                longest[turn.face] = seconds, turn.point
    return votes, {face: point for face, (_, point) in longest.items()}


def _told(votes: Mapping[int | None, float], total: float) -> str:
    """The votes in words, the highest first."""
    ordered = sorted(votes.items(), key=lambda one: -one[1])
    return ", ".join(
        f"{'nobody in the picture' if face is None else f'face {face}'} {seconds / total:.0%}"
        for face, seconds in ordered
    )
