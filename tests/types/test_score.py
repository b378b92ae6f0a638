from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from lipsync.types import ScoreCard, SyncScore, TimeSpan, Verdict

GOOD = SyncScore(
    Verdict.GOOD,
    windows=200,
    distance=0.6,
    confidence=0.25,
    certainty=3.0,
    offset=0,
    offset_ms=-4.0,
    by_offset=(math.nan, *[0.1] * 30),
    times=(0.5, 0.9),
    curve=(0.2, math.nan),
)
SHORT = SyncScore(Verdict.TOO_SHORT, 20)


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (GOOD, "The lips follow the voice as closely as in real video."),
        (
            replace(GOOD, offset=-3, offset_ms=-110.0),
            "comes 3 frames (110 ms) late, which few people notice.",
        ),
        (replace(GOOD, offset=1, offset_ms=40.0), "as closely as in real video."),
        (replace(GOOD, verdict=Verdict.FAIR), "follow the voice loosely"),
        (replace(GOOD, verdict=Verdict.POOR), "do not follow the voice"),
        (
            replace(GOOD, verdict=Verdict.OFF, offset=5, offset_ms=204.0),
            "belong together, but the sound comes 5 frames (204 ms) early.",
        ),
        (SHORT, "Too short to judge"),
    ],
)
def test_the_words_say_what_the_figures_mean(score: SyncScore, words: str) -> None:
    assert words in score.words


def test_too_short_has_no_number_anywhere() -> None:
    told = SHORT.as_dict()
    assert {told[name] for name in ("sync_distance", "sync_confidence", "offset_frames", "offset_ms")} == {
        None
    }
    assert not any(letter.isdigit() for letter in SHORT.words)


def test_json_has_no_nan() -> None:
    text = json.dumps(ScoreCard(GOOD, SHORT).as_dict(), allow_nan=False)
    told = json.loads(text)["result"]
    assert told["curve"] == [[0.5, 0.2], [0.9, None]]
    assert told["by_offset"][:2] == [None, 0.1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            replace(GOOD, confidence=0.3),
            "as close as the source with its own voice (confidence 0.25, in the source 0.30)",
        ),
        (
            replace(GOOD, confidence=0.4),
            "The source with its own voice is closer (confidence 0.25, in the source 0.40)",
        ),
        (replace(GOOD, verdict=Verdict.POOR), "In the source itself lips and sound do not belong together."),
        (SHORT, "The source's own voice is too short to compare with."),
    ],
)
def test_the_source_is_compared_with(source: SyncScore, words: str) -> None:
    assert any(words in sentence for sentence in ScoreCard(GOOD, source).words)


def test_a_source_whose_sound_is_off_is_told_with_the_way_to_mend_it() -> None:
    off = replace(GOOD, verdict=Verdict.OFF, offset=5, offset_ms=204.0)
    words = " ".join(ScoreCard(GOOD, off).words)
    assert "In the source itself the sound comes 5 frames (204 ms) early" in words
    assert "voice_shift=204" in words
    early = replace(off, offset=-6, offset_ms=-230.0)
    assert "voice_shift=-230" in " ".join(ScoreCard(GOOD, early).words)


def test_why_there_is_no_source() -> None:
    assert (
        "There is nothing to compare with: a photo has no sound."
        in ScoreCard(GOOD, None, "a photo has no sound").words
    )
    assert len(ScoreCard(GOOD).words) == 1


def test_weak_stretches_are_named_but_not_dozens_of_them() -> None:
    weak = replace(GOOD, weak=(TimeSpan(3.2, 4.6), TimeSpan(70, 75), TimeSpan(3700, 3703.1)))
    assert "They lose it in 0:03-0:05, 1:10-1:15 and 1:01:40-1:01:44." in ScoreCard(weak).words
    many = replace(GOOD, weak=tuple(TimeSpan(10.0 * n, 10.0 * n + 2) for n in range(30)))
    assert "0:40-0:42 and 25 more places" in ScoreCard(many).words[1]


def test_the_card_says_what_viewers_would_object_to_in_the_lips() -> None:
    fine = {"mouth_sharpness": 0.95, "lip_dynamics": 1.1, "lip_leak": 0.02}
    assert ScoreCard(GOOD, lips=fine).words == ScoreCard(GOOD).words
    bad = {"mouth_sharpness": 0.31, "lip_dynamics": 0.2, "lip_leak": 0.4}
    words = " ".join(ScoreCard(GOOD, lips=bad).words)
    assert "softer than the source's: 31 % of its sharpness" in words
    assert "moves 0.2 times as much" in words
    assert "In 40 % of the pauses the mouth is open" in words
    assert json.loads(json.dumps(ScoreCard(GOOD, lips=bad).as_dict()))["lips"] == bad
