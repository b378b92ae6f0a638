"""Speech synthesised by espeak-ng, with known words and pauses."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lipsync.media import open_audio
from lipsync.types import AudioClip, FloatArray

RATE = 16_000


def say(text: str, voice: str = "en-us", words_per_minute: int = 130) -> FloatArray:
    """`text` as 16 kHz samples, from its first sound to its last."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run([program, "-v", voice, "-s", str(words_per_minute), "-w", path, text], check=True)
        samples = open_audio(path).read(RATE).samples
    audible = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[audible[0] : audible[-1] + 1]


def with_pauses(pieces: Sequence[FloatArray], pauses: Sequence[float]) -> tuple[AudioClip, FloatArray]:
    """The pieces with `pauses` seconds of silence around and between them, and where they are, (n, 2) s."""
    samples = [np.zeros(round(pauses[0] * RATE), np.float32)]
    spans = []
    for piece, pause in zip(pieces, pauses[1:], strict=True):
        start = sum(map(len, samples))
        spans.append((start / RATE, (start + len(piece)) / RATE))
        samples += [piece, np.zeros(round(pause * RATE), np.float32)]
    return AudioClip(np.concatenate(samples)), np.array(spans, np.float32)


def music(seconds: float) -> FloatArray:
    """Plucked chords and a beat, with an RMS of 1."""
    times = np.arange(round(seconds * RATE)) / RATE
    beat = times % 0.5
    chord = np.floor(times / 2) % 4
    tune = np.zeros(len(times))
    for number, notes in enumerate([(220, 277, 330), (196, 247, 294), (175, 220, 262), (196, 247, 330)]):
        for note in notes:
            for overtone in (1, 2, 3):
                tune += (chord == number) * np.sin(2 * np.pi * note * overtone * times) / overtone
    tune *= np.exp(-3 * beat)
    tune += 2 * np.random.default_rng(0).normal(size=len(times)) * np.exp(-40 * beat)
    return (tune / np.sqrt(np.mean(tune**2))).astype(np.float32)


def word_errors(expected: str, transcript: str) -> float:
    """Word error rate: substitutions, deletions and insertions per expected word."""
    words, found = (re.findall(r"[a-z0-9']+", text.lower()) for text in (expected, transcript))
    row = list(range(len(found) + 1))
    for number, word in enumerate(words, 1):
        above, row = row, [number]
        for index, other in enumerate(found, 1):
            row.append(min(above[index] + 1, row[-1] + 1, above[index - 1] + (word != other)))
    return row[-1] / len(words)
