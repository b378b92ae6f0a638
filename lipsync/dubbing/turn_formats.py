"""Turns of speakers as files: segments, SubRip, RTTM and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lipsync.dubbing.speakers import SpeakerTurn
from lipsync.errors import OptionError
from lipsync.media.subtitle_formats import Cue, format_srt

TURN_SUFFIXES = (".txt", ".srt", ".rttm", ".json")


def check_turn_suffix(path: Path) -> None:
    """Check that the end of a name tells a format of `format_turns`.

    Raises:
        OptionError: it does not.
    """
    if path.suffix.lower() not in TURN_SUFFIXES:
        hint = f"Choose a name that ends with {', '.join(TURN_SUFFIXES[:-1])} or {TURN_SUFFIXES[-1]}."
        raise OptionError("Turns of speakers cannot be written in this format", given=path, hint=hint)


def format_turns(turns: Sequence[SpeakerTurn], path: Path, video: Path) -> str:
    """Turns as the text of a file.

    Segments (.txt) are those of `lipsync run --segments`, without stretches in which nobody in the picture
    speaks. RTTM is NIST's, which tools for speaker diarisation read.

    Args:
        path: its end tells the format, see `check_turn_suffix`.
        video: which file they are of.
    """
    kind = path.suffix.lower()
    if kind == ".srt":
        return format_srt(Cue(one.start, one.end, f"[{speaker_name(one)}]") for one in turns)
    if kind == ".json":
        return json.dumps({"video": video.name, "turns": turn_values(turns)}, indent=2) + "\n"
    if kind == ".rttm":
        name = video.stem.replace(" ", "_") or "video"
        return "".join(
            f"SPEAKER {name} 1 {one.start:.3f} {one.end - one.start:.3f} <NA> <NA> "
            f"{speaker_name(one).replace(' ', '_')} {one.confidence:.2f} <NA>\n"
            for one in turns
        )
    segments = [segment for one in turns if (segment := one.segment()) is not None]
    return "".join(f"{segment}\n" for segment in segments)


def turn_values(turns: Sequence[SpeakerTurn]) -> list[dict[str, Any]]:
    """Turns as values for JSON."""
    return [
        {
            "start": round(one.start, 3),
            "end": round(one.end, 3),
            "face": one.face,
            "point": None
            if one.point is None
            else [round(v, 4) for v in (one.point.x, one.point.y, one.point.time)],
            "confidence": round(one.confidence, 3),
        }
        for one in turns
    ]


def speaker_name(turn: SpeakerTurn) -> str:
    """A turn's speaker in words."""
    return "nobody in the picture" if turn.face is None else f"face {turn.face}"
