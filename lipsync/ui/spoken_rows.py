"""Sounds of the segment editor's lines: spoken, or silent while planning."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import shutil
from pathlib import Path

import numpy as np

from lipsync.dubbing import Script, ScriptLine, fill_lines, fit_lines, speak_lines
from lipsync.errors import InputError
from lipsync.media import probe_audio
from lipsync.media.audio.wav import write_wav
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.speech.text_to_speech import language_of, parse_speech_voice
from lipsync.ui.languages import strings
from lipsync.ui.request import SyncRequest
from lipsync.ui.script_rows import ScriptRow, cues_of, segments_of
from lipsync.utils.atomic_write import atomic_write, write_text
from lipsync.utils.owned_folder import temporary_folder

_SILENCE_RATE = 8000
_LONGEST_SILENCE = 600
_CHARACTERS_PER_SECOND = 14
_NEAR_SECONDS = 6.0
_ROUNDING = 0.05


def with_silence(request: SyncRequest, folder: Path) -> SyncRequest:
    """The request with silence in place of texts that have not been spoken yet, to be planned and checked.

    Sounds of single lines are sped up or followed by silence to fit their times.

    Args:
        folder: of the visitor; has the texts that have been spoken.

    Raises:
        LipsyncError: a row cannot be read.
    """
    if not request.rows:
        return request
    segments_of(request.rows, [0] * len(request.rows))
    language = _language(request, folder)
    sounds = [_own_sound(request, folder, row, language) for row in request.rows]
    return _with_sounds(
        request,
        [
            None
            if sound is None
            else _fitted(folder, sound, row, request.max_speedup)
            if sound.exists()
            else _silence(folder, _expected(row))
            for row, sound in zip(request.rows, sounds, strict=True)
        ],
    )


def with_speech(
    request: SyncRequest,
    folder: Path,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    around: float | None = None,
) -> SyncRequest:
    """The request with its texts spoken; those that have been before are taken from `folder`.

    Args:
        folder: of the visitor; keeps the sounds.
        around: second of the video around which texts are needed, for a preview; None for all.

    Raises:
        LipsyncError: as `lipsync.dubbing.speak_lines`.
    """
    if not request.rows:
        return request
    segments_of(request.rows, [0] * len(request.rows))
    language = _language(request, folder)
    needed = {
        _sound(folder, row, language): ScriptLine(
            number, row.time.start, row.time.start + 1, row.text, row.voice
        )
        for number, row in enumerate(request.rows, 1)
        if row.is_spoken and not _sound(folder, row, language).exists() and _is_near(row, around)
    }
    if needed:
        _speak(needed, language, progress, cancel)
    return with_silence(request, folder)


def spoken_seconds(request: SyncRequest, folder: Path) -> list[float | None]:
    """Length of each row's own sound in seconds, as it will be heard; None where there is none yet."""
    if not request.rows:
        return []
    language = _language(request, folder)
    lengths: list[float | None] = []
    for row in request.rows:
        sound = _own_sound(request, folder, row, language)
        seconds = probe_audio(sound).duration if sound and sound.exists() else None
        if seconds is not None and (span := _span(row)) is not None and seconds > span:
            seconds = max(span, seconds / request.max_speedup)
        lengths.append(seconds)
    return lengths


def overlong_rows(request: SyncRequest, folder: Path) -> list[str]:
    """A warning for each row whose spoken text is longer than its time."""
    warnings = []
    lengths = spoken_seconds(request, folder)
    for number, (row, seconds) in enumerate(zip(request.rows, lengths, strict=False), 1):
        if seconds and (over := overlong(row, seconds)):
            warnings.append(f"{strings.ROW_NAMED.format(number=number)}: {over}")
    return warnings


def overlong(row: ScriptRow, seconds: float) -> str:
    """The warning that a spoken text is longer than its time; "" where it is not."""
    time = row.time
    if time.end is None or seconds <= time.end - time.start + _ROUNDING:
        return ""
    return strings.ROW_OVERLONG.format(seconds=seconds, rest=seconds - (time.end - time.start))


