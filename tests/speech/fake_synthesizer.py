"""Speech synthesiser for tests: a tone for every letter."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from lipsync.progress import CancelToken, ProgressCallback
from lipsync.registries import SYNTHESIZERS
from lipsync.speech.text_to_speech import unknown_voice
from lipsync.types import AudioClip

RATE = 16_000
PITCHES = {"low": 120, "high": 240, "none": 0}
LETTER_SECONDS = 0.05


class ToneSynthesizer:
    """Says each letter in a twentieth of a second."""

    def __init__(self, progress: ProgressCallback, cancel: CancelToken) -> None:
        self.cancel = cancel

    def voice_for(self, name: str, language: str) -> str:
        name = name or {"de": "low"}.get(language, "high")
        if name not in PITCHES:
            raise unknown_voice("tone", name, list(PITCHES))
        return name

    def synthesize(self, text: str, voice: str) -> AudioClip:
        if text == "cancel":
            threading.Timer(0.2, self.cancel.cancel).start()
            while True:
                self.cancel.check("Speaking")
        time = np.arange(round(len(text) * LETTER_SECONDS * RATE)) / RATE
        wave = sum(np.sin(2 * np.pi * PITCHES[voice] * k * time) / k for k in range(1, 8))
        return AudioClip(np.asarray(0.2 * wave, np.float32), RATE)


@pytest.fixture
def tone() -> Iterator[str]:
    """The synthesiser, registered as "tone"."""
    SYNTHESIZERS.add("tone", "tests.speech.fake_synthesizer:ToneSynthesizer")
    yield "tone"
    SYNTHESIZERS.remove("tone")
