"""What is heard in a file: how loud it is, and when there is nothing to hear."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lipsync.errors import ToolError
from lipsync.media import AudioReader
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech import detect_speech
from lipsync.types import AudioClip, AudioInfo, FloatArray

Span = tuple[float, float]
_STAGE = "Listening"
_STEP_SECONDS = 0.1  # gating blocks of 400 ms overlap by three quarters
_STEPS_A_BLOCK = 4
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0  # LUFS, LU
_OFFSET = -0.691
_QUIET_DB = -50.0
"""Root mean square, dB of full scale, below which nothing is heard: the noise of a quiet room."""
_WINDOW = 800  # samples at 16 kHz: 50 ms
_SHORTEST_SILENCE = 0.5  # seconds


@dataclass(frozen=True)
class SoundReport:
    """The sound of a file.

    Attributes:
        info: rate, channels and length.
        loudness: integrated loudness, LUFS; None where it is too short or too quiet for one.
        peak: highest sample, dB of full scale; -inf for digital silence.
        silence: stretches of at least half a second in which nothing is heard, seconds.
        speech: stretches in which somebody speaks, seconds; None where no detector is installed.
    """

    info: AudioInfo
    loudness: float | None
    peak: float
    silence: tuple[Span, ...]
    speech: tuple[Span, ...] | None

    @property
    def silent_share(self) -> float:
        """Share of the length in which nothing is heard, 0..1."""
        return min(1.0, seconds_of(self.silence) / self.info.duration)

    @property
    def speech_share(self) -> float | None:
        """Share of the length in which somebody speaks, 0..1."""
        return None if self.speech is None else min(1.0, seconds_of(self.speech) / self.info.duration)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "duration": round(self.info.duration, 3),
            "sample_rate": self.info.sample_rate,
            "channels": self.info.channels,
            "loudness_lufs": None if self.loudness is None else round(self.loudness, 2),
            "peak_db": None if math.isinf(self.peak) else round(self.peak, 2),
            "silent_share": round(self.silent_share, 4),
            "silence": _plain(self.silence),
            "speech_share": None if self.speech_share is None else round(self.speech_share, 4),
            "speech": None if self.speech is None else _plain(self.speech),
        }


def _plain(spans: Iterable[Span]) -> list[list[float]]:
    return [[round(start, 3), round(end, 3)] for start, end in spans]


def seconds_of(spans: Iterable[Span]) -> float:
    """Length of all spans together."""
    return float(sum(end - start for start, end in spans))


def listen(
    voice: AudioReader,
    clip: AudioClip,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> tuple[SoundReport, str]:
    """Measure the sound of a file; and say what could not be found out, "" if nothing.

    Args:
        clip: the same at 16 kHz, as `voice.read` gives it.

    Raises:
        MediaError: the sound cannot be decoded.
        Cancelled: the token was thrown.
    """
    cancel = cancel or CancelToken()
    try:
        loudness, peak = measure_loudness(voice, progress, cancel)
        lacking = ""
    except ImportError:
        loudness, peak = None, decibels(float(np.abs(clip.samples).max(initial=0.0)))
        lacking = "Loudness needs the package pyloudnorm (pip install pyloudnorm)."
    speech: tuple[Span, ...] | None = None
    try:
        speech = tuple((float(start), float(end)) for start, end in detect_speech(clip, cancel).spans)
    except ToolError as error:
        lacking = f"{lacking} {error}".strip()
    return SoundReport(voice.info, loudness, peak, find_silence(clip), speech), lacking


def decibels(amplitude: float) -> float:
    """dB of full scale; -inf for nothing."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def find_silence(clip: AudioClip) -> tuple[Span, ...]:
    """Stretches of at least half a second in which the sound stays below -50 dB."""
    window = _WINDOW * clip.sample_rate // 16_000
    count = len(clip.samples) // window
    if not count:
        return ()
    power = np.array(
        [float(np.square(part).mean()) for part in np.split(clip.samples[: count * window], count)]
    )
    quiet = np.concatenate([[False], power < 10 ** (_QUIET_DB / 10), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(quiet)).reshape(-1, 2) * window / clip.sample_rate
    return tuple((float(start), float(end)) for start, end in edges if end - start >= _SHORTEST_SILENCE)


# --- loudness ------------------------------------------------------------------------------------


def measure_loudness(
    voice: AudioReader, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
) -> tuple[float | None, float]:
    """Integrated loudness in LUFS after ITU-R BS.1770-4, and the highest sample in dB of full scale.

    The filters are pyloudnorm's, whose own meter wants the whole sound in memory; here it streams
    past in steps of 100 ms. More than two channels are folded into two. None instead of a loudness
    where there is less than 400 ms above -70 LUFS.

    Raises:
        ImportError: pyloudnorm is not installed.
    """
    cancel = cancel or CancelToken()
    stage = StageProgress(_STAGE, max(1, round(voice.duration)), progress, cancel)
    energy = _Energy(voice.info.sample_rate)
    highest = 0.0
    for block in voice.read_blocks(1.0, cancel=cancel):
        highest = max(highest, float(np.abs(block).max(initial=0.0)))
        energy.push(block)
        stage.advance()
    return integrated(np.array(energy.steps)), decibels(highest)


class _Energy:
    """Energy of K-weighted sound in steps of 100 ms, over all channels."""

    def __init__(self, rate: int) -> None:
        from pyloudnorm import Meter
        from scipy.signal import lfilter

        self._filters = [(f.b, f.a, f.passband_gain) for f in Meter(rate)._filters.values()]
        self._filter = lfilter
        self._memory: list[npt.NDArray[np.float64] | None] = [None] * len(self._filters)
        self._rest: npt.NDArray[np.float64] | None = None
        self._size, self._taken = _STEP_SECONDS * rate, 0.0
        self.steps: list[float] = []

    def push(self, block: FloatArray) -> None:
        values = block.astype(np.float64)
        for at, (b, a, gain) in enumerate(self._filters):
            memory = self._memory[at]
            if memory is None:
                memory = np.zeros((max(len(a), len(b)) - 1, values.shape[1]))
            values, self._memory[at] = self._filter(b, a, values, axis=0, zi=memory)
            values = values * gain
        waiting = values if self._rest is None else np.concatenate([self._rest, values])
        while len(waiting) >= (count := round(self._taken + self._size) - round(self._taken)):
            self.steps.append(float(np.square(waiting[:count]).sum()) / self._size)
            self._taken += self._size
            waiting = waiting[count:]
        self._rest = waiting


def integrated(steps: npt.NDArray[np.float64]) -> float | None:
    """Gated loudness from the energy of steps of 100 ms; None where no block passes the gates."""
    if len(steps) < _STEPS_A_BLOCK:
        return None
    blocks = np.convolve(steps, np.full(_STEPS_A_BLOCK, 1 / _STEPS_A_BLOCK), "valid")
    with np.errstate(divide="ignore"):
        loud = _OFFSET + 10 * np.log10(blocks)
    kept = blocks[loud > _ABSOLUTE_GATE]
    if not len(kept):
        return None
    gate = _OFFSET + 10 * np.log10(kept.mean()) + _RELATIVE_GATE
    kept = blocks[(loud > _ABSOLUTE_GATE) & (loud > gate)]
    return float(_OFFSET + 10 * np.log10(kept.mean()))
