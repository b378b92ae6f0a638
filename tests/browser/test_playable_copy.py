"""Files that the browser cannot play, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WAIT
from tests.browser.steps import give, seek, unfold
from tests.make_media import run_ffmpeg
from tests.material import SAMPLES, VOICE
from tests.waiting import found, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def unplayable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MPEG-2, which no browser decodes."""
    path = tmp_path_factory.mktemp("mpeg2") / "talk.mpg"
    run_ffmpeg("-i", SAMPLES / "talk.mp4", "-t", "2", "-c:v", "mpeg2video", "-c:a", "mp2", path)
    return path


def test_a_copy_is_shown_of_a_video_that_the_browser_cannot_play(
    page: Page, unplayable: Path, short_voice: Path, cache: Path
) -> None:
    give(page, short_voice, video=unplayable)
    note = page.locator("#video-copy-note")
    expect(note).to_contain_text("The run uses your file")
    page.wait_for_function("document.querySelector('#video video').videoWidth > 0")
    unfold(page, "Use only parts of the video")
    seek(page, "#video video", 1)
    page.locator("#video-start-1-here").click()
    expect(page.get_by_label("Start of part 1").first).to_have_value("0:01.00")
    expect(note).to_contain_text("The run uses your file")  # after further events as well
    assert found(cache, "copies/*.mp4")
    page.close()
    # An event that is answered after the page is closed puts that off, by 30 times the grace.
    wait_until(lambda: not found(cache, "copies/*.mp4"), WAIT / 1000)


def test_the_voices_video_has_a_copy_too(page: Page, unplayable: Path) -> None:
    page.get_by_role("tab", name="From a video").click()
    page.locator("#voice-video input[type=file]").set_input_files(unplayable)
    expect(page.locator("#voice-video-copy-note")).to_contain_text("The run uses your file")
    shown = "document.querySelector('#voice-video video').videoWidth > 0"
    page.wait_for_function(shown)
    # Gradio makes the player anew with the file itself, whenever it likes.
    page.locator("#voice-video video").evaluate("player => { player.src = player.dataset.copyOf }")
    page.wait_for_function(shown)


def test_audio_that_the_browser_cannot_play_has_a_copy(page: Page, tmp_path: Path) -> None:
    run_ffmpeg("-i", VOICE, "-t", "2", "-c:a", "wmav2", tmp_path / "voice.wma")
    page.locator("#voice input[type=file]").set_input_files(tmp_path / "voice.wma")
    expect(page.locator("#voice-copy-note")).to_contain_text("The run uses your file")
    page.wait_for_function("document.querySelector('#voice audio').duration > 1")


def test_what_the_browser_plays_has_no_copy(page: Page, head: Path, short_voice: Path, cache: Path) -> None:
    give(page, short_voice, video=head)
    page.wait_for_function("document.querySelector('#video video').videoWidth > 0")
    expect(page.locator("#video-copy-note")).to_be_hidden()  # leaves no gap
    assert not found(cache, "copies/*.mp4")
