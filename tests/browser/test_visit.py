"""A visit loses nothing: reloads, results kept and compared, a preview beside somebody's run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lipsync.media import probe_video
from lipsync.ui import handlers
from tests.browser.conftest import WAIT
from tests.browser.steps import choose, finished, give, run, saved
from tests.material import FACE
from tests.waiting import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Runs stop after their first report until the event is set or they are cancelled."""
    going, real = threading.Event(), handlers.run_sync

    def hold(*given: Any) -> Iterator[Any]:
        for number, item in enumerate(real(*given)):
            if number == 1:
                wait_until(lambda: going.is_set() or given[3].cancelled, WAIT / 1000)
            yield item

    monkeypatch.setattr(handlers, "run_sync", hold)
    yield going
    going.set()


def test_a_reload_joins_the_run_and_finds_everything_again(
    visit: Callable[..., Page],
    grace_for_reloads: None,
    held: threading.Event,
    short_voice: Any,
    tmp_path: Any,
) -> None:
    page = visit()
    page.on("dialog", lambda dialog: dialog.accept())  # leaving in the middle of a run asks
    give(page, short_voice, photo=FACE)
    choose(page, "in_silence", "drawn like speech")
    expect(page.locator("#plan")).to_contain_text("Ready")
    run(page)
    expect(page.locator("#cancel")).to_be_enabled()
    expect(page.locator("#status progress")).to_be_visible()
    page.reload()
    expect(page.locator("#cancel")).to_be_enabled()
    expect(page.locator("#status progress")).to_be_visible()
    expect(page.locator("#photo img")).to_be_visible()
    expect(page.locator("#in_silence input")).to_have_value("drawn like speech")
    stranger = visit()  # another browser, without the secret
    expect(stranger.locator("#plan")).to_contain_text("Add a video")
    expect(stranger.locator("#cancel")).to_be_disabled()
    held.set()
    finished(page)
    page.reload()
    expect(page.locator("#result video")).to_be_visible()
    assert probe_video(saved(page, "#download", tmp_path)).frame_count == 15
    expect(stranger.locator("#result video")).to_have_count(0)


def test_two_visitors_one_runs_and_the_other_previews_and_waits(
    visit: Callable[..., Page], held: threading.Event, short_voice: Any
) -> None:
    one, other = visit(), visit()
    give(one, short_voice, photo=FACE)
    run(one)
    expect(one.locator("#status progress")).to_be_visible()
    give(other, short_voice, photo=FACE)
    expect(other.locator("#preview-note")).to_contain_text("Frame at")  # while the other runs
    run(other)
    expect(other.locator("#status")).to_contain_text("One run is before yours")
    held.set()
    finished(one)
    finished(other)


def test_results_of_a_visit_are_kept_and_two_can_be_compared(page: Page, short_voice: Any) -> None:
    give(page, short_voice, photo=FACE)
    run(page)
    finished(page)
    choose(page, "in_silence", "drawn like speech")
    expect(page.locator("#plan")).to_contain_text("On this machine")
    page.locator("#run").click()
    history = page.locator("#history label:has(input)")
    expect(history).to_have_count(2)
    expect(history.first).to_contain_text("Mouth in silence drawn like speech")
    history.nth(1).click()
    page.locator("#show-again").click()
    expect(page.locator("#history input:checked")).to_have_count(0)  # shown
    for number in range(2):
        history.nth(number).click()
    page.locator("#show-again").click()
    expect(page.locator("#other-result video")).to_be_visible()
    page.locator("#right [role=tab]", has_text="Before and after").click()
    page.locator("#make-side-by-side").click()
    expect(page.locator("#side-by-side video")).to_be_visible()
