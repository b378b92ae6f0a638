"""The page in a real browser: drop a photo and a voice, press the button, get the video."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lipsync.media import probe_video
from lipsync.ui import build_page, launch_settings
from tests.material import FACE, make_voice

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def address(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real page, with the random checkpoint where the official one would be."""
    folder = tmp_path_factory.mktemp("weights")
    shutil.copy(checkpoint, folder / "wav2lip.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIPSYNC_WEIGHTS", str(folder))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        page = build_page().queue()
        _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, show_error=True, **launch_settings())
        yield url
        page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    expect(page.get_by_role("button", name="Make the lips speak")).to_be_visible(timeout=30_000)
    yield page
    page.close()


def fill(page: Page, photo: Path, voice: Path) -> None:
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(photo)
    expect(page.locator("#photo img")).to_be_visible(timeout=20_000)
    page.locator("#voice input[type=file]").set_input_files(voice)
    expect(page.locator("#voice audio, #voice canvas, #voice .waveform-container").first).to_be_attached(
        timeout=20_000
    )
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="wav2lip", exact=True).click()


def test_a_visitor_gets_a_video(page: Page, tmp_path: Path) -> None:
    fill(page, FACE, make_voice(tmp_path / "voice.wav", seconds=0.6))
    page.get_by_role("button", name="Make the lips speak").click()
    expect(page.locator("#status")).to_contain_text("Done in", timeout=90_000)
    video = page.locator("#result video")
    expect(video).to_be_visible()
    page.wait_for_function("document.querySelector('#result video').readyState >= 2")  # it can be played
    saved = tmp_path / "saved.mp4"
    saved.write_bytes(page.request.get(video.get_attribute("src") or "").body())
    assert probe_video(saved).frame_count == 15


def test_cancel_stops_the_run_and_the_page_is_ready_again(page: Page, tmp_path: Path) -> None:
    fill(page, FACE, make_voice(tmp_path / "voice.wav", seconds=6))
    page.get_by_role("button", name="Make the lips speak").click()
    expect(page.locator("#status")).to_contain_text("Drawing lips", timeout=60_000)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_contain_text("Nothing was kept", timeout=5_000)
    expect(page.get_by_role("button", name="Make the lips speak")).to_be_enabled(timeout=5_000)
    expect(page.locator("#result video")).to_have_count(0)


def test_what_is_missing_is_said_in_words(page: Page) -> None:
    page.get_by_role("button", name="Make the lips speak").click()
    expect(page.locator("#status")).to_contain_text("There is no video yet", timeout=10_000)
    expect(page.get_by_text("Error", exact=True)).to_have_count(0)  # never a bare "Error"
    expect(page.get_by_role("button", name="Make the lips speak")).to_be_enabled()
