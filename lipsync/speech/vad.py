"""When somebody speaks, by silero-vad (https://github.com/snakers4/silero-vad)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.errors import ToolError
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, FloatArray
from lipsync.utils.onnx_session import open_session

SAMPLE_RATE = 16_000

_STEP, _CONTEXT = 512, 64  # samples a window, and samples of the one before that the network sees too
_BLOCK = 512  # windows a call of the network: 16 s
_STATE = 128  # numbers of the network's memory
_SPEAKS, _STOPS = 0.5, 0.35
"""Probability at which speech begins, and below which it ends: the defaults of silero-vad."""
_SHORTEST_SPEECH = 0.2  # seconds; shorter ones are clicks and coughs
_SHORTEST_SILENCE = 0.3  # seconds; the pause of a "p" or between two words does not close a mouth
_PAD = 0.05  # seconds around what was found: the network answers for windows of 32 ms

SpanArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class SpeechSpans:
    """Where speech was found.

    Attributes:
        spans: float64 (n, 2), start and end in seconds, in order, apart from each other.
        duration: seconds of the whole clip.
    """

    spans: SpanArray
    duration: float

    @property
    def found(self) -> bool:
        """Whether there is any speech."""
        return len(self.spans) > 0

    @property
    def seconds(self) -> float:
        """Seconds of speech."""
        return float((self.spans[:, 1] - self.spans[:, 0]).sum())

    def joined(self, gap: float) -> SpeechSpans:
        """With one span in place of every run of spans that are less than `gap` seconds apart."""
        apart = self.spans[1:, 0] - self.spans[:-1, 1] >= gap
        first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
        ends = (self.spans[first, 0], self.spans[last, 1]) if self.found else ([], [])
        return SpeechSpans(np.stack(ends, axis=1), self.duration)

    def __repr__(self) -> str:
        return f"SpeechSpans({len(self.spans)} spans, {self.seconds:.2f} of {self.duration:.2f} s)"


def detect_speech(clip: AudioClip, cancel: CancelToken | None = None) -> SpeechSpans:
    """Find speech with silero-vad, whose weights are inside its package.

    Spans are at least 0.3 s long and 0.2 s apart, but for the ends of the clip. An hour takes a few
    seconds, and no copy of it.

    Raises:
        ValueError: the clip is not at 16 kHz.
        ToolError: the package silero-vad is missing.
        Cancelled: the token was thrown.
    """
    if clip.sample_rate != SAMPLE_RATE:
        raise ValueError(f"the voice must be at {SAMPLE_RATE} Hz, got {clip.sample_rate}")
    stretches = _stretches(_probabilities(clip.samples, cancel or CancelToken()))
    spans = SpeechSpans(stretches * _STEP / SAMPLE_RATE, clip.duration).joined(_SHORTEST_SILENCE).spans
    spans = spans[spans[:, 1] - spans[:, 0] >= _SHORTEST_SPEECH] + np.array([-_PAD, _PAD])
    return SpeechSpans(np.clip(spans, 0, clip.duration), clip.duration)


# ------------------------------------------------------------------------------------ the network


def _network() -> Any:
    """silero-vad for onnxruntime, in the form that takes many windows at once.

    Its file is opened without importing the package: that sets the number of threads of all of
    torch to one.
    """
    package = importlib.util.find_spec("silero_vad")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0]) / "data" / "silero_vad_16k_sequence.onnx" if folders else None
    if path is None or not path.is_file():
        hint = "Install it with: pip install 'silero-vad>=6.2.3', or set in_silence to 'speak'."
        raise ToolError("The package silero-vad, which finds speech, is missing", hint=hint)
    invalid = ToolError("The network of silero-vad is damaged", given=path, hint="Reinstall silero-vad.")
    return open_session(path.read_bytes(), invalid, threads=1)


def _probabilities(samples: FloatArray, cancel: CancelToken) -> Iterator[float]:
    """Of speech, for every 32 ms."""
    network = _network()
    memory = [np.zeros((1, 1, _STATE), np.float32)] * 2
    for start in range(0, len(samples), _BLOCK * _STEP):
        cancel.check("Finding speech")
        piece = samples[max(0, start - _CONTEXT) : start + _BLOCK * _STEP]
        before = _CONTEXT if start == 0 else 0
        piece = np.pad(piece, (before, -(len(piece) + before - _CONTEXT) % _STEP))  # to whole windows
        rows = np.lib.stride_tricks.sliding_window_view(piece, _CONTEXT + _STEP)[::_STEP]
        inputs = {"input": np.ascontiguousarray(rows), "h": memory[0], "c": memory[1]}
        probabilities, *memory = network.run(["speech_probs", "hn", "cn"], inputs)
        yield from probabilities.tolist()


def _stretches(probabilities: Iterator[float]) -> SpanArray:
    """First window, and the one after the last, of every stretch that is likely speech."""
    stretches: list[tuple[int, int]] = []
    begun, number = None, -1
    for number, probability in enumerate(probabilities):
        if begun is None and probability >= _SPEAKS:
            begun = number
        elif begun is not None and probability < _STOPS:
            stretches.append((begun, number))
            begun = None
    if begun is not None:
        stretches.append((begun, number + 1))
    return np.array(stretches, np.float64).reshape(-1, 2)
