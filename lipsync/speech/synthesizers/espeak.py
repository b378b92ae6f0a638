"""eSpeak NG: formant synthesis in over a hundred languages, robotic but quick.

https://github.com/espeak-ng/espeak-ng, GPL-3.0-or-later. It runs as a process of its own: the program
espeak-ng where the system has it, else the library in the wheel espeakng-loader.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from lipsync.errors import ToolError
from lipsync.media.audio.wav import read_wav
from lipsync.media.programs import run_program
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.speech.text_to_speech import check_readable, unknown_voice
from lipsync.types import AudioClip
from lipsync.utils.owned_folder import temporary_folder

_STAGE = "Speaking"
_LIST_SECONDS = 30.0
_SPEAK_SECONDS = 120.0  # a hundred times what the longest text takes
_OTHER_CODES = {"zh": "cmn", "no": "nb", "nn": "nb", "jw": "jv"}
"""espeak-ng's codes of languages that Whisper writes differently."""
_HINT = (
    "Install the program espeak-ng (Debian: apt install espeak-ng; macOS: brew install espeak-ng), or: "
    "pip install espeakng-loader"
)


class Espeak:
    """eSpeak NG as a speech synthesiser.

    Its voices are languages, with a variant where wanted: en-us+f3.

    Raises:
        ToolError: neither the program nor the library is there.
    """

    def __init__(
        self, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
    ) -> None:
        self._cancel = cancel or CancelToken()
        self._program = shutil.which("espeak-ng")
        self._library = None if self._program else _library()
        if not self._program and not self._library:
            raise ToolError("espeak-ng, which speaks texts, is not installed", hint=_HINT)

    def voice_for(self, name: str, language: str) -> str:
        """A voice of espeak-ng; `+f3` alone is a variant of the language's voice."""
        base, plus, variant = name.partition("+")
        base = base or _OTHER_CODES.get(language, language)
        languages = self._listed("languages")
        by_lower = {one.lower(): one for one in languages}
        if base.lower() not in by_lower:
            raise unknown_voice("espeak", base, languages)
        if plus:
            variants = self._listed("variants")
            if variant not in variants:
                raise unknown_voice("espeak", name, [f"{base}+{one}" for one in variants])
        return by_lower[base.lower()] + plus + variant

    def synthesize(self, text: str, voice: str) -> AudioClip:
        """The text as sound at 22.05 kHz."""
        check_readable(text, voice.partition("+")[0])
        text = text.replace("[[", "[ [")  # else read as phonemes
        with temporary_folder() as folder:
            sound = folder / "spoken.wav"
            if self._program:
                command = [self._program, "-b", "1", "-z", "-v", voice, "-w", str(sound), "--stdin"]
            else:
                command = [*self._on_library(), "speak", voice, str(sound)]
            run_program(command, text, seconds=_SPEAK_SECONDS, cancel=self._cancel, stage=_STAGE)
            return read_wav(sound)

    def _listed(self, what: str) -> list[str]:
        """Names of its languages or variants."""
        if self._program:
            command = [self._program, "--voices=variant" if what == "variants" else "--voices"]
        else:
            command = [*self._on_library(), what]
        lines = run_program(command, seconds=_LIST_SECONDS, cancel=self._cancel, stage=_STAGE).splitlines()
        if not self._program:
            return lines
        # Columns: priority, language, age and gender, name, file, other languages as (en 2).
        rows = [row for line in lines[1:] if len(row := line.split()) > 4]
        if what == "variants":
            return sorted({row[4].removeprefix("!v/") for row in rows})
        others = {one[1:] for row in rows for one in row[5:] if one.startswith("(")}
        return sorted({row[1] for row in rows} | others)

    def _on_library(self) -> list[str]:
        assert self._library is not None
        return [sys.executable, "-I", str(Path(__file__).with_name("espeak_library.py")), *self._library]


def _library() -> tuple[str, str] | None:
    """Paths of the library and the data in the wheel espeakng-loader; None without it."""
    if importlib.util.find_spec("espeakng_loader") is None:
        return None
    import espeakng_loader

    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
