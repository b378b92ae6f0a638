"""A visit loses nothing: reloads, results kept and compared, a preview beside somebody's run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lipsync.errors import InputError
from lipsync.media import probe_video
from lipsync.progress import Progress
from lipsync.ui import handlers
from tests.browser.conftest import WAIT
from tests.browser.steps import choose, finished, give, run, saved
from tests.material import FACE
from tests.waiting import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Runs stop after their first report, and batches before a video named second.

    Until the event is set or they are cancelled.
    """
    going, real, job = threading.Event(), handlers.run_sync, handlers.run_job

    def hold(*given: Any) -> Iterator[Any]:
        for number, item in enumerate(real(*given)):
            if number == 1:
                wait_until(lambda: going.is_set() or given[3].cancelled, WAIT / 1000)
            yield item

    def hold_second(request: Any, output: Any, cancel: Any, models: Any) -> Iterator[Any]:
        if output.name.startswith("second"):
            yield Progress("Finding faces", 0, 1)
            wait_until(lambda: going.is_set() or cancel.cancelled, WAIT / 1000)
            cancel.check()
        yield from job(request, output, cancel, models)

    monkeypatch.setattr(handlers, "run_sync", hold)
    monkeypatch.setattr(handlers, "run_job", hold_second)
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


def test_a_batch_survives_a_reload_and_a_cancel_keeps_what_is_done(
    page: Page, grace_for_reloads: None, held: threading.Event, short_voice: Any, tmp_path: Any
) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("tab", name="Batch").click()
    second = shutil.copy(FACE, tmp_path / "second.jpg")
    page.locator("#batch-videos input[type=file]").set_input_files([FACE, second])
    page.locator("#batch-voices input[type=file]").set_input_files(short_voice)
    page.locator("#batch-consent input").check()
    expect(page.locator("#batch-voices")).to_contain_text("voice")
    expect(page.locator("#batch-videos")).to_contain_text("second")
    page.locator("#batch-run").click()
    expect(page.locator("#batch-status")).to_contain_text("2 of 2")
    page.reload()
    expect(page.locator("#batch-status progress")).to_be_visible()  # its tab is in front
    expect(page.locator("#batch-videos")).to_contain_text("second")
    expect(page.locator("#batch-run")).to_have_text("Make all videos")
    page.locator("#batch-cancel").click()
    expect(page.locator("#batch-status")).to_contain_text("1 of 2 done")
    expect(page.locator("#batch-status")).to_contain_text("not made: cancelled")
    page.reload()
    page.get_by_role("tab", name="Batch").click()
    expect(page.locator("#batch-status")).to_contain_text("1 of 2 done")
    archive = zipfile.ZipFile(saved(page, "#batch-zip a", tmp_path))
    assert sorted(archive.namelist()) == ["face_synced.mp4", "lipsync_results.settings.json"]


@pytest.fixture
def files(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[Path]]:
    """What is in the folder of visits and in that of temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def found() -> set[Path]:
        walks = [*os.walk(cache), *os.walk(temporary)]  # which is not put out by what is removed meanwhile
        return {Path(folder, name) for folder, _, names in walks for name in names}

    return found


def only_those_are_left(before: set[Path], files: Callable[[], set[Path]]) -> None:
    """A late event of a visitor who has gone puts the end off to 30 times `GRACE`."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: files() <= before, WAIT / 1000)
    assert sorted(map(str, files() - before)) == []


LEAVE: dict[str, Callable[[Page], object]] = {
    "closes the tab": lambda page: page.close(),
    "goes to another page": lambda page: page.goto("about:blank"),
    "reloads, then quits": lambda page: (page.reload(), page.close()),
}


def upload_settings(page: Page, folder: Path) -> None:
    settings = folder / "settings.json"
    settings.write_text('{"feather": 20}')
    with page.expect_file_chooser() as chooser:
        page.locator("#load-settings").click()
    chooser.value.set_files(settings)
    expect(page.locator("#differences")).to_contain_text("20")


def upload_broken(page: Page, folder: Path) -> None:
    broken = folder / "broken.mp3"
    broken.write_text("no sound")
    page.locator("#voice input[type=file]").set_input_files(broken)
    expect(page.get_by_text("no copy to look at could be made")).to_be_visible()
    page.locator("#voice").get_by_role("button", name="Clear").click()


@pytest.mark.slow
@pytest.mark.parametrize("leave", LEAVE)
def test_nothing_is_left_of_a_visit_with_uploads_that_were_not_used(
    visit: Callable[..., Page], files: Callable[[], set[Path]], head: Path, tmp_path: Path, leave: str
) -> None:
    before = files()
    page = visit()
    upload_settings(page, tmp_path)
    upload_broken(page, tmp_path)
    page.locator("#video input[type=file]").set_input_files(head)
    expect(page.locator("#overlay .stage-box")).to_be_visible()
    assert files() > before
    LEAVE[leave](page)
    only_those_are_left(before, files)


@pytest.mark.slow  # runs three times
def test_nothing_is_left_of_results_and_of_runs_that_failed_or_were_broken_off(
    visit: Callable[..., Page],
    files: Callable[[], set[Path]],
    short_voice: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, real = files(), handlers.run_job
    page = visit()
    page.on("dialog", lambda dialog: dialog.accept())
    give(page, short_voice, photo=FACE)
    run(page)
    finished(page)
    stop = threading.Event()

    def fail(request: Any, output: Any, cancel: Any, models: Any) -> Iterator[Any]:
        for item in real(request, output, cancel, models):
            if isinstance(item, Progress) and item.done:
                wait_until(lambda: not stop.is_set() or cancel.cancelled, WAIT / 1000)
                if not stop.is_set():
                    raise InputError("It failed in the middle")
            yield item

    monkeypatch.setattr(handlers, "run_job", fail)
    page.locator("#run").click()
    expect(page.locator("#status .bad")).to_contain_text("It failed in the middle")
    stop.set()
    page.locator("#run").click()
    expect(page.locator("#status progress")).to_be_visible()
    assert files() > before
    page.close()  # in the middle of a run
    only_those_are_left(before, files)


NOTIFICATIONS = """() => {
  window.said = [];
  window.asked = 0;
  window.Notification = class {
    static permission = 'default';
    static async requestPermission() { asked++; return this.permission = 'granted'; }
    constructor(title, {body}) { said.push(body); }
  };
  document.hasFocus = () => false;
}"""
"""In place of the browser's own, which shows them outside of the page."""


def test_results_of_a_visit_are_kept_and_two_can_be_compared(
    page: Page, held: threading.Event, short_voice: Any
) -> None:
    page.evaluate(NOTIFICATIONS)
    held.set()
    give(page, short_voice, photo=FACE)
    run(page)
    finished(page)
    assert page.evaluate("[asked, said.length]") == [0, 0]  # only who has ticked the box is asked, and told
    page.locator("#notify input").check()
    assert page.evaluate("asked") == 1
    choose(page, "in_silence", "drawn like speech")
    expect(page.locator("#plan")).to_contain_text("On this machine")
    held.clear()  # the browser looks at runs twice a second
    page.locator("#run").click()
    expect(page).to_have_title(re.compile(r"^(\d+ %|…) · lipsync"))
    held.set()
    history = page.locator("#history label:has(input)")
    expect(history).to_have_count(2)
    expect(history.first).to_contain_text("Mouth in silence drawn like speech")
    page.wait_for_function("said.length === 1 && said[0].includes('Done in')")
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
