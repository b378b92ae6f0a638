from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lipsync.errors import Cancelled, ToolError
from lipsync.media import open_audio
from lipsync.progress import CancelToken
from lipsync.speech import SpeechSpans, detect_speech, vad
from lipsync.types import AudioClip, FloatArray
from tests.speech.spoken import RATE, music, say, with_pauses

SENTENCES = ("The birch canoe slid on the smooth planks.", "Yes.", "Rice is often served in round bowls.")
PAUSES = (0.8, 1.5, 0.7, 1.2)


@pytest.fixture(scope="module")
def sentences() -> tuple[AudioClip, FloatArray]:
    return with_pauses([say(text) for text in SENTENCES], PAUSES)


def noise(kind: str, count: int) -> FloatArray:
    if kind == "music":
        return music(count / RATE)[:count]
    return np.random.default_rng(1).normal(size=count).astype(np.float32)


@pytest.mark.parametrize(("kind", "decibels"), [("white", 60), ("white", 10), ("music", 20), ("music", 10)])
def test_spans_match_the_speech(sentences: tuple[AudioClip, FloatArray], kind: str, decibels: float) -> None:
    clip, truth = sentences
    spoken = np.concatenate([clip.samples[int(a * RATE) : int(b * RATE)] for a, b in truth])
    level = np.sqrt(np.mean(spoken**2)) * 10 ** (-decibels / 20)
    found = detect_speech(AudioClip(clip.samples + level * noise(kind, len(clip.samples))))

    assert len(found.spans) == len(truth)
    start_error, end_error = found.spans[:, 0] - truth[:, 0], found.spans[:, 1] - truth[:, 1]
    assert start_error.min() >= -0.12 and start_error.max() <= 0.06
    assert end_error.min() >= -0.06 and end_error.max() <= 0.25
    assert found.seconds == pytest.approx((found.spans[:, 1] - found.spans[:, 0]).sum())


@pytest.mark.parametrize("gain", [0.1, 0.01])
def test_quiet_speech_is_found(sentences: tuple[AudioClip, FloatArray], gain: float) -> None:
    clip, truth = sentences
    found = detect_speech(AudioClip(clip.samples * np.float32(gain)))
    assert len(found.spans) == len(truth)


def test_nothing_is_found_without_speech() -> None:
    clips = [
        np.zeros(0, np.float32),
        np.zeros(100, np.float32),
        np.zeros(RATE * 3, np.float32),
        0.1 * noise("white", RATE * 10),
        0.1 * noise("music", RATE * 10),
        (0.5 * np.sin(2 * np.pi * 440 / RATE * np.arange(RATE * 5))).astype(np.float32),
    ]
    for samples in clips:
        found = detect_speech(AudioClip(samples))
        assert not found.found and found.spans.shape == (0, 2) and found.seconds == 0
        assert found.merged(1.0).spans.shape == (0, 2)


def test_a_real_speaker_and_his_pauses(clip: Callable[[str], Path]) -> None:
    # The address of 15 June 2010; he pauses between "citizens" and "On April 20th".
    found = detect_speech(open_audio(clip("obama__uncrop_Obama.mp4")).read())
    assert 14 < found.seconds < 18
    assert not ((found.spans[:, 0] < 6.9) & (found.spans[:, 1] > 6.3)).any()
    assert ((found.spans[:, 0] < 10) & (found.spans[:, 1] > 12)).any()


def test_probabilities_match_the_package(sentences: tuple[AudioClip, FloatArray]) -> None:
    samples = np.tile(sentences[0].samples, 3)[
        : RATE * 20 + 77
    ]  # more than one block, and a part of a window
    threads = torch.get_num_threads()
    ours = list(vad._probabilities(samples, CancelToken()))
    assert torch.get_num_threads() == threads
    try:
        from silero_vad import sequence_vad  # which sets the number of threads of all of torch

        weights = Path(sequence_vad.__file__).parent / "data" / "silero_vad_16k_sequence.onnx"
        theirs = sequence_vad.SileroVADSequence(str(weights), max_frames=100).audio_forward(samples)
    finally:
        torch.set_num_threads(threads)
    assert len(ours) == len(theirs)
    assert np.abs(np.array(ours) - theirs).max() < 1e-4


def test_lines_in_a_long_silence_are_found_alike(
    sentences: tuple[AudioClip, FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of silence are passed over."""
    clip, _ = sentences
    before, after = np.zeros(100 * RATE, np.float32), np.zeros(900 * RATE, np.float32)
    calls = []
    plain = vad.open_session

    class Counting:
        def __init__(self, *given: Any, **more: Any) -> None:
            self._session = plain(*given, **more)

        def run(self, *given: Any) -> Any:
            calls.append(1)
            return self._session.run(*given)

    monkeypatch.setattr(vad, "open_session", Counting)
    found = detect_speech(AudioClip(np.concatenate([before, clip.samples, after, clip.samples])))
    alone = detect_speech(clip).spans
    shifts = 100, 1000 + clip.duration
    np.testing.assert_allclose(found.spans, np.concatenate([alone + one for one in shifts]), atol=0.1)
    assert len(calls) < 8


def test_long_audio_is_not_copied() -> None:
    clip = AudioClip(np.full(RATE * 300, 1e-5, np.float32))
    tracemalloc.start()
    detect_speech(clip)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < clip.samples.nbytes / 4


def test_spans_close_to_each_other_are_merged() -> None:
    spans = SpeechSpans(np.array([(0.0, 1.0), (1.4, 2.0), (2.5, 3.0), (4.0, 5.0)]), 6.0)
    assert spans.merged(0.45).spans.tolist() == [[0.0, 2.0], [2.5, 3.0], [4.0, 5.0]]
    assert spans.merged(0.6).spans.tolist() == [[0.0, 3.0], [4.0, 5.0]]


def test_wrong_rate_cancel_and_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = AudioClip(np.zeros(RATE, np.float32))
    with pytest.raises(ValueError, match="16000"):
        detect_speech(AudioClip(clip.samples, 44_100))
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        detect_speech(clip, token)
    monkeypatch.setattr(vad.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"pip install 'silero-vad"):
        detect_speech(clip)
