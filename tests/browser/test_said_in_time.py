"""What the page says before a run: models to fetch, how long it takes, what speaks against it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import choose, finished, give, run
from tests.make_media import run_ffmpeg
from tests.material import FACE

pytestmark = pytest.mark.browser


def test_models_are_marked_and_can_be_fetched_before_a_run(page: Page) -> None:
    page.locator("#variant input").click()
    expect(page.get_by_role("option", name="built-in: small and fast · here")).to_be_visible()
    page.get_by_role("option", name="Wav2Lip · 436 MB, non-commercial, to fetch").click()
    expect(page.locator("#fetch-about")).to_contain_text("Wav2Lip: 436 MB, non-commercial")
    page.locator("#fetch").click()  # there is no way out of this machine
    expect(page.locator("#fetch-about .bad")).to_contain_text("download")
    expect(page.locator("#fetch")).to_be_visible()  # again
    choose(page, "variant", "built-in: small and fast")
    expect(page.locator("#fetch-about")).to_be_hidden()
    choose(page, "enhancer", "GFPGAN 1.4")
    expect(page.locator("#fetch-about")).to_contain_text("GFPGAN 1.4: 349 MB")


def test_a_silent_voice_and_a_short_one_are_said_before_the_run(page: Page, tmp_path: Path) -> None:
    silent, short = tmp_path / "silent.wav", tmp_path / "short.wav"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "1", silent)
    run_ffmpeg("-f", "lavfi", "-i", "sine=300:r=16000", "-t", "0.1", short)
    give(page, silent, photo=FACE)
    expect(page.locator("#notices")).to_contain_text("The voice is silent")
    expect(page.locator("#run")).to_be_enabled()  # it is no error
    page.locator("#voice").get_by_role("button", name="Clear").click()
    expect(page.locator("#notices")).to_be_empty()
    page.locator("#voice input[type=file]").set_input_files(short)
    expect(page.locator("#notices")).to_contain_text("only 0.10 s long")


def test_a_photo_without_a_face_is_said_before_the_run(page: Page, short_voice: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    run_ffmpeg("-f", "lavfi", "-i", "color=gray:s=320x240", "-frames:v", "1", plain)
    give(page, short_voice, photo=plain)
    expect(page.locator("#notices")).to_contain_text("No face was found in the photo")
    expect(page.locator("#run")).to_be_disabled()
    page.locator("#photo input[type=file]").set_input_files(FACE)
    expect(page.locator("#notices")).to_be_empty()
    expect(page.locator("#run")).to_be_enabled()


def test_an_error_goes_when_it_is_put_right_and_then_there_is_an_estimate(
    page: Page, short_voice: Path
) -> None:
    give(page, short_voice, photo=FACE)
    page.locator("#run").click()
    expect(page.locator("#status .bad")).to_contain_text("Tick the box above the button")
    page.locator("#consent input").check()
    expect(page.locator("#status")).to_be_empty()
    run(page)
    finished(page)
    choose(page, "in_silence", "drawn like speech")
    expect(page.locator("#plan")).to_contain_text("On this machine about")
    expect(page.locator("#plan")).to_contain_text("MB")
