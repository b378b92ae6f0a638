"""Lines of a script that are spoken by a synthesiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lipsync.dubbing.script import Script, ScriptLine, read_script
from lipsync.errors import InputError, OptionError
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.registries import SYNTHESIZERS
from lipsync.speech.text_to_speech import (
    SpeechVoice,
    check_text,
    language_of,
    parse_speech_voice,
    speak_with,
)

_STAGE = "Speaking"


def speak_lines(
    script: Script | Path | str,
    folder: Path | str,
    voices: Mapping[str, str],
    *,
    language: str = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Script:
    """Speak the lines of a script that have a text and no sound, each into a file of its own.

    Args:
        script: see `read_script`.
        folder: where the sounds are written; they must stay there until `sync` has ended.
        voices: voice by the speaker's name in any case, as `speak` takes them; that of "" speaks for all
            who are not named.
        language: code such as en or de; "auto" tells it from all lines together.

    Returns:
        The script with a sound for each line; its notes name the voices.

    Raises:
        LipsyncError: as `speak`; a speaker has no voice, a voice is for nobody, or a line no text.
    """
    cancel, read = cancel or CancelToken(), script if isinstance(script, Script) else read_script(script)
    silent = [line for line in read.lines if line.sound is None]
    chosen = _voices(read, silent, voices)
    texts = {line.number: _text(line) for line in silent}
    language = language_of("\n".join(texts.values()), language, chosen.values())
    names = sorted({voice.synthesizer for voice in chosen.values()})
    made = {name: SYNTHESIZERS.create(name, progress=progress, cancel=cancel) for name in names}
    full = {
        speaker: SpeechVoice(voice.synthesizer, made[voice.synthesizer].voice_for(voice.name, language))
        for speaker, voice in chosen.items()
    }
    stage, lines = StageProgress(_STAGE, len(silent), progress, cancel, unit="line"), []
    for line in read.lines:
        if line.sound is None:
            voice, sound = full[line.speaker], Path(folder).absolute() / f"line{line.number}.wav"
            speak_with(made[voice.synthesizer], texts[line.number], sound, voice)
            line = replace(line, sound=sound)
            stage.advance()
        lines.append(line)
    said = [f"{speaker or 'The script'} is spoken by {voice}." for speaker, voice in full.items()]
    return Script(tuple(lines), (*read.notes, *said))


def _voices(script: Script, silent: list[ScriptLine], given: Mapping[str, str]) -> dict[str, SpeechVoice]:
    """Voice of each speaker who has a line without sound.

    Raises:
        OptionError: one has no voice, or a voice is for nobody or unknown.
    """
    names = {name.casefold(): name for name in (*script.speakers, "")}
    known = ", ".join(script.speakers) or "nobody by name"
    unknown = [name for name in given if name.casefold() not in names]
    if unknown:
        hint = f"These do: {known}."
        raise OptionError("Nobody of this name speaks in the script", given=", ".join(unknown), hint=hint)
    by_name = {names[name.casefold()]: parse_speech_voice(voice) for name, voice in given.items()}
    speakers = dict.fromkeys(line.speaker for line in silent)
    without = [name for name in speakers if name not in by_name and "" not in by_name]
    if without:
        hint = "Give one for each, such as ann=espeak:en-us+f3, or one for all, such as espeak:en-us."
        raise OptionError(
            "A speaker of the script has no voice to speak with",
            given=", ".join(name or "lines without a speaker" for name in without),
            hint=hint,
        )
    return {name: by_name.get(name, by_name.get("", SpeechVoice(""))) for name in speakers}


def _text(line: ScriptLine) -> str:
    """What is to be said in a line.

    Raises:
        InputError: nothing, or too much.
    """
    with _naming(line):
        return check_text(line.text)


@contextmanager
def _naming(line: ScriptLine) -> Iterator[None]:
    """Name the line in errors."""
    try:
        yield
    except InputError as error:
        raise type(error)(error.what, given=f"{error.given} in {line}", hint=error.hint) from error
