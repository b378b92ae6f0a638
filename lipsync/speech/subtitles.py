"""Subtitle cues from a transcript, as text of SubRip (SRT) or WebVTT.

At most two lines of 42 characters at a time, which broadcasters consider readable at a glance
(Netflix, Timed Text Style Guide). A cue ends with its sentence; lines of one sentence are about
equally long.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain

from lipsync.media.subtitle_formats import Cue, format_srt, format_vtt
from lipsync.speech.transcription import Transcript, TranscriptSegment, Word

LINE_WIDTH = 42
"""Maximum width of a line in Latin characters; wide (East Asian) characters count as two."""
_MAX_SECONDS = 7.0  # of a cue with two lines
_MIN_SECONDS = 1.0  # of a cue, where the next one leaves room
_PAUSE = 1.0  # seconds without a word that end a cue
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


def to_srt(transcript: Transcript) -> str:
    """Format a transcript as SubRip; write it as UTF-8."""
    return format_srt(to_cues(transcript))


def to_vtt(transcript: Transcript) -> str:
    """Format a transcript as WebVTT; write it as UTF-8."""
    return format_vtt(to_cues(transcript))


def to_cues(transcript: Transcript) -> list[Cue]:
    """Split a transcript into cues, in order and without overlap."""
    blocks = [pair for sentence in _sentences(transcript.segments) for pair in _pairs(_lines(sentence))]
    cues: list[Cue] = []
    for number, lines in enumerate(blocks):
        start = max(lines[0][0].start, cues[-1].end if cues else 0.0)
        free = blocks[number + 1][0][0].start if number + 1 < len(blocks) else start + _MIN_SECONDS
        end = max(lines[-1][-1].end, min(start + _MIN_SECONDS, free), start + 0.001)
        cues.append(Cue(start, end, "\n".join(map(_text, lines))))
    return cues


# ----------------------------------------------------------------------------------------- splitting


def _sentences(segments: Sequence[TranscriptSegment]) -> Iterator[list[Word]]:
    """Words up to the end of each sentence, or to a pause."""
    sentence: list[Word] = []
    words = (word for segment in segments for word in segment.words)
    for word in chain.from_iterable(map(_split_word, words)):
        if sentence and word.start - sentence[-1].end > _PAUSE:
            yield sentence
            sentence = []
        sentence.append(word)
        if word.text.endswith(_SENTENCE_ENDS):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _split_word(word: Word) -> Iterator[Word]:
    """The word without line breaks; split if it is too long for a line, such as a link."""
    text = " " * word.text[:1].isspace() + " ".join(word.text.split())
    step = LINE_WIDTH // 2 if _width(text) > len(text) else LINE_WIDTH
    for start in range(0, len(text), step):
        yield Word(word.start, word.end, text[start : start + step], word.probability)


def _lines(sentence: list[Word]) -> list[list[Word]]:
    """The sentence in as few lines as possible, of minimal width."""
    count = len(_wrap(sentence, LINE_WIDTH))
    width = next(width for width in range(1, LINE_WIDTH + 1) if len(_wrap(sentence, width)) <= count)
    return _wrap(sentence, width)


def _wrap(sentence: list[Word], width: int) -> list[list[Word]]:
    """Greedy lines of at most `width`."""
    lines = [[sentence[0]]]
    for word in sentence[1:]:
        if _width(_text([*lines[-1], word])) <= width:
            lines[-1].append(word)
        else:
            lines.append([word])
    return lines


def _pairs(lines: list[list[Word]]) -> list[list[list[Word]]]:
    """Two lines at a time, or one where two would be shown for too long."""
    pairs: list[list[list[Word]]] = []
    for line in lines:
        if pairs and len(pairs[-1]) == 1 and line[-1].end - pairs[-1][0][0].start <= _MAX_SECONDS:
            pairs[-1].append(line)
        else:
            pairs.append([line])
    return pairs


def _text(words: list[Word]) -> str:
    return "".join(word.text for word in words).strip()


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
