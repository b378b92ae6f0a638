from __future__ import annotations

import itertools

import pytest

from lipsync.media.subtitle_formats import Cue
from lipsync.speech import Transcript, TranscriptSegment, Word, to_srt, to_vtt
from lipsync.speech.subtitles import LINE_WIDTH, to_cues


def make_transcript(*sentences: tuple[float, str], pace: float = 0.25, language: str = "en") -> Transcript:
    """Each sentence as a segment that starts at its time, a word every `pace` seconds."""
    segments = []
    for start, text in sentences:
        words = [
            Word(start + number * pace, start + number * pace + 0.8 * pace, f" {word}", 0.9)
            for number, word in enumerate(text.split(" "))
        ]
        segments.append(TranscriptSegment(start, words[-1].end, text, tuple(words)))
    return Transcript(tuple(segments), language, None, "test")


def lines_of(cue: Cue) -> tuple[str, ...]:
    return tuple(cue.text.split("\n"))


def test_srt_format() -> None:
    transcript = make_transcript((0.5, "Good morning."), (3661.25, "It is late."), (3664, "Goodbye!"))
    assert to_srt(transcript) == (
        "1\n"
        "00:00:00,500 --> 00:00:01,500\n"
        "Good morning.\n"
        "\n"
        "2\n"
        "01:01:01,250 --> 01:01:02,250\n"
        "It is late.\n"
        "\n"
        "3\n"
        "01:01:04,000 --> 01:01:05,000\n"
        "Goodbye!\n"
    )


def test_vtt_format() -> None:
    assert to_vtt(make_transcript((0.5, "Good morning."), (3661.25, "It is late."))) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.500 --> 00:00:01.500\n"
        "Good morning.\n"
        "\n"
        "01:01:01.250 --> 01:01:02.250\n"
        "It is late.\n"
    )


def test_markup_is_escaped() -> None:
    transcript = make_transcript((0, "a --> b <i> & <b>c."))
    assert "\na --&gt; b &lt;i&gt; &amp; &lt;b&gt;c.\n" in to_vtt(transcript)
    assert "\na -> b <i> & <b>c.\n" in to_srt(transcript)
    assert to_srt(transcript).count("-->") == to_vtt(transcript).count("-->") == 1


def test_no_speech_is_an_empty_file() -> None:
    assert to_srt(make_transcript()) == ""
    assert to_vtt(make_transcript()) == "WEBVTT\n"


def test_a_long_sentence_is_wrapped_evenly_two_lines_at_a_time() -> None:
    text = (
        "When the sunlight strikes raindrops in the air, they act as a prism and form a rainbow, "
        "which is a division of white light into many beautiful colors."
    )
    cues = to_cues(make_transcript((2.0, text)))
    assert [lines_of(cue) for cue in cues] == [
        ("When the sunlight strikes raindrops in", "the air, they act as a prism and form a"),
        ("rainbow, which is a division of white", "light into many beautiful colors."),
    ]
    assert [(cue.start, round(cue.end, 3)) for cue in cues] == [(2.0, 5.95), (6.0, 8.95)]


def test_two_lines_are_about_equally_long() -> None:
    [cue] = to_cues(make_transcript((0, "We shall fight on the beaches and on the landing grounds.")))
    assert lines_of(cue) == ("We shall fight on the beaches", "and on the landing grounds.")


def test_a_cue_ends_with_its_sentence_or_a_pause() -> None:
    transcript = make_transcript((0, "Yes. No"), (0.5, "thank you"), (5, "Maybe"), (5.25, "not?"))
    assert [lines_of(cue) for cue in to_cues(transcript)] == [("Yes.",), ("No thank you",), ("Maybe not?",)]


def test_slow_speech_is_shown_a_line_at_a_time() -> None:
    slow = make_transcript((0, "one two three four five six seven eight nine ten"), pace=1.0)
    assert all(len(lines_of(cue)) == 1 and cue.end - cue.start < 10 for cue in to_cues(slow))
    assert len(to_cues(slow)) == 2


@pytest.mark.parametrize("pace", [0.01, 0.3, 2.0])
def test_cues_never_overlap_nor_omit_a_word(pace: float) -> None:
    text = "Now, this? is a test. " + "of very many words, " * 30 + "and " + "w" * 100 + " at last."
    transcript = make_transcript((1, text.replace("  ", " ")), (4, "Somebody breaks in! Sorry."), pace=pace)
    cues = to_cues(transcript)
    assert all(cue.start < cue.end for cue in cues)
    assert all(before.end <= after.start for before, after in itertools.pairwise(cues))
    assert all(len(line) <= LINE_WIDTH for cue in cues for line in lines_of(cue))
    assert all(1 <= len(lines_of(cue)) <= 2 for cue in cues)
    shown = "".join(line for cue in cues for line in lines_of(cue)).replace(" ", "")
    assert shown == transcript.text.replace(" ", "")


def test_languages_without_spaces_and_with_wide_letters() -> None:
    letters = "今天天气很好我们去公园散步然后回家吃饭再一起看电影。明天可能会下雨。"
    words = tuple(Word(n * 0.2, n * 0.2 + 0.2, letter, 0.9) for n, letter in enumerate(letters))
    cues = to_cues(Transcript((TranscriptSegment(0, 6, letters, words),), "zh", 0.9, "test"))
    assert [lines_of(cue) for cue in cues] == [
        ("今天天气很好我们去公园散步", "然后回家吃饭再一起看电影。"),
        ("明天可能会下雨。",),
    ]


def test_line_breaks_inside_a_word_are_spaces() -> None:
    word = Word(0, 1, " two\n\nwords", 0.9)
    [cue] = to_cues(Transcript((TranscriptSegment(0, 1, "two words", (word,)),), "en", None, "test"))
    assert cue.text == "two words"
