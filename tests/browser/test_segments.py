"""Who says what: speakers that are found, scripts, rows that are marked and corrected."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from lipsync.media import open_video
from tests.browser.steps import finished, no_serious_findings, run, saved, unfold
from tests.make_media import run_ffmpeg
from tests.material import FACE, SAMPLES, VOICE, needs_espeak

pytestmark = pytest.mark.browser
EDITOR = "Several speakers"
SCRIPT = """1
00:00:00,100 --> 00:00:01,200
Ann: Good morning.

2
00:00:00,900 --> 00:00:01,900
[Bob] Hello there.
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.2 s of somebody who speaks, beside somebody who does not."""
    path = tmp_path_factory.mktemp("pair") / "pair.mp4"
    heads = "[0:v]crop=260:260:95:0,scale=240:240[a];[1:v]scale=-2:240,crop=240:240[b]"
    run_ffmpeg(
        "-i", SAMPLES / "talk.mp4", "-loop", "1", "-framerate", "25", "-i", FACE,
        "-filter_complex", f"{heads};[a][b]hstack,format=yuv420p",
        "-t", "2.2", "-c:v", "libx264", "-crf", "18", path,
    )  # fmt: skip
    return path


def give_pair(page: Page, pair: Path) -> None:
    page.locator("#video input[type=file]").set_input_files(pair)
    expect(page.locator("#video video")).to_be_visible()
    page.get_by_role("button", name=EDITOR).click()
    expect(page.locator("#segment-editor .se-bar")).to_be_visible()


def load_script(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#load-script").click()
    chooser.value.set_files(path)
    expect(page.locator("#segments-note")).to_contain_text("lines were loaded")


def choose_face(page: Page, row: int, face: str) -> None:
    """Choose a face of a row by the thumbnail."""
    chosen = page.locator(".se-row").nth(row).locator(".se-face")
    chosen.locator("summary").click()
    chosen.get_by_role("button", name=face).click()


def test_speakers_are_found_corrected_and_used(page: Page, pair: Path, tmp_path: Path) -> None:
    give_pair(page, pair)
    page.locator("#voice input[type=file]").set_input_files(VOICE)
    page.locator("#find-speakers").click()
    rows = page.locator(".se-row")
    expect(page.locator("#segments-note")).to_contain_text("turns of 1 faces were found")
    expect(rows).to_have_count(2)
    expect(rows.locator("summary img")).to_have_count(2)
    row = rows.nth(1)
    row.get_by_label("Speaker").fill("Bob")  # no longer the same as the first
    choose_face(page, 1, "Face 2")
    row.get_by_label("Start", exact=True).fill("1.2")
    expect(page.locator("#run")).to_have_text("Make 2.2 s of lip-synced video")
    unfold(page, "Paste as text")
    expect(page.get_by_label("Segments, one per line")).to_have_value(re.compile(r"face=.*\n1\.2-.*face="))
    run(page)
    finished(page)
    result = saved(page, "#download", tmp_path)
    changed = differences(pair, result, frame=40)
    assert changed[1] > 10 * changed[0], "the second person speaks at that time, the first does not"


def differences(source: Path, result: Path, frame: int) -> list[float]:
    """Shares of the left and the right half of a frame that have changed by more than encoding does."""
    [before], [after] = (open_video(path).read([frame]) for path in (source, result))
    change = np.abs(before.astype(int) - after.astype(int))
    changed, half = change.max(axis=2) > 40, change.shape[1] // 2
    return [float(changed[:, :half].mean()), float(changed[:, half:].mean())]


@needs_espeak
def test_a_script_is_marked_and_corrected_before_the_run(page: Page, pair: Path, tmp_path: Path) -> None:
    script = tmp_path / "dub.srt"
    script.write_text(SCRIPT, "utf-8")
    give_pair(page, pair)
    load_script(page, script)
    rows = page.locator(".se-row")
    expect(rows.nth(0).locator(".se-problem")).to_have_text("Overlaps line 2, which has the same face.")
    expect(rows.nth(1).locator(".se-problem")).to_have_text("Overlaps line 1, which has the same face.")
    expect(page.locator("#run")).to_be_disabled()
    expect(rows.locator("summary img")).to_have_count(2)
    no_serious_findings(page)
    choose_face(page, 1, "Face 2")
    expect(page.locator("#run")).to_have_text("Make 2.2 s of lip-synced video")
    expect(rows.nth(1)).not_to_have_class("is-wrong")
    rows.nth(1).get_by_label("What is said").fill("")
    expect(rows.nth(1).locator(".se-problem")).to_have_text("Write what is said.")
    rows.nth(1).get_by_label("What is said").fill("Hello to you.")
    expect(rows.nth(1).locator(".se-problem")).to_have_text("")
    expect(page.locator("#run")).to_be_enabled()
    run(page)
    finished(page)
    first = saved(page, "#download", tmp_path)
    source = page.locator("#result video").get_attribute("src")
    rows.nth(1).get_by_label("What is said").fill("Oh no, no.")
    expect(page.locator("#run")).to_be_enabled()
    rows.nth(1).get_by_label("Draw this line again").click()
    expect(page.locator("#about-result")).to_contain_text("Line 2 was drawn again")
    expect(page.locator("#result video")).not_to_have_attribute("src", str(source))
    again = saved(page, "#download", tmp_path / "again")
    assert differences(first, again, frame=52) == [0, 0]


@needs_espeak
def test_a_text_is_spoken_instead_of_a_voice(page: Page) -> None:
    """One of a voice and a text: who gives a voice afterwards gives the text up."""
    page.get_by_role("tab", name="Text").click()
    text = page.get_by_label("Or write what is said")
    text.fill("Good morning to you.")
    page.locator("#say-button").click()
    expect(page.locator("#voice audio")).to_be_visible()
    expect(page.locator("#plan")).to_contain_text("Add a video")
    expect(page.locator("#say-about")).to_contain_text("Spoken by espeak:en")
    page.locator("#voice").get_by_label("Clear").click()
    page.locator("#voice input[type=file]").set_input_files(VOICE)
    page.get_by_role("tab", name="Text").click()
    expect(text).to_have_value("")
