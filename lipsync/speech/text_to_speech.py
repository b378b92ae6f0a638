"""Text to speech: a text as a sound file, by a voice of a registered synthesiser."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lipsync.errors import OptionError, ToolError
from lipsync.options import LANGUAGES
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.registries import SYNTHESIZERS
from lipsync.speech.language_id import identify_language
from lipsync.types import AudioClip
from lipsync.utils.atomic_write import atomic_write, check_not_there, check_place
from lipsync.utils.suggestions import known_hint

DEFAULT_VOICE = "espeak"
MAX_CHARACTERS = 10_000
"""Characters of one text: about ten minutes of speech."""
_FALLBACK = "en"
"""Language of a text that is too short to tell, such as "Hello"."""
_SILENCE = 1e-4


class Synthesizer(Protocol):
    """Speech synthesiser of one job.

    Created as `SYNTHESIZERS.create(name, progress=..., cancel=...)`; the constructor raises ToolError where
    the packages or programs that it needs are missing.
    """

    def voice_for(self, name: str, language: str) -> str:
        """The full name of a voice; of the usual one for the language, where `name` is "".

        Args:
            language: code as in `lipsync.options.LANGUAGES`.

        Raises:
            OptionError: there is none; the hint lists those there are.
        """
        ...

    def synthesize(self, text: str, voice: str) -> AudioClip:
        """The text as sound, in a voice that `voice_for` has named.

        Raises:
            OptionError: the voice cannot read the text.
            ToolError: the synthesiser failed, or took too long.
            Cancelled: the token was cancelled.
        """
        ...


@dataclass(frozen=True)
class SpeechVoice:
    """Voice of a speech synthesiser, written `espeak:en-us+f3`.

    Attributes:
        synthesizer: its name in the registry.
        name: the voice there; "" for the usual one of the text's language.
    """

    synthesizer: str
    name: str = ""

    @property
    def follows_language(self) -> bool:
        """Whether it is the usual voice of a language, or a variant of that, such as `espeak:+f3`."""
        return not self.name or self.name.startswith("+")

    def __str__(self) -> str:
        return f"{self.synthesizer}:{self.name}" if self.name else self.synthesizer


@dataclass(frozen=True)
class SpokenText:
    """A text that was spoken.

    Attributes:
        path: the sound file.
        voice: in full.
        seconds: length of the sound.
    """

    path: Path
    voice: SpeechVoice
    seconds: float


def parse_speech_voice(text: str) -> SpeechVoice:
    """A voice from text such as `espeak`, `espeak:en-us+f3` or `kokoro:af_heart`.

    Raises:
        OptionError: there is no such synthesiser.
    """
    synthesizer, _, name = text.strip().partition(":")
    if synthesizer not in SYNTHESIZERS:
        hint = known_hint([synthesizer], SYNTHESIZERS) + " Write for example espeak:en-us+f3."
        raise OptionError("There is no such speech synthesiser", given=repr(text), hint=hint)
    return SpeechVoice(synthesizer, name.strip())


def installed_synthesizers() -> tuple[str, ...]:
    """Names of the synthesisers whose packages or programs are on this machine."""
    names = []
    for name in SYNTHESIZERS:
        with contextlib.suppress(ToolError):
            SYNTHESIZERS.create(name)
            names.append(name)
    return tuple(names)


def check_text(text: str) -> str:
    """The text without control characters.

    Raises:
        OptionError: there is nothing to say, or too much.
    """
    plain = "".join(one if one.isprintable() or one == "\n" else " " for one in text).strip()
    if not any(map(str.isalnum, plain)):
        raise OptionError("There is nothing to say", given=repr(text[:80]), hint="Give a text with words.")
    if len(plain) > MAX_CHARACTERS:
        hint = f"At most {MAX_CHARACTERS} characters are spoken at once; give the rest in another run."
        raise OptionError("The text is too long", given=f"{len(plain)} characters", hint=hint)
    return plain


def language_of(text: str, language: str = "auto", voices: Collection[SpeechVoice] = ()) -> str:
    """Code of the language in which to speak: the given one, else the text's own, else English.

    It is not told from the text, which takes a second, where all voices have a language of their own.

    Raises:
        OptionError: there is no such language.
    """
    if language not in ("auto", *LANGUAGES):
        hint = f"Use auto or one of: {', '.join(LANGUAGES)}."
        raise OptionError("There is no such language", given=repr(language), hint=hint)
    if language != "auto":
        return language
    if voices and not any(one.follows_language for one in voices):
        return _FALLBACK
    found = identify_language(text)
    return found[0] if found else _FALLBACK


def speak(
    text: str,
    path: Path | str,
    voice: str = DEFAULT_VOICE,
    *,
    language: str = "auto",
    overwrite: bool = True,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> SpokenText:
    """Speak a text into a WAV file, which `sync` takes as the voice.

    Args:
        text: what is said, at most `MAX_CHARACTERS`.
        path: the .wav file to write.
        voice: a synthesiser and, after a colon, one of its voices: `espeak:en-us+f3`, `kokoro:af_heart`.
            Without a voice the usual one of the language speaks.
        language: code such as en or de; "auto" tells it from the text, and takes English for one that is
            too short to tell.
        overwrite: replace a file that is there already.

    Raises:
        OptionError: there is nothing to say, too much, or no such voice or language.
        ToolError: the synthesiser is not installed, failed or took too long.
        DownloadError: its weights are not on this machine and cannot be downloaded.
        DiskFullError, OutputError: the file cannot be written.
        Cancelled: the token was cancelled; no file is left.
    """
    path, cancel = Path(path), cancel or CancelToken()
    text, chosen = check_text(text), parse_speech_voice(voice)
    language = language_of(text, language, [chosen])
    if path.suffix.lower() != ".wav":
        raise OptionError("Speech is written as WAV", given=path, hint="Choose a name that ends with .wav.")
    check_not_there(path, overwrite=overwrite)
    check_place(path)
    synthesizer = SYNTHESIZERS.create(chosen.synthesizer, progress=progress, cancel=cancel)
    return speak_with(
        synthesizer, text, path, SpeechVoice(chosen.synthesizer, synthesizer.voice_for(chosen.name, language))
    )


def speak_with(synthesizer: Synthesizer, text: str, path: Path, voice: SpeechVoice) -> SpokenText:
    """Write a text as spoken by a synthesiser; `voice` is named in full.

    Raises:
        ToolError: the synthesiser failed, or gave no sound.
        DiskFullError, OutputError: the file cannot be written.
        Cancelled: the token was cancelled.
    """
    from lipsync.media.audio.wav import write_wav

    clip = synthesizer.synthesize(text, voice.name)
    if not len(clip.samples) or abs(clip.samples).max() < _SILENCE:
        hint = "Choose a voice of the text's language."
        raise ToolError("The speech synthesiser gave no sound", given=f"{voice} for {text[:80]!r}", hint=hint)
    with atomic_write(path) as part:
        write_wav(part, [clip.samples], clip.sample_rate)
    return SpokenText(path, voice, clip.duration)


def unknown_voice(synthesizer: str, name: str, voices: Sequence[str]) -> OptionError:
    """The error about a voice that a synthesiser does not have."""
    hint = known_hint([name], voices, f"Voices of {synthesizer}")
    return OptionError("There is no such voice", given=f"{synthesizer}:{name}", hint=hint)


def check_readable(text: str, language: str) -> None:
    """Check that espeak-ng, by which both synthesisers find phonemes, can read a text.

    Raises:
        OptionError: it is Japanese with kanji, which are spoken as the words "Chinese letter".
    """
    kanji = "".join(dict.fromkeys(one for one in text if unicodedata.name(one, "").startswith("CJK UNIFIED")))
    if language == "ja" and kanji:
        hint = "Write them in hiragana or katakana."
        raise OptionError("Kanji cannot be spoken", given=kanji[:40], hint=hint)
