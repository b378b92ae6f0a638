"""Sounds of a script's lines, sped up or followed by silence to fit their times."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

from lipsync.dubbing.script import Script, named, read_script
from lipsync.errors import OptionError
from lipsync.media import open_audio, probe_audio
from lipsync.media.audio.blocks import silence
from lipsync.media.audio.tempo import write_faster
from lipsync.media.audio.wav import write_wav
from lipsync.progress import CancelToken
from lipsync.utils.atomic_write import atomic_write

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
        The script with other sounds; its notes name the lines, and what would do for those that are still too
        long after `max_speedup`, of which `plan_dub` tells that the end is not heard.

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
        seconds = 0.0 if line.sound is None else probe_audio(line.sound).duration
        needed = seconds / (line.end - line.start)
        if line.sound is not None and seconds > line.end - line.start + ROUNDING:
            factor = min(needed, max_speedup)
            if factor > 1:
                sound = Path(folder).absolute() / f"line{line.number}_fitted.wav"
                write_faster(line.sound, sound, factor, cancel)
                notes.append(f"{named(line)} is spoken {factor:.2f} times as fast.")
                line = replace(line, sound=sound)
            if max_speedup < needed <= MAX_SPEEDUP:
                enough = math.ceil(needed * 20) / 20
                notes.append(f"{named(line)} fits if it is spoken {enough:g} times as fast ('max_speedup').")
        lines.append(line)
    return Script(tuple(lines), tuple(notes))


def fill_lines(script: Script, folder: Path | str, *, cancel: CancelToken | None = None) -> Script:
    """Follow sounds that are shorter than their lines by silence.

    The lips then close until the line ends, and what the video's own sound has there is not heard.

    Args:
        folder: as for `speak_lines`.

    Raises:
        MediaError: a sound cannot be decoded.
        DiskFullError, OutputError: a file cannot be written.
        Cancelled: the token was cancelled.
    """
    cancel, lines = cancel or CancelToken(), []
    for line in script.lines:
        if line.sound is not None and probe_audio(line.sound).duration < line.end - line.start - ROUNDING:
            sound = Path(folder).absolute() / f"line{line.number}_filled.wav"
            _write_filled(line.sound, sound, line.end - line.start, cancel)
            line = replace(line, sound=sound)
        lines.append(line)
    return Script(tuple(lines), script.notes)


def _write_filled(source: Path, path: Path, seconds: float, cancel: CancelToken) -> None:
    """Write a sound with silence after it, `seconds` in all, as a WAV file."""
    audio = open_audio(source)
    rate, width = audio.info.sample_rate, audio.info.channels
    rest = round(seconds * rate) - round(audio.duration * rate)
    with closing(audio.blocks(cancel=cancel)) as blocks, atomic_write(path) as part:
        write_wav(part, chain(blocks, silence(rest, width, rate)), rate, width)


def check_speedup(factor: float) -> None:
    """Check the limit of `fit_lines`.

    Raises:
        OptionError: it is out of range.
    """
    if not 1 <= factor <= MAX_SPEEDUP:
        hint = f"Use 1 to {MAX_SPEEDUP:g}; with 1 all lines keep their tempo."
        raise OptionError("'max_speedup' is out of range", given=factor, hint=hint)
