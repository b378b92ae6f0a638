"""Audio analysis of a media file: loudness, silence and speech."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsync.errors import ToolError
from lipsync.media import AudioReader
from lipsync.media.audio.loudness import KWeightedEnergy, gated_loudness
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech import detect_speech, even_level
from lipsync.types import AudioClip, AudioInfo

Span = tuple[float, float]
"""Start and end in seconds."""
_STAGE = "Measuring loudness"
_QUIET_DB = -50.0
"""RMS in dBFS below which audio counts as silence: the noise of a quiet room."""
_WINDOW = 800  # samples at 16 kHz: 50 ms
_MIN_SILENCE = 0.5  # seconds


@dataclass(frozen=True)
class AudioReport:
    """Audio of a file.

    Attributes:
        info: sample rate, channels and length.
        loudness: integrated loudness, LUFS; None if the audio is too short or too quiet.
        peak: sample peak, dBFS; -inf for digital silence.
        silence: spans of silence of at least half a second.
        speech: spans of speech; None without a speech detector.
    """

    info: AudioInfo
    loudness: float | None
    peak: float
    silence: tuple[Span, ...]
    speech: tuple[Span, ...] | None

    @property
    def silent_share(self) -> float:
        """Share of silence in the length, 0..1."""
        return min(1.0, total_seconds(self.silence) / self.info.duration)

    @property
    def speech_share(self) -> float | None:
        """Share of speech in the length, 0..1; None without a speech detector."""
        return None if self.speech is None else min(1.0, total_seconds(self.speech) / self.info.duration)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "duration": round(self.info.duration, 3),
            "sample_rate": self.info.sample_rate,
            "channels": self.info.channels,
            "loudness_lufs": None if self.loudness is None else round(self.loudness, 2),
            "peak_db": None if math.isinf(self.peak) else round(self.peak, 2),
            "silent_share": round(self.silent_share, 4),
            "silence": _rounded(self.silence),
            "speech_share": None if self.speech_share is None else round(self.speech_share, 4),
            "speech": None if self.speech is None else _rounded(self.speech),
        }


def _rounded(spans: Iterable[Span]) -> list[list[float]]:
    return [[round(start, 3), round(end, 3)] for start, end in spans]


def total_seconds(spans: Iterable[Span]) -> float:
    """Sum of the lengths of spans."""
    return float(sum(end - start for start, end in spans))


def analyse_audio(
    reader: AudioReader,
    clip: AudioClip,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> tuple[AudioReport, str]:
    """Measure loudness, silence and speech.

    Args:
        clip: the same audio at 16 kHz, from `reader.read`.

    Returns:
        The report, and a sentence about missing measurements; "" if none are missing.

    Raises:
        MediaError: the audio cannot be decoded.
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    try:
        loudness, peak = measure_loudness(reader, progress, cancel)
        missing = ""
    except ImportError:
        loudness, peak = None, to_decibels(float(np.abs(clip.samples).max(initial=0.0)))
        missing = "Loudness needs the package pyloudnorm (pip install pyloudnorm)."
    speech: tuple[Span, ...] | None = None
    try:
        speech = tuple(
            (float(start), float(end)) for start, end in detect_speech(even_level(clip), cancel).spans
        )
    except ToolError as error:
        missing = f"{missing} {error}".strip()
    return AudioReport(reader.info, loudness, peak, find_silence(clip), speech), missing


def to_decibels(amplitude: float) -> float:
    """Amplitude in [0, 1] as dBFS; -inf for 0."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def find_silence(clip: AudioClip) -> tuple[Span, ...]:
    """Spans of at least half a second below -50 dBFS."""
    window = _WINDOW * clip.sample_rate // 16_000
    count = len(clip.samples) // window
    if not count:
        return ()
    power = np.array(
        [float(np.square(part).mean()) for part in np.split(clip.samples[: count * window], count)]
    )
    quiet = np.concatenate([[False], power < 10 ** (_QUIET_DB / 10), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(quiet)).reshape(-1, 2) * window / clip.sample_rate
    return tuple((float(start), float(end)) for start, end in edges if end - start >= _MIN_SILENCE)


# --- loudness ------------------------------------------------------------------------------------


def measure_loudness(
    reader: AudioReader, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
) -> tuple[float | None, float]:
    """Integrated loudness by ITU-R BS.1770-4, and the sample peak.

    The K-weighting filters are pyloudnorm's, whose own meter needs the whole audio in memory; here it is
    streamed in steps of 100 ms. More than two channels are mixed down to two.

    Returns:
        Loudness in LUFS, None with less than 400 ms above -70 LUFS; and the peak in dBFS.

    Raises:
        ImportError: pyloudnorm is not installed.
        MediaError: the audio cannot be decoded.
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    stage = StageProgress(_STAGE, max(1, round(reader.duration)), progress, cancel, unit="s")
    energy = KWeightedEnergy(reader.info.sample_rate)
    peak = 0.0
    for block in reader.read_blocks(1.0, cancel=cancel):
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        energy.update(block)
        stage.advance()
    return gated_loudness(np.array(energy.steps)), to_decibels(peak)
