"""What is said and when, by Whisper (Radford et al. 2022, arXiv:2212.04356) run by faster-whisper.

    voice -> speech found -> windows of up to 28 s -> segments with words and their times

Only speech is listened to, a window at a time: in silence Whisper makes words up, and the spectrum
of an hour in one piece would take a gigabyte.
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

_WINDOW = 28.0  # seconds; the network hears 30 at a time
_MARGIN = 0.1  # seconds around speech that are heard too; spans are at least twice that apart
_SEARCH = 8.0  # seconds before the end of a window in which speech without a pause is cut
_LOOP = 2.4  # how well text can be packed that says the same over and over; faster-whisper's own limit
_STAGE = "Writing down the words"


@dataclass(frozen=True)
class Word:
    """One word: seconds from the start of the clip, its text with the space before it, if any, and
    how sure the network is, 0..1."""

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """A sentence or a part of one: seconds from the start of the clip, and its words."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...]


@dataclass(frozen=True, repr=False)
class Transcript:
    """What is said in a clip.

    Attributes:
        segments: in order; none where nobody speaks.
        language: ISO 639 code; "" where nobody speaks.
        language_probability: how sure the network is of it; None where it did not have to tell, be it
            that the language was given or that it knows English only.
        model: name of the network.
    """

    segments: tuple[Segment, ...]
    language: str
    language_probability: float | None
    model: str

    @property
    def text(self) -> str:
        """All that is said, in one line."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def confidence(self) -> float:
        """How sure the network is of its words on average, 0..1; 0 where there are none.

        Below about 0.6 it hears another language than it knows, or something other than speech.
        """
        sure = [word.probability for segment in self.segments for word in segment.words]
        return sum(sure) / len(sure) if sure else 0.0

    def __repr__(self) -> str:
        return f"Transcript({len(self.segments)} segments, {self.language!r}, by {self.model!r})"


def transcribe(
    clip: AudioClip,
    options: TranscriptOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Transcript:
    """Write down what is said in `clip`, at 16 kHz. Runs on the CPU.

    A cancel is answered at once; the window that is being listened to is finished in the background.

    Raises:
        ToolError: a package is missing, or there is no network on this machine.
        OptionError: the language is unknown to the network.
        WeightsError, DownloadError: the network cannot be read, or cannot be had.
        Cancelled: the token was thrown.
    """
    options, cancel = options or TranscriptOptions(), cancel or CancelToken()
    name, folder = choose_model(options, progress, cancel)
    spans = detect_speech(clip, cancel)
    if not spans.found:
        return Transcript((), "", None, name)
    windows = _windows(spans.spans, clip)
    with CancellableCalls(cancel, _STAGE) as calls:
        network = calls.run(_load, folder)
        language, probability = calls.run(_language, network, options, clip, windows)
        stage = StageProgress(_STAGE, round(clip.duration), progress, cancel)
        segments: list[Segment] = []
        for start, end in windows:
            segments += calls.run(_listen, network, clip, start, end, language)
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
            "The package faster-whisper, which writes down speech, is missing", hint=hint
        ) from error
    try:
        return WhisperModel(str(folder), device="cpu", compute_type="auto", local_files_only=True)
    except (RuntimeError, ValueError, OSError) as error:
        hint = "If this program downloaded it, delete the folder, and it is fetched anew."
        raise WeightsError("The speech network cannot be read", given=folder, hint=hint) from error


def _language(
    network: Any, options: TranscriptOptions, clip: AudioClip, windows: list[tuple[float, float]]
) -> tuple[str, float | None]:
    """The language that is spoken, and how likely it is, told from the longest window."""
    known, wanted = network.supported_languages, options.spoken_language
    if wanted != "auto":
        if wanted not in known:
            listed = ", ".join(known)
            hint = f"It knows: {listed}." + (" Choose another speech_model." if len(known) == 1 else "")
            raise OptionError("The speech network does not know this language", given=wanted, hint=hint)
        return wanted, None
    if len(known) == 1:
        return str(known[0]), None
    longest = max(windows, key=lambda window: window[1] - window[0])
    language, probability, _ = network.detect_language(audio=_cut(clip, *longest))
    return str(language), float(probability)


def _listen(network: Any, clip: AudioClip, start: float, end: float, language: str) -> list[Segment]:
    """The segments of one window, with times of the whole clip."""
    heard, _ = network.transcribe(
        _cut(clip, start, end),
        language=language,
        word_timestamps=True,
        # What was misheard once must not be carried on; and a wild guess helps nobody.
        condition_on_previous_text=False,
        temperature=(0.0, 0.2, 0.4),
    )

    def at(seconds: float) -> float:
        return round(float(min(start + seconds, end)), 3)

    segments = []
    for segment in heard:
        if segment.compression_ratio > _LOOP:
            continue
        words = tuple(Word(at(w.start), at(w.end), w.word, float(w.probability)) for w in segment.words or ())
        segments.append(Segment(at(segment.start), at(segment.end), segment.text.strip(), words))
    return [segment for segment in segments if segment.text]


def _cut(clip: AudioClip, start: float, end: float) -> FloatArray:
    return clip.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


# ------------------------------------------------------------------------------------- the windows


def _windows(spans: SpanArray, clip: AudioClip) -> list[tuple[float, float]]:
    """Start and end of what is listened to at once: as much speech as fits, cut where it pauses."""
    windows: list[tuple[float, float]] = []
    for start, end in np.clip(spans + np.array([-_MARGIN, _MARGIN]), 0, clip.duration).tolist():
        if windows and end - windows[-1][0] <= _WINDOW:
            windows[-1] = (windows[-1][0], end)
            continue
        while end - start > _WINDOW:
            cut = _quietest(clip, start + _WINDOW - _SEARCH, start + _WINDOW)
            windows.append((start, cut))
            start = cut
        windows.append((start, end))
    return windows


def _quietest(clip: AudioClip, start: float, end: float) -> float:
    """The middle of the quietest tenth of a second."""
    width = SAMPLE_RATE // 10
    power = np.cumsum(np.square(_cut(clip, start, end), dtype=np.float64))
    return start + (int(np.argmin(power[width:] - power[:-width])) + width / 2) / SAMPLE_RATE
