"""What visitors read."""

from __future__ import annotations

from lipsync.errors import Cancelled, MediaError
from lipsync.progress import Progress
from lipsync.sources import LinkInfo
from lipsync.types import TimeRange
from lipsync.ui import strings
from lipsync.ui.formatting import describe_progress, in_words
from lipsync.ui.link_panel import describe_link
from lipsync.ui.outputs import status_line
from lipsync.ui.range_table import mark_problems, read_ranges, shown


def test_progress() -> None:
    assert (
        describe_progress("", Progress("Drawing", 3, 10, 4.0))
        == "Drawing · 3 of 10 frames · about 4.0 s left"
    )
    assert (
        describe_progress("x", Progress("Fetching", 2_000_000, 4_000_000)) == "x · Fetching · 2.0 of 4.0 MB"
    )


def test_errors_name_files_without_their_folders() -> None:
    error = MediaError(
        "It is broken", given="/tmp/gradio/ab12/my clip.mp4 (bad)", hint="See https://a.org/x/y."
    )
    assert in_words(error) == "It is broken: my clip.mp4 (bad). See https://a.org/x/y."
    assert in_words(Cancelled("Drawing")) == strings.STATUS_STOPPED


def test_what_should_not_be_is_said_without_its_details() -> None:
    assert in_words(ValueError("secret detail")) == f"{strings.UNEXPECTED}. {strings.UNEXPECTED_HINT}"


def test_words_of_others_are_text_and_never_html() -> None:
    nasty = "<script>alert(1)</script>"
    info = LinkInfo(
        nasty,
        "https://a.org",
        uploader=nasty,
        licence=nasty,
        thumbnail='https://a.org/"><script>',
        warnings=(nasty,),
    )
    assert "<script" not in describe_link(info)
    assert "<img" not in describe_link(LinkInfo("t", "https://a.org", thumbnail="javascript:alert(1)"))
    assert "<script" not in status_line(nasty)
    assert "<script" not in "".join(mark_problems(None, False, (nasty, "")))


def test_parts_go_to_the_table_and_back() -> None:
    parts = (TimeRange(0, 2.5), TimeRange(62, None))
    fields = [value for value in shown(parts)[:12] if isinstance(value, str)]
    assert read_ranges(fields) == parts
    assert read_ranges([""] * 12) == ()