def _speak(
    needed: dict[Path, ScriptLine], language: str, progress: ProgressCallback, cancel: CancelToken | None
) -> None:
    """Speak lines, whose speakers are voices, into files."""
    voices = {line.speaker: line.speaker for line in needed.values()}
    with temporary_folder() as new:
        script = Script(tuple(needed.values()))
        spoken = speak_lines(script, new, voices, language=language, progress=progress, cancel=cancel)
        for target, line in zip(needed, spoken.lines, strict=True):
            assert line.sound is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as part:
                shutil.copyfile(line.sound, part)


def _own_sound(request: SyncRequest, folder: Path, row: ScriptRow, language: str) -> Path | None:
    """File of a line's own sound, which may still have to be spoken; None for a part of a voice."""
    if row.is_spoken:
        return _sound(folder, row, language)
    voices = [request.voice, *request.more_voices] if request.voice else []
    known = row.has_own_sound and int(row.voice) < len(voices)
    return Path(str(voices[int(row.voice)])) if known else None


def _fitted(folder: Path, sound: Path, row: ScriptRow, max_speedup: float) -> Path:
    """The sound, sped up or followed by silence to fit the line's time; made once.

    Raises:
        LipsyncError: the time or the sound cannot be read, or a file cannot be written.
    """
    span = _span(row)
    if span is None:
        return sound
    kept = folder / "spoken" / f"{_hash(str(sound), f'{span:.3f}', f'{max_speedup:g}')}_fitted.wav"
    if kept.exists():
        return kept
    with temporary_folder() as new:
        script = Script((ScriptLine(1, 0.0, span, sound=sound),))
        fitted = fill_lines(fit_lines(script, new, max_speedup), new).lines[0].sound
        if fitted is None or fitted == sound:
            return sound
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as part:
            shutil.copyfile(fitted, part)
    return kept


def _span(row: ScriptRow) -> float | None:
    """Seconds of a line; None to the end of the video."""
    time = row.time
    return None if time.end is None else time.end - time.start


def _with_sounds(request: SyncRequest, sounds: list[Path | None]) -> SyncRequest:
    """The request with a sound file for each row that has its own.

    Raises:
        InputError: a row needs the voice, and there is none.
    """
    voices = [request.voice, *request.more_voices] if request.voice else []
    files: list[int | None] = []
    for sound in sounds:
        if sound is None and not request.voice:
            raise InputError(strings.NO_VOICE, hint=strings.NO_VOICE_HINT)
        files.append(None if sound is None else len(voices))
        voices += [] if sound is None else [str(sound)]
    first, *others = (str(one) for one in voices)
    return dataclasses.replace(
        request,
        voice=first,
        more_voices=tuple(others),
        segments=segments_of(request.rows, files),
        cues=cues_of(request.rows),
        rows=(),
    )


def _language(request: SyncRequest, folder: Path) -> str:
    """Language of all spoken texts together, "" without any; kept, since it takes a second to tell."""
    spoken = [row for row in request.rows if row.is_spoken]
    if not spoken:
        return ""
    given = request.options.transcript.spoken_language
    voices = [parse_speech_voice(name) for name in dict.fromkeys(row.voice for row in spoken)]
    text = "\n".join(row.text for row in spoken)
    if given != "auto" or not any(one.follows_language for one in voices):
        return language_of(text, given, voices)
    kept = folder / "spoken" / f"{_hash(text)}.language"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, language_of(text, given, voices))
    return kept.read_text("utf-8")


def _sound(folder: Path, row: ScriptRow, language: str) -> Path:
    follows = row.is_spoken and parse_speech_voice(row.voice).follows_language
    return folder / "spoken" / f"{_hash(row.voice, language if follows else '', row.text)}.wav"


def _silence(folder: Path, seconds: int) -> Path:
    path = folder / "spoken" / f"silence_{seconds}.wav"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            write_wav(part, [np.zeros(seconds * _SILENCE_RATE, np.float32)], _SILENCE_RATE)
    return path


def _expected(row: ScriptRow) -> int:
    """Whole seconds that a text fills: its time, or about what it takes to say it."""
    time = row.time
    seconds = (
        time.end - time.start if time.end is not None else max(1.0, len(row.text) / _CHARACTERS_PER_SECOND)
    )
    return min(_LONGEST_SILENCE, math.ceil(seconds))


def _is_near(row: ScriptRow, around: float | None) -> bool:
    time = row.time
    return around is None or (
        time.start < around + _NEAR_SECONDS and (time.end is None or time.end > around - _NEAR_SECONDS)
    )


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]
