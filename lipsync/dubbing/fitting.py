"""Sounds of a script's lines, sped up to fit their times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lipsync.dubbing.script import Script, named, read_script
from lipsync.errors import OptionError
from lipsync.media import probe_audio
from lipsync.media.audio.tempo import write_faster
from lipsync.progress import CancelToken

ROUNDING = 0.05
"""Seconds that a line may be past an end, or longer than its time, without a word."""
MAX_SPEEDUP = 2.0
"""Beyond it speech is not understood."""


def fit_lines(
    script: Script | Path | str,
    folder: Path | str,
    max_speedup: float,
    *,
    cancel: CancelToken | None = None,
) -> Script:
    """Speed up sounds that are longer than their lines, at the same pitch.

    Args:
        script: see `read_script`; lines without a sound of their own stay as they are.
        folder: as for `speak_lines`.
        max_speedup: how many times faster a line may get, 1 to `MAX_SPEEDUP`.

    Returns:
        The script with other sounds; its notes name the lines. A line that is still too long is sped up by
        `max_speedup`, and `plan_dub` tells that its end is not heard.

    Raises:
        OptionError: `max_speedup` is out of range.
        MediaError: a sound cannot be decoded.
        DiskFullError, OutputError: a file cannot be written.
        Cancelled: the token was cancelled.
    """
    check_speedup(max_speedup)
    cancel, read = cancel or CancelToken(), script if isinstance(script, Script) else read_script(script)
    lines, notes = [], list(read.notes)
    for line in read.lines:
        wanted = line.end - line.start
        factor = 1.0 if line.sound is None else min(probe_audio(line.sound).duration / wanted, max_speedup)
        if line.sound is not None and factor > 1 + ROUNDING / wanted:
            sound = Path(folder).absolute() / f"line{line.number}_fitted.wav"
            write_faster(line.sound, sound, factor, cancel)
            notes.append(f"{named(line)} is spoken {factor:.2f} times as fast.")
            line = replace(line, sound=sound)
        lines.append(line)
    return Script(tuple(lines), tuple(notes))


def check_speedup(factor: float) -> None:
    """Check the limit of `fit_lines`.

    Raises:
        OptionError: it is out of range.
    """
    if not 1 <= factor <= MAX_SPEEDUP:
        hint = f"Use 1 to {MAX_SPEEDUP:g}; with 1 all lines keep their tempo."
        raise OptionError("'max_speedup' is out of range", given=factor, hint=hint)
