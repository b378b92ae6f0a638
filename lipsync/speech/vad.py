"""Voice activity detection by silero-vad (https://github.com/snakers4/silero-vad)."""

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
from lipsync.utils.mapped_array import release
from lipsync.utils.onnx_session import open_session

SAMPLE_RATE = 16_000

_STEP, _CONTEXT = 512, 64  # samples per window, and of the window before that it also takes
_BLOCK = 512  # windows per call of the network: 16 s
_STATE = 128  # size of the recurrent state
_ONSET, _OFFSET = 0.5, 0.35
"""Probability at which speech begins, and below which it ends: the defaults of silero-vad."""
_MIN_SPEECH = 0.2  # seconds; shorter ones are clicks and coughs
_MIN_SILENCE = 0.3  # seconds; the closure of a "p" or the gap between two words is no pause
_PAD = 0.05  # seconds around each span: the network's resolution is 32 ms

SpanArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class SpeechSpans:
    """Detected speech.

    Attributes:
        spans: float64 (n, 2), start and end in seconds, in order, not touching.
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
        """Total length of the speech in seconds."""
        return float((self.spans[:, 1] - self.spans[:, 0]).sum())

    def merged(self, gap: float) -> SpeechSpans:
        """Merge spans that are less than `gap` seconds apart."""
        separate = self.spans[1:, 0] - self.spans[:-1, 1] >= gap
        first, last = np.concatenate([[True], separate]), np.concatenate([separate, [True]])
        ends = (self.spans[first, 0], self.spans[last, 1]) if self.found else ([], [])
        return SpeechSpans(np.stack(ends, axis=1), self.duration)

    def __repr__(self) -> str:
        return f"SpeechSpans({len(self.spans)} spans, {self.seconds:.2f} of {self.duration:.2f} s)"


def detect_speech(clip: AudioClip, cancel: CancelToken | None = None) -> SpeechSpans:
    """Detect speech with silero-vad, whose weights are inside its package.

    Spans are at least 0.3 s long and 0.2 s apart, except at the ends of the clip. An hour takes a few
    seconds, and is not copied.

    Args:
        clip: 16 kHz.

    Raises:
        ValueError: the clip is not at 16 kHz.
        ToolError: the package silero-vad is missing.
        Cancelled: the token was cancelled.
    """
    if clip.sample_rate != SAMPLE_RATE:
        raise ValueError(f"the voice must be at {SAMPLE_RATE} Hz, got {clip.sample_rate}")
    runs = _speech_runs(_probabilities(clip.samples, cancel or CancelToken()))
    spans = SpeechSpans(runs * _STEP / SAMPLE_RATE, clip.duration).merged(_MIN_SILENCE).spans
    spans = spans[spans[:, 1] - spans[:, 0] >= _MIN_SPEECH] + np.array([-_PAD, _PAD])
    return SpeechSpans(np.clip(spans, 0, clip.duration), clip.duration)


# ------------------------------------------------------------------------------------ the network


def _load_network() -> Any:
    """silero-vad for onnxruntime, the variant that takes many windows per call.

    Its file is opened without importing the package, which would set torch's number of threads to one.
    """
    package = importlib.util.find_spec("silero_vad")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0]) / "data" / "silero_vad_16k_sequence.onnx" if folders else None
    if path is None or not path.is_file():
        hint = "Install it with: pip install 'silero-vad>=6.2.3', or set in_silence=speak."
        raise ToolError("The package silero-vad, which detects speech, is missing", hint=hint)
    invalid = ToolError("The network of silero-vad is damaged", given=path, hint="Reinstall silero-vad.")
    return open_session(path.read_bytes(), invalid, threads=1)


def _probabilities(samples: FloatArray, cancel: CancelToken) -> Iterator[float]:
    """Probability of speech for every 32 ms.

    After a block of digital silence the network begins anew: of a few lines in an hour most blocks need no
    call.
    """
    network = _load_network()
    fresh = [np.zeros((1, 1, _STATE), np.float32)] * 2
    state = fresh
    for start in range(0, len(samples), _BLOCK * _STEP):
        cancel.check("Finding speech")
        block = samples[max(0, start - _CONTEXT) : start + _BLOCK * _STEP]
        if len(block) == _CONTEXT + _BLOCK * _STEP and not block.any():
            release(samples)
            state = fresh
            yield from [0.0] * _BLOCK
            continue
        before = _CONTEXT if start == 0 else 0
        block = np.pad(block, (before, -(len(block) + before - _CONTEXT) % _STEP))  # to whole windows
        rows = np.lib.stride_tricks.sliding_window_view(block, _CONTEXT + _STEP)[::_STEP]
        inputs = {"input": np.ascontiguousarray(rows), "h": state[0], "c": state[1]}
        release(samples)
        probabilities, *state = network.run(["speech_probs", "hn", "cn"], inputs)
        yield from probabilities.tolist()


def _speech_runs(probabilities: Iterator[float]) -> SpanArray:
    """First window and the one after the last of each run of speech, float64 (n, 2)."""
    runs: list[tuple[int, int]] = []
    start, number = None, -1
    for number, probability in enumerate(probabilities):
        if start is None and probability >= _ONSET:
            start = number
        elif start is not None and probability < _OFFSET:
            runs.append((start, number))
            start = None
    if start is not None:
        runs.append((start, number + 1))
    return np.array(runs, np.float64).reshape(-1, 2)
