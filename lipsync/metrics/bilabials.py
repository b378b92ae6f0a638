"""Where the lips should touch: p, b and m in the words of a transcript."""

from __future__ import annotations

from collections.abc import Iterator

from lipsync.speech import Transcript

_LETTERS = frozenset("pbm" + "\u0628\u0645" + "\u043f\u0431\u043c" + "\u03bc\u03c0")
"""Letters of p, b and m: Latin, Arabic, Cyrillic, Greek."""
_REACH = 0.08
"""Seconds around a letter: word times are exact to a frame or two, letters are spread evenly in a word."""


def bilabial_spans(transcript: Transcript, fps: float, frames: int) -> list[tuple[int, int]]:
    """First and last frame of each span in which p, b or m is said.

    Spelling stands for sounds: nearly every p, b and m closes the lips in languages with an alphabet. Doubled
    letters, or mb and mp, are one closure.

    Args:
        transcript: with word times from the start of the video.
        fps, frames: of the video.

    Returns:
        Spans in order; empty for scripts without these letters.
    """
    spans: list[tuple[int, int]] = []
    for time in _letter_times(transcript):
        first, last = round((time - _REACH) * fps), round((time + _REACH) * fps)
        if first < 0 or last >= frames:
            continue
        if spans and first <= spans[-1][1]:
            first = spans.pop()[0]
        spans.append((first, last))
    return spans


def _letter_times(transcript: Transcript) -> Iterator[float]:
    """Middle of each letter, seconds."""
    for segment in transcript.segments:
        for word in segment.words:
            text = "".join(letter for letter in word.text.lower() if letter.isalpha())
            for index, letter in enumerate(text):
                if letter in _LETTERS:
                    yield word.start + (index + 0.5) / len(text) * (word.end - word.start)
