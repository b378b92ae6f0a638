"""What a visitor does on the page, step by step."""

from __future__ import annotations

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

SETTLED = """() => new Promise((done) => {
  let frames = 0;
  const watch = new MutationObserver(() => { frames = 0; });
  watch.observe(document.body, {subtree: true, childList: true});
  const next = () => {
    if (++frames < 10) return requestAnimationFrame(next);
    watch.disconnect();
    done();
  };
  requestAnimationFrame(next);
})"""
"""Done as soon as ten frames in a row have brought no new elements."""
FADED = """() => document.getAnimations().every((one) => !(one instanceof CSSTransition))"""
"""No colour is on its way to another."""


def give(page: Page, voice: Path, *, video: Path | None = None, photo: Path | None = None) -> None:
    """Drop a picture and a voice, and wait until both are there and previewed."""
    if photo:
        page.get_by_role("tab", name="Photo").click()
        page.locator("#photo input[type=file]").set_input_files(photo)
    if video:
        page.locator("#video input[type=file]").set_input_files(video)
        page.locator("#video video").wait_for()
    page.locator("#voice input[type=file]").set_input_files(voice)
    expect(page.locator("#plan")).to_contain_text("Ready")


def unfold(page: Page, name: str) -> None:
    """Open a folded part, and wait until its controls are there and no more come."""
    head = page.get_by_role("button", name=name)
    head.click()
    content = head.locator("xpath=following-sibling::*").locator("input, textarea, button")
    content.first.wait_for()
    page.evaluate(SETTLED)


def choose(page: Page, setting: str, words: str) -> None:
    """Choose from a drop-down list, by the words before a model's mark."""
    page.locator(f"#{setting} input").click()
    page.get_by_role("option", name=re.compile(f"^{re.escape(words)}( · |$)")).click()


def seek(page: Page, player: str, seconds: float) -> None:
    """Move a player, as soon as it knows how long its file is."""
    page.wait_for_function("player => document.querySelector(player)?.duration > 0", arg=player)
    page.locator(player).evaluate("(player, seconds) => { player.currentTime = seconds }", seconds)


def run(page: Page) -> None:
    page.locator("#consent input").check()
    page.locator("#run").click()


def finished(page: Page) -> None:
    expect(page.locator("#status")).to_contain_text("Done in")


def saved(page: Page, button: str, folder: Path) -> Path:
    """What a download button gives."""
    with page.expect_download() as download:
        page.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def no_serious_findings(page: Page) -> None:
    """Assert that axe-core finds nothing serious about the page as it is: names, roles, contrast, focus."""
    page.wait_for_function(FADED)
    page.wait_for_function("!document.querySelector('.pending')")  # what is being renewed is pale
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    nodes = [(one["id"], node["html"][:120], node["any"]) for one in serious for node in one["nodes"][:3]]
    assert not nodes, "\n".join(map(str, nodes))
