"""Who says what on the command line: segments, scripts, and texts that are spoken."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lipsync
from lipsync.cli.parser import CommandParser, in_flags
from lipsync.errors import MediaError, OptionError
from lipsync.options import FaceOptions, SyncOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.segments import FaceChoice, Segment, parse_segments, parse_speakers
from lipsync.utils.checked_file import checked_file

if TYPE_CHECKING:
    from lipsync.dubbing import Script
    from lipsync.media.subtitle_formats import Cue


@dataclass(frozen=True)
class Conversation:
    """What flags say about who speaks.

    Attributes:
        segments: of `--segments`.
        faces: face by the speaker's name in the script.
        voices: text-to-speech voice by the speaker's name; "" for everybody else.
    """

    segments: tuple[Segment, ...]
    faces: dict[str, FaceChoice]
    voices: dict[str, str]


@dataclass(frozen=True)
class Inputs:
    """Files of a run.

    Attributes:
        video: the video or photo.
        voice: None where each line of a script has a sound of its own, or a text is spoken.
        options: settings, with ranges in times of the files.
        folder: for files that only this run needs.
    """

    video: Path
    voice: Path | None
    options: SyncOptions
    folder: Path


def add_speech(parser: CommandParser) -> None:
    """Add the flags of texts that are spoken."""
    parser.add_argument(
        "--say", metavar="TEXT", help="a text that is spoken, instead of VOICE; see --say-voice"
    )
    parser.add_argument(
        "--say-voice",
        action="append",
        default=[],
        metavar="[NAME=]VOICE",
        help="the voice of --say, such as espeak:en-us+f3 or kokoro:af_heart, or espeak alone for one of the "
        "text's language (default); with --script the voice of lines without a sound file, for one speaker: "
        "ann=espeak:en-us+f3",
    )
    parser.add_argument(
        "--max-speedup",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="with --script: speak lines whose sound is longer than their time up to this many times faster, "
        "at the same pitch (1 to 2, default 1)",
    )


def add_segments(parser: CommandParser) -> None:
    """Add the flags of several speakers."""
    parser.add_argument(
        "--segments",
        metavar="TEXT|FILE",
        help="who speaks what and when, such as '0-4.5 face=0 voice=0-4.5; 5-9 face=1 file=1', or a file "
        "with one segment per line",
    )
    parser.add_argument(
        "--more-voice",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="another voice for --segments: the first one is file=1",
    )
    parser.add_argument(
        "--script",
        type=Path,
        metavar="FILE",
        help="lines with their times, and perhaps speakers and sound files, instead of --segments: "
        ".srt, .vtt, .csv or .json",
    )
    parser.add_argument(
        "--speaker",
        action="append",
        default=[],
        metavar="NAME=FACE",
        help="the face of a speaker of the --script, such as ann=0, ann=0.7,0.4@12 or ann=ann.png; by "
        "default whoever speaks then in the video's own sound",
    )


def check_conversation(arguments: argparse.Namespace) -> Conversation:
    """Check the flags of this module, without the large packages that a run imports.

    Raises:
        InputError: a file is missing, or a value is wrong or contradicts another.
    """
    for path in (*arguments.more_voice, *([arguments.script] if arguments.script else [])):
        checked_file(path)
    segments = parse_segments(_segment_text(arguments.segments or ""))
    faces = parse_speakers(arguments.speaker)
    if arguments.script and (arguments.segments or arguments.more_voice):
        hint = "Give either --script or --segments with --more-voice."
        raise OptionError("Segments are given twice", given=arguments.script, hint=hint)
    if arguments.speaker and not arguments.script:
        hint = "Give the script with --script, or write the faces into --segments."
        raise OptionError("Speakers need a script", given=", ".join(arguments.speaker), hint=hint)
    if (segments or arguments.script) and getattr(arguments, "which_face", "") == "speaking":
        hint = "Leave out --which-face speaking, or --segments and --script."
        raise OptionError("Who speaks is given twice", given="--which-face speaking", hint=hint)
    return Conversation(segments, faces, _check_speech(arguments))


def _check_speech(arguments: argparse.Namespace) -> dict[str, str]:
    """Voices by the speaker's name.

    Raises:
        OptionError: they, the text or the tempo are wrong, or contradict other flags.
    """
    from lipsync.speech.text_to_speech import check_text, parse_speech_voice

    voices = _named_voices(arguments.say_voice)
    for voice in voices.values():
        parse_speech_voice(voice)
    if arguments.say is not None:
        check_text(arguments.say)
        for given, flag in ((arguments.voice, "VOICE"), (arguments.script, "--script")):
            if given is not None:
                hint = f"Give either {flag} or --say."
                raise OptionError("What is said is given twice", given=given, hint=hint)
        if named := [name for name in voices if name]:
            hint = "Speakers have voices with --script; for --say write the voice alone."
            raise OptionError("A text has one speaker", given=", ".join(named), hint=hint)
    elif voices and not arguments.script:
        hint = "Give a text with --say, or lines with --script."
        raise OptionError("There is nothing to say", given=", ".join(arguments.say_voice), hint=hint)
    elif voices and arguments.voice:
        hint = "Leave out VOICE, which is a track of all lines, or --say-voice."
        raise OptionError("The lines have a voice twice", given=arguments.voice, hint=hint)
    speedup = arguments.max_speedup
    if not 1 <= speedup <= 2:
        raise OptionError("--max-speedup is out of range", given=speedup, hint="Use 1 to 2.")
    if speedup > 1 and not arguments.script:
        hint = "It fits lines to their times: give them with --script, or leave it out."
        raise OptionError("--max-speedup needs a script", given=speedup, hint=hint)
    return voices


def _named_voices(texts: Iterable[str]) -> dict[str, str]:
    """Voices by speaker from texts such as `ann=espeak:en`, or `espeak:en` for all others.

    Raises:
        OptionError: a speaker has two.
    """
    voices: dict[str, str] = {}
    for text in texts:
        name, equals, voice = text.partition("=")
        name, voice = (name.strip(), voice.strip()) if equals else ("", text.strip())
        if name.casefold() in {known.casefold() for known in voices}:
            hint = "Name each speaker once, as in --say-voice ann=espeak:en-us+f3."
            raise OptionError("A speaker has two voices", given=text, hint=hint)
        voices[name] = voice
    return voices


def conversation_inputs(
    arguments: argparse.Namespace,
    checked: Conversation,
    inputs: Inputs,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> tuple[Path, dict[str, Any], tuple[Cue, ...]]:
    """The first voice; keyword arguments of `sync` and `preview` with the speakers; the script's cues.

    Texts are spoken here.
    """
    language = inputs.options.transcript.spoken_language
    voice = inputs.voice
    if arguments.say is not None:
        from lipsync.speech.text_to_speech import DEFAULT_VOICE

        chosen = checked.voices.get("", DEFAULT_VOICE)
        path = inputs.folder / "spoken.wav"
        spoken = lipsync.speak(
            arguments.say, path, chosen, language=language, progress=progress, cancel=cancel
        )
        _note(arguments, f"The text is spoken by {spoken.voice}.")
        voice = spoken.path
    if arguments.script is None:
        assert voice is not None  # see _check_inputs
        return voice, {"segments": checked.segments, "more_voices": arguments.more_voice}, ()
    from lipsync.dubbing import fill_lines, fit_lines, read_script, speak_lines

    script = read_script(arguments.script)
    faces = checked.faces
    if _must_match(inputs, script, faces):
        found = lipsync.match_speakers(
            inputs.video, script, faces, media=inputs.options.media, progress=progress, cancel=cancel
        )
        faces = found.faces
        for note in found.notes:
            _note(arguments, note)
    if checked.voices:
        script = speak_lines(
            script, inputs.folder, checked.voices, language=language, progress=progress, cancel=cancel
        )
    script = fit_lines(script, inputs.folder, arguments.max_speedup, cancel=cancel)
    script = fill_lines(script, inputs.folder, cancel=cancel)
    dub = lipsync.plan_dub(inputs.video, script, voice, faces, inputs.options.media)
    for note in dub.notes:
        _note(arguments, note)
    return dub.voice, {"segments": dub.segments, "more_voices": dub.more_voices}, dub.cues


def _must_match(inputs: Inputs, script: Script, faces: Mapping[str, FaceChoice]) -> bool:
    """Whether the faces of a script's speakers are to be found by who spoke then.

    They are not where the settings choose a face for all lines, one person speaks alone, or the video does
    not let tell.
    """
    named = {name.casefold() for name in faces}
    unknown = [name for name in script.speakers if name.casefold() not in named]
    if not unknown or not (faces or len(unknown) > 1):
        return False
    if not faces and inputs.options.faces.which_face != FaceOptions().which_face:
        return False
    from lipsync.media import probe_video

    info = probe_video(inputs.video)
    return info.has_audio and not info.is_still and not inputs.options.media.static


def _note(arguments: argparse.Namespace, text: str) -> None:
    print(f"Note: {in_flags(text, arguments.flags)}", file=sys.stderr)


def _segment_text(given: str) -> str:
    """The segments as text, read from a file if `given` is the name of one.

    Raises:
        MediaError: the file is not text in UTF-8, or cannot be read.
    """
    if "=" in given or not os.path.isfile(given):  # noqa: PTH113 - Path.is_file raises for a long text
        return given
    try:
        return Path(given).read_text("utf-8")
    except (OSError, ValueError) as error:
        hint = "Write one segment per line, in UTF-8."
        raise MediaError("The segments cannot be read", given=f"{given} ({error})", hint=hint) from error
