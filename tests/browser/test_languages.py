"""The page in each of its languages, as browsers ask for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, Page, expect

from lipsync.ui.languages.choice import LANGUAGES
from tests.browser.conftest import WAIT
from tests.browser.steps import no_serious_findings
from tests.material import FACE
from tests.ui.page_texts import catalogue

pytestmark = pytest.mark.browser
ASKED = {"en": "en-GB", "de": "de-AT", "pt": "pt-PT", "zh": "zh-CN", "ar": "ar-EG"}


def open_in(browser: Browser, address: str, locale: str, width: int = 1440, height: int = 900) -> Page:
    page = browser.new_context(locale=locale, viewport={"width": width, "height": height}).new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.locator("#run").wait_for()
    return page


IN_EVERY_RUN = {"de", "ja", "ar"}
"""The others differ by their catalogues, which `tests/ui` reads; `make test-slow` sees all."""
LISTED = [code if code in IN_EVERY_RUN else pytest.param(code, marks=pytest.mark.slow) for code in LANGUAGES]


@pytest.mark.parametrize("code", LISTED)
def test_each_language_has_all_of_the_page(browser: Browser, address: str, code: str) -> None:
    words = catalogue(code) if code != "en" else {}
    language = LANGUAGES[code]
    page = open_in(browser, address, ASKED.get(code, code))
    root = page.locator("html")
    expect(root).to_have_attribute("lang", language.tag)
    expect(root).to_have_attribute("dir", language.direction)
    for part, text in {
        "#run": "Add a video and a voice",
        "#cancel": "Cancel",
        "#group-more": "Advanced",
    }.items():
        expect(page.locator(part)).to_contain_text(words.get(text, text))
    expect(page.locator("#compare input")).to_have_value(words.get("none", "none"))
    expect(page.locator("#preset")).to_contain_text(words.get("Standard", "Standard"))
    page.locator("#voice-tabs [role=tab]").nth(2).click()
    page.locator("#voice-link input").fill("nothing")
    page.locator("#voice-check").click()  # told by the server
    told = "This is not a link to a web page"
    expect(page.locator("#voice-link-about .bad")).to_contain_text(words.get(told, told))
    page.locator("#pages [role=tab]").nth(1).click()
    expect(page.locator("#batch-run")).to_contain_text(words.get("Make all videos", "Make all videos"))
    page.context.close()


def test_a_language_that_the_page_lacks_gets_all_of_it_in_english(browser: Browser, address: str) -> None:
    page = open_in(browser, address, "it-IT")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#video")).to_contain_text("Click to Upload")  # Gradio's own words
    expect(page.locator("#run")).to_have_text("Add a video and a voice")
    page.context.close()


def test_the_language_chosen_in_the_settings_is_that_of_the_whole_page(
    browser: Browser, address: str
) -> None:
    page = open_in(browser, address, "en")
    page.evaluate("document.documentElement.lang = 'fr'")  # as Gradio's settings do
    expect(page.locator("#run")).to_have_text(catalogue("fr")["Add a video and a voice"])
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.context.close()


def test_arabic_is_written_from_right_to_left(browser: Browser, address: str) -> None:
    page = open_in(browser, address, "ar", 390, 844)
    page.locator("#video-tabs [role=tab]").nth(1).click()
    page.locator("#photo input[type=file]").set_input_files(FACE)
    expect(page.locator("#plan")).to_contain_text(catalogue("ar")["Add a voice"])
    for part in ("#plan .status", "#heading p", "#preset label"):
        assert page.locator(part).first.evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.locator(".tl-scroll").evaluate("one => getComputedStyle(one).direction") == "ltr"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out
    no_serious_findings(page)
    page.context.close()


def test_programs_are_answered_in_english(address: str, tmp_path: Path) -> None:
    photo = shutil.copy(FACE, tmp_path / "photo.jpg")
    client = Client(address, verbose=False, headers={"accept-language": "de"})
    with pytest.raises(Exception, match="Confirm that the people who are seen and heard agreed"):
        client.predict(handle_file(photo), handle_file(photo), False, api_name="/sync")
