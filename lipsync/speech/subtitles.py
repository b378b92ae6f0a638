"""Subtitles from a transcript, as text of SubRip (SRT) or WebVTT.

At most two lines of 42 characters at a time, which is what broadcasters take for what can be read
at a glance (Netflix, Timed Text Style Guide). A cue ends with its sentence, and where a sentence
needs several lines they are about as long as each other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain

from lipsync.media.subtitle_formats import Cue, format_srt, format_vtt
from lipsync.speech.transcription import Segment, Transcript, Word

LINE = 42
"""Widest line, in Latin letters; one of Chinese, Japanese or Korean counts as two."""
_LONGEST = 7.0  # seconds a cue of two lines stays at most
_SHORTEST = 1.0  # seconds a cue stays at least, where the next one leaves room
_PAUSE = 1.0  # seconds without a word that end a cue
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")


def to_srt(transcript: Transcript) -> str:
    """The transcript as SubRip."""
    return format_srt(to_cues(transcript))


def to_vtt(transcript: Transcript) -> str:
    """The transcript as WebVTT."""
    return format_vtt(to_cues(transcript))


def to_cues(transcript: Transcript) -> list[Cue]:
    """What is shown when; cues are in order and never overlap."""
    shown = [pair for sentence in _sentences(transcript.segments) for pair in _pairs(_lines(sentence))]
    cues: list[Cue] = []
    for number, lines in enumerate(shown):
        start = max(lines[0][0].start, cues[-1].end if cues else 0.0)
        room = shown[number + 1][0][0].start if number + 1 < len(shown) else start + _SHORTEST
        end = max(lines[-1][-1].end, min(start + _SHORTEST, room), start + 0.001)
        cues.append(Cue(start, end, "\n".join(map(_text, lines))))
    return cues


# ----------------------------------------------------------------------------------------- splitting


def _sentences(segments: Sequence[Segment]) -> Iterator[list[Word]]:
    """Words up to the end of each sentence, or a pause."""
    sentence: list[Word] = []
    whole = (word for segment in segments for word in segment.words)
    for word in chain.from_iterable(map(_pieces, whole)):
        if sentence and word.start - sentence[-1].end > _PAUSE:
            yield sentence
            sentence = []
        sentence.append(word)
        if word.text.endswith(_SENTENCE_ENDS):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _pieces(word: Word) -> Iterator[Word]:
    """The word, without line breaks; one that is too long for a line, such as a link, in parts."""
    text = " " * word.text[:1].isspace() + " ".join(word.text.split())
    step = LINE // 2 if _width(text) > len(text) else LINE
    for start in range(0, len(text), step):
        yield Word(word.start, word.end, text[start : start + step], word.probability)


def _lines(sentence: list[Word]) -> list[list[Word]]:
    """The sentence in as few lines as it needs, and these as short as they can be."""
    count = len(_filled(sentence, LINE))
    width = next(width for width in range(1, LINE + 1) if len(_filled(sentence, width)) <= count)
    return _filled(sentence, width)


def _filled(sentence: list[Word], width: int) -> list[list[Word]]:
    """Lines of at most `width`, each as full as it can be."""
    lines = [[sentence[0]]]
    for word in sentence[1:]:
        if _width(_text([*lines[-1], word])) <= width:
            lines[-1].append(word)
        else:
            lines.append([word])
    return lines


def _pairs(lines: list[list[Word]]) -> list[list[list[Word]]]:
    """Two lines at a time, or one where two would stay for too long."""
    pairs: list[list[list[Word]]] = []
    for line in lines:
        if pairs and len(pairs[-1]) == 1 and line[-1].end - pairs[-1][0][0].start <= _LONGEST:
            pairs[-1].append(line)
        else:
            pairs.append([line])
    return pairs


def _text(words: list[Word]) -> str:
    return "".join(word.text for word in words).strip()


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
