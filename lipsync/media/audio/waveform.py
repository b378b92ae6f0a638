"""Waveform of an audio file for display, and its pauses."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipsync.media.audio.reader import open_audio
from lipsync.progress import CancelToken
from lipsync.types import FloatArray

RATE = 100
"""Peaks per second from which waveform and pauses are made."""
COLUMNS = 3000
"""Most columns of a waveform."""
QUIET = 0.03
"""Share of the file's highest peak below which it is quiet: 30 dB."""
PAUSE_SECONDS = 0.25
"""Shortest pause."""


@dataclass(frozen=True, repr=False)
class Waveform:
    """Peaks of an audio file over time.

    Attributes:
        peaks: float32 (n,) in [0, 1], the highest absolute value in each of n equal parts of the file.
        seconds: length of the file.
        pauses: start and end of its pauses, seconds.
    """

    peaks: FloatArray
    seconds: float
    pauses: tuple[tuple[float, float], ...]


def read_waveform(path: Path | str, columns: int = COLUMNS, cancel: CancelToken | None = None) -> Waveform:
    """Read the waveform of an audio file, or of a video's audio, in one pass.

    Memory: a second of audio, and 400 bytes for every second of the file.

    Raises:
        NoAudioError: there is no audio track.
        MediaError: the file is missing or cannot be decoded.
        Cancelled: the token was cancelled.
    """
    audio = open_audio(path)
    blocks = []
    with closing(audio.read_blocks(1.0, cancel=cancel)) as seconds:
        for block in seconds:
            blocks.append(_peaks(block, audio.info.sample_rate))
    peaks = np.concatenate(blocks or [np.zeros(1, np.float32)])
    edges = np.linspace(0, len(peaks), min(columns, len(peaks)) + 1).astype(int)[:-1]
    reduced = np.maximum.reduceat(peaks, edges)
    return Waveform(np.minimum(reduced, 1), audio.info.duration, find_pauses(peaks))


def _peaks(block: FloatArray, sample_rate: int) -> FloatArray:
    """Highest absolute values of a block (n, channels), `RATE` per second."""
    loud = np.abs(block).max(axis=1)
    count = max(1, round(len(loud) / sample_rate * RATE))
    edges = np.linspace(0, len(loud), min(count, len(loud)) + 1).astype(int)[:-1]
    return np.asarray(np.maximum.reduceat(loud, edges), np.float32)


def find_pauses(peaks: FloatArray) -> tuple[tuple[float, float], ...]:
    """Start and end in seconds of the stretches that stay quiet for `PAUSE_SECONDS`.

    Args:
        peaks: float32 (n,), `RATE` per second.
    """
    quiet = peaks < QUIET * max(float(peaks.max(initial=0)), 1e-3)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], quiet.view(np.int8), [0]])))
    return tuple(
        (start / RATE, end / RATE)
        for start, end in changes.reshape(-1, 2).tolist()
        if end - start >= PAUSE_SECONDS * RATE
    )
