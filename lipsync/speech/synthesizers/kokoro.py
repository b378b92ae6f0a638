"""Kokoro-82M by ONNX Runtime: natural voices in seven languages.

https://huggingface.co/hexgrad/Kokoro-82M, weights Apache-2.0, package kokoro-onnx MIT. The package finds
phonemes by phonemizer and espeak-ng, which are GPL-3.0, so it is imported only when a voice is asked for.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np

from lipsync.errors import ToolError, WeightsError
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.speech.text_to_speech import check_readable, unknown_voice
from lipsync.types import AudioClip
from lipsync.utils.cancellable import CancellableCalls
from lipsync.weights import require

_STAGE = "Speaking"
_LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br",
}  # fmt: skip
"""espeak-ng's code by the first letter of a voice; Mandarin (z) has other phonemes than espeak-ng's."""
_USUAL = {
    "en": "af_heart", "es": "ef_dora", "fr": "ff_siwi", "hi": "hf_alpha", "it": "if_sara",
    "ja": "jf_alpha", "pt": "pf_dora",
}  # fmt: skip
"""The usual voice of each language."""


class Kokoro:
    """Kokoro-82M as a speech synthesiser; its voices are names such as af_heart.

    Raises:
        ToolError: the package kokoro-onnx is missing.
    """

    def __init__(
        self, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
    ) -> None:
        if importlib.util.find_spec("kokoro_onnx") is None:
            hint = "Install it with: pip install kokoro-onnx"
            if sys.version_info >= (3, 14):
                hint = "There is none for Python 3.14 yet: use an older Python, or a voice of espeak."
            raise ToolError("The package kokoro-onnx, which speaks texts, is not installed", hint=hint)
        self._progress, self._cancel = progress, cancel or CancelToken()
        self._loaded: Any = None

    def voice_for(self, name: str, language: str) -> str:
        """A voice of the voices file, which is downloaded first, with the network."""
        voices = [one for one in self._network().get_voices() if one[0] in _LANGUAGES]
        name = name or _USUAL.get(language, "")
        if not name:
            raise unknown_voice("kokoro", f"of the language {language}", voices)
        if name not in voices:
            raise unknown_voice("kokoro", name, voices)
        return name

    def synthesize(self, text: str, voice: str) -> AudioClip:
        """The text as sound at 24 kHz."""
        check_readable(text, _LANGUAGES[voice[0]])
        with CancellableCalls(self._cancel, _STAGE) as calls:
            try:
                create = self._network().create
                samples, rate = calls.run(create, text, voice=voice, lang=_LANGUAGES[voice[0]])
            except (RuntimeError, ValueError) as error:
                given = f"kokoro:{voice}: {error}"
                raise ToolError("The speech synthesiser failed", given=given) from error
        return AudioClip(np.asarray(samples, np.float32).reshape(-1), int(rate))

    def _network(self) -> Any:
        """The network with its voices, loaded once.

        Raises:
            DownloadError, WeightsError: its files cannot be downloaded or read.
        """
        if self._loaded is None:
            network, voices = (
                require(name, progress=self._progress, cancel=self._cancel)
                for name in ("kokoro", "kokoro_voices")
            )
            from kokoro_onnx import Kokoro as Network

            with CancellableCalls(self._cancel, _STAGE) as calls:
                try:
                    self._loaded = calls.run(Network, str(network), str(voices))
                except (RuntimeError, ValueError, OSError) as error:
                    hint = "Delete the file; it is downloaded again."
                    raise WeightsError(
                        "Kokoro's weights cannot be read", given=f"{network} ({error})", hint=hint
                    ) from error
        return self._loaded
