"""Transcription with word times, by Whisper in faster-whisper.

    voice -> speech spans -> windows of up to 28 s -> segments with words and their times

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, arXiv 2212.04356.
Only speech is transcribed, a window at a time: in silence Whisper hallucinates, and the spectrogram of
an hour in one piece would take a gigabyte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import OptionError, ToolError, WeightsError
from lipsync.options import TranscriptOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech.vad import SAMPLE_RATE, SpanArray, detect_speech
from lipsync.speech.whisper_models import choose_model
from lipsync.types import AudioClip, FloatArray
from lipsync.utils.cancellable import CancellableCalls

_WINDOW = 28.0  # seconds; the network takes 30
_MARGIN = 0.1  # seconds around speech; spans are at least twice that apart
_SEARCH = 8.0  # seconds before the end of a window in which continuous speech is split
_MAX_COMPRESSION = 2.4  # ratio of text that repeats itself; faster-whisper's own limit
_STAGE = "Transcribing speech"


@dataclass(frozen=True)
class Word:
    """One word of a transcript.

    Attributes:
        start, end: seconds from the start of the clip.
        text: with the space before it, if any.
        probability: confidence of the network, 0..1.
    """

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True)
class TranscriptSegment:
    """A sentence or a part of one; `start` and `end` in seconds of the clip."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...]


@dataclass(frozen=True, repr=False)
class Transcript:
    """Transcript of a clip.

    Attributes:
        segments: in order; empty without speech.
        language: ISO 639 code; "" without speech.
        language_probability: None if the language was not detected, because it was given or the network
            knows only English.
        model: name of the network.
    """

    segments: tuple[TranscriptSegment, ...]
    language: str
    language_probability: float | None
    model: str

    @property
    def text(self) -> str:
        """All segments in one line."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def confidence(self) -> float:
        """Mean probability of the words, 0..1; 0 without words.

        Below about 0.6 the audio is in a language that the network does not know, or is not speech.
        """
        known = [word.probability for segment in self.segments for word in segment.words]
        return sum(known) / len(known) if known else 0.0

    def __repr__(self) -> str:
        return f"Transcript({len(self.segments)} segments, {self.language!r}, by {self.model!r})"


def transcribe(
    clip: AudioClip,
    options: TranscriptOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Transcript:
    """Transcribe the speech in `clip`, on the CPU.

    A cancel takes effect at once; the current window is finished in the background.

    Args:
        clip: 16 kHz.

    Raises:
        ToolError: a package is missing, or there is no network on this machine.
        OptionError: the network does not know the language.
        WeightsError, DownloadError: the network cannot be read, or cannot be downloaded.
        Cancelled: the token was cancelled.
    """
    options, cancel = options or TranscriptOptions(), cancel or CancelToken()
    name, folder = choose_model(options, progress, cancel)
    spans = detect_speech(clip, cancel)
    if not spans.found:
        return Transcript((), "", None, name)
    windows = _windows(spans.spans, clip)
    with CancellableCalls(cancel, _STAGE) as calls:
        network = calls.run(_load, folder)
        language, probability = calls.run(_detect_language, network, options, clip, windows)
        stage = StageProgress(_STAGE, round(clip.duration), progress, cancel, unit="s")
        segments: list[TranscriptSegment] = []
        for start, end in windows:
            segments += calls.run(_transcribe_window, network, clip, start, end, language)
            stage.advance(round(end) - stage.done)
        stage.advance(stage.total - stage.done)
    return Transcript(tuple(segments), language, probability, name)


# ------------------------------------------------------------------------------------ the network


def _load(folder: Path) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        hint = "Install it with: pip install faster-whisper"
        raise ToolError(
            "The package faster-whisper, which transcribes speech, is missing", hint=hint
        ) from error
    try:
        return WhisperModel(str(folder), device="cpu", compute_type="auto", local_files_only=True)
    # CTranslate2 and tokenizers raise what they like for damaged files, also plain Exception.
    except Exception as error:
        hint = "If this program downloaded it, delete the folder; it is then downloaded again."
        raise WeightsError("The speech recognition model cannot be read", given=folder, hint=hint) from error


def _detect_language(
    network: Any, options: TranscriptOptions, clip: AudioClip, windows: list[tuple[float, float]]
) -> tuple[str, float | None]:
    """The language, and its probability if it was detected, which uses the longest window."""
    known, wanted = network.supported_languages, options.spoken_language
    if wanted != "auto":
        if wanted not in known:
            listed = ", ".join(known)
            hint = f"It knows: {listed}." + (" Choose another 'speech_model'." if len(known) == 1 else "")
            raise OptionError(
                "The speech recognition model does not know this language", given=wanted, hint=hint
            )
        return wanted, None
    if len(known) == 1:
        return str(known[0]), None
    longest = max(windows, key=lambda window: window[1] - window[0])
    language, probability, _ = network.detect_language(audio=_samples(clip, *longest))
    return str(language), float(probability)


def _transcribe_window(
    network: Any, clip: AudioClip, start: float, end: float, language: str
) -> list[TranscriptSegment]:
    """The segments of one window, with times in the whole clip."""
    found, _ = network.transcribe(
        _samples(clip, start, end),
        language=language,
        word_timestamps=True,
        # Errors must not propagate to later windows, and high temperatures only produce guesses.
        condition_on_previous_text=False,
        temperature=(0.0, 0.2, 0.4),
    )

    def absolute(seconds: float) -> float:
        return round(float(min(start + seconds, end)), 3)

    segments = []
    for segment in found:
        if segment.compression_ratio > _MAX_COMPRESSION:
            continue
        words = tuple(
            Word(absolute(w.start), absolute(w.end), w.word, float(w.probability))
            for w in segment.words or ()
        )
        segments.append(
            TranscriptSegment(absolute(segment.start), absolute(segment.end), segment.text.strip(), words)
        )
    return [segment for segment in segments if segment.text]


def _samples(clip: AudioClip, start: float, end: float) -> FloatArray:
    return clip.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


# ------------------------------------------------------------------------------------- the windows


def _windows(spans: SpanArray, clip: AudioClip) -> list[tuple[float, float]]:
    """Start and end of each window in seconds; long spans are split where it is quiet."""
    windows: list[tuple[float, float]] = []
    for start, end in np.clip(spans + np.array([-_MARGIN, _MARGIN]), 0, clip.duration).tolist():
        if windows and end - windows[-1][0] <= _WINDOW:
            windows[-1] = (windows[-1][0], end)
            continue
        while end - start > _WINDOW:
            split = _quietest(clip, start + _WINDOW - _SEARCH, start + _WINDOW)
            windows.append((start, split))
            start = split
        windows.append((start, end))
    return windows


def _quietest(clip: AudioClip, start: float, end: float) -> float:
    """The middle of the quietest tenth of a second."""
    width = SAMPLE_RATE // 10
    power = np.cumsum(np.square(_samples(clip, start, end), dtype=np.float64))
    return start + (int(np.argmin(power[width:] - power[:-width])) + width / 2) / SAMPLE_RATE
