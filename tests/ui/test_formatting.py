"""Texts for visitors."""

from __future__ import annotations

from fractions import Fraction

import pytest

from lipsync.errors import Cancelled, MediaError
from lipsync.options import MediaOptions
from lipsync.progress import Progress
from lipsync.sources import LinkInfo
from lipsync.types import Plan, TimeRange
from lipsync.ui import strings
from lipsync.ui.components.link_panel import link_html
from lipsync.ui.components.range_table import problem_note
from lipsync.ui.components.status import status_line
from lipsync.ui.formatting import error_text, lengths_text, progress_text


def test_progress() -> None:
    assert progress_text("", Progress("Drawing", 3, 10, 4.0)) == "Drawing · 3 of 10 frames · about 4.0 s left"
    assert progress_text("", Progress("Speaking", 0, 5, unit="line")) == "Speaking · 0 of 5 lines"
    assert progress_text("", Progress("Separating the voice", 7, 9, unit="s")).endswith("7 of 9 s")
    assert progress_text("x", Progress("Fetching", 2_000_000, 4_000_000)) == "x · Fetching · 2.0 of 4.0 MB"


def test_errors_name_files_without_their_folders() -> None:
    error = MediaError(
        "It is broken", given="/tmp/gradio/ab12/my clip.mp4 (bad)", hint="See https://a.org/x/y."
    )
    assert error_text(error) == "It is broken: my clip.mp4 (bad). See https://a.org/x/y."
    assert error_text(Cancelled("Drawing")) == strings.STATUS_STOPPED


def test_an_unexpected_error_is_shown_without_details() -> None:
    assert error_text(ValueError("secret detail")) == f"{strings.UNEXPECTED}. {strings.UNEXPECTED_HINT}"


def test_texts_from_outside_are_escaped() -> None:
    nasty = "<script>alert(1)</script>"
    info = LinkInfo(
        nasty,
        "https://a.org",
        uploader=nasty,
        licence=nasty,
        thumbnail='https://a.org/"><script>',
        warnings=(nasty,),
    )
    assert "<script" not in link_html(info)
    assert "<img" not in link_html(LinkInfo("t", "https://a.org", thumbnail="https://a.org/small.jpg"))
    assert 'src="data:image/jpeg;base64,' in link_html(LinkInfo("t", "https://a.org", picture=b"jpeg"))
    assert "<script" not in status_line(nasty)
    assert "<script" not in problem_note(nasty)


@pytest.mark.parametrize(
    ("parts", "mode", "video", "voice", "words"),
    [
        ("0-3 5-7.3", "pingpong", 5.3, 3, "2 parts, 5.3 s; the voice is 3.0 s: part 2 is not used."),
        ("0-1 2-4 5-7.3", "loop", 5.3, 0.8, "3 parts, 5.3 s; the voice is 0.8 s: parts 2 to 3 are not used."),
        (
            "0-3 5-",
            "hold",
            5.3,
            4,
            "2 parts, 5.3 s; the voice is 4.0 s: the last 1.3 s of the video are not used.",
        ),
        (
            "1-3",
            "shorter",
            2,
            3.5,
            "1 part, 2.0 s; the voice is 3.5 s: the last 1.5 s of the voice are not used.",
        ),
        ("1-3", "stretch", 2, 3.5, "1 part, 2.0 s; the voice is 3.5 s: the video is slowed down or sped up."),
        ("1-3", "pingpong", 2, 2, "1 part, 2.0 s; the voice is 2.0 s."),
        ("", "loop", 2, 3, "The video is 2.0 s; the voice is 3.0 s: the video repeats."),
        ("", "picture", 3, 2, "The video is 3.0 s; the voice is 2.0 s: silence after the voice."),
        ("", "loop", 2, 2.02, ""),
        ("", "loop", 0, 2, ""),
    ],
)
def test_what_is_used_of_video_and_voice(
    parts: str, mode: str, video: float, voice: float, words: str
) -> None:
    seconds = {"picture": video or voice, "shorter": min(video, voice)}.get(mode, voice)
    plan = Plan(round(seconds * 100), Fraction(100), 64, 64, video, voice)
    media = MediaOptions(video_ranges=tuple(map(TimeRange.parse, parts.split())), length_mode=mode)
    assert lengths_text(plan, media) == words
