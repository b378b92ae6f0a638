"""Every way to give a video, a voice and a setting, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import CHROMIUM, QUIET, WAIT
from tests.browser.steps import choose, finished, give, run, seek, unfold
from tests.make_media import run_ffmpeg
from tests.material import FACE, SAMPLES, VOICE, make_voice
from tests.sources.serving import serve

pytestmark = pytest.mark.browser

FAKE_DEVICES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def test_an_example_is_one_click_away(page: Page) -> None:
    page.get_by_role("button", name="A video with another voice").click()
    expect(page.locator("#plan")).to_contain_text("512×512")
    expect(page.locator("#previewed img")).to_be_visible()
    for source in ("Upload file", "Capture from camera"):  # in the block, not cut off by its edge
        expect(page.locator("#video").get_by_label(source)).to_be_in_viewport(ratio=1)
    expect(page.locator("#video [aria-label^=Trim]")).to_be_hidden()  # parts are chosen below
    page.get_by_role("button", name="A photo that speaks").click()
    expect(page.locator("#plan")).to_contain_text("512×512")
    expect(page.get_by_role("tab", name="Photo")).to_have_attribute("aria-selected", "true")


def test_webcam_and_microphone(browser: Browser, address: str, tmp_path: Path) -> None:
    voice = make_voice(tmp_path / "spoken.wav", seconds=3)
    chromium = browser.browser_type.launch(
        executable_path=CHROMIUM,
        args=[*QUIET, *FAKE_DEVICES, f"--use-file-for-fake-audio-capture={voice}"],
    )
    try:
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.get_by_role("tab", name="Photo").click()
        page.locator("#photo").get_by_label("Capture from camera").click()
        page.locator("#photo").get_by_role("button", name="Click to Access Webcam").click()
        page.wait_for_function("document.querySelector('#photo video')?.videoWidth > 0")
        page.locator("#photo").get_by_label("capture photo").click()
        expect(page.locator("#photo img")).to_be_visible()
        page.locator("#voice").get_by_label("Record audio").click()
        page.locator("#voice").get_by_role("button", name="Record", exact=True).click()
        expect(page.locator("#voice time").first).to_have_text(re.compile("0:0[1-9]"))
        page.locator("#voice").get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("#plan")).to_contain_text("Ready")
    finally:
        chromium.close()


def test_the_audio_of_a_video_is_a_voice(page: Page) -> None:
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(FACE)
    page.get_by_role("tab", name="From a video").click()
    page.locator("#voice-video input[type=file]").set_input_files(SAMPLES / "talk.mp4")
    expect(page.locator("#run")).to_have_text("Make 6.6 s of lip-synced video")
    unfold(page, "Use only parts of the voice")
    seek(page, "#voice-video video", 5)
    page.locator("#voice-start-1-here").click()
    expect(page.locator("#run")).to_have_text("Make 1.6 s of lip-synced video")


def test_ranges_follow_a_partial_download(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Photo").click()
    page.locator("#photo input[type=file]").set_input_files(FACE)
    pieces = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-c:a", "aac"]
    run_ffmpeg("-i", VOICE, *pieces, tmp_path / "voice.m3u8")
    with serve() as site:
        site.add_folder(tmp_path)
        page.get_by_role("tab", name="Link").last.click()
        page.get_by_label("Link").last.fill(site.url("/voice.m3u8"))
        page.locator("#voice-check").click()
        expect(page.locator("#voice-link-about")).to_contain_text("single parts")
        unfold(page, "Use only parts of the voice")
        fields = page.locator("#voice-ranges")
        fields.get_by_label("Start of part 1").fill("4.5")
        fields.get_by_label("End of part 1").fill("5.5")
        page.locator("#voice-download").click()
        expect(page.locator("#voice-link-about")).to_contain_text("count from")
    expect(page.locator("#run")).to_have_text("Make 1.0 s of lip-synced video")
    expect(fields.get_by_label("Start of part 1")).not_to_have_value("4.5")
    start, end = (fields.get_by_label(f"{side} of part 1").input_value() for side in ("Start", "End"))
    assert _seconds(end) - _seconds(start or "0:00") == pytest.approx(1)


def _seconds(clock: str) -> float:
    minutes, seconds = clock.split(":")
    return 60 * float(minutes) + float(seconds)


def test_two_models_side_by_side(page: Page, short_voice: Path) -> None:
    give(page, short_voice, photo=FACE)
    choose(page, "compare", "built-in: small and fast")
    run(page)
    finished(page)
    for place in ("#result", "#other-result"):
        expect(page.locator(f"{place} video")).to_be_visible()
    expect(page.locator("#score .score")).to_have_count(2)
    page.get_by_role("tab", name="Before and after").click()
    expect(page.locator("#side-by-side video")).to_be_visible()


def test_the_person_in_a_photo_speaks(page: Page, short_voice: Path) -> None:
    give(page, short_voice, photo=FACE)
    unfold(page, "Face, mask, enhancement")
    expect(page.locator("#face_index")).to_be_hidden()
    choose(page, "which_face", "by number, from the left")
    expect(page.locator("#face_index")).to_be_visible()
    choose(page, "which_face", "the one in a photo")
    expect(page.locator("#face_index")).to_be_hidden()
    expect(page.locator("#preview-note")).to_contain_text("✕")  # none is given yet
    page.locator("#face_reference input[type=file]").set_input_files(FACE)
    expect(page.locator("#preview-note")).to_contain_text("lips by")


def test_missing_enhancer_weights_are_reported(page: Page, short_voice: Path) -> None:
    give(page, short_voice, photo=FACE)
    choose(page, "enhancer", "GFPGAN 1.4")
    expect(page.locator("#preview-note")).to_contain_text("GFPGANv1.4.pth")
    unfold(page, "Advanced")
    page.get_by_label("Continue without enhancement").check()
    expect(page.locator("#preview-note")).to_contain_text("lips by")


def test_a_photo_of_a_phone_is_shown_and_spoken(page: Page, tmp_path: Path, short_voice: Path) -> None:
    with Image.open(FACE) as face:
        pillow_heif.from_pillow(face).save(tmp_path / "IMG_0001.HEIC")
    give(page, short_voice, photo=tmp_path / "IMG_0001.HEIC")
    expect(page.locator("#plan")).to_contain_text("512×512")
    expect(page.locator("#photo img")).to_have_js_property("naturalWidth", 512)
    run(page)
    finished(page)
