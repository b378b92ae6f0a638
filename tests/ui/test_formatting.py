"""Texts for visitors."""

from __future__ import annotations

from lipsync.errors import Cancelled, MediaError
from lipsync.progress import Progress
from lipsync.sources import LinkInfo
from lipsync.ui import strings
from lipsync.ui.components.link_panel import link_html
from lipsync.ui.components.range_table import problem_note
from lipsync.ui.components.status import status_line
from lipsync.ui.formatting import error_text, progress_text


def test_progress() -> None:
    assert progress_text("", Progress("Drawing", 3, 10, 4.0)) == "Drawing · 3 of 10 frames · about 4.0 s left"
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
    assert "<img" not in link_html(LinkInfo("t", "https://a.org", thumbnail="javascript:alert(1)"))
    assert "<script" not in status_line(nasty)
    assert "<script" not in problem_note(nasty)
