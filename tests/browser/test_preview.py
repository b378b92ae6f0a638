"""The preview before a run: its moment, its face box that is dragged, and that it stays in view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.steps import no_serious_findings, unfold
from tests.make_media import run_ffmpeg

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def late_voice(tmp_path_factory: pytest.TempPathFactory, short_voice: Path) -> Path:
    """2 s: silence, and then the sample voice."""
    path = tmp_path_factory.mktemp("voice") / "late.wav"
    run_ffmpeg("-i", short_voice, "-af", "areverse,apad=whole_dur=2,areverse", path)
    return path


def box_label(page: Page) -> str:
    return page.locator("#overlay .stage-box").get_attribute("aria-label") or ""


def drag(page: Page, node: Locator, by: tuple[int, int]) -> None:
    place = node.bounding_box()
    assert place
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by[0], y + by[1], steps=3)
    page.mouse.up()


def test_the_face_box_is_shown_dragged_and_in_view(
    visit: Callable[..., Page], head: Path, late_voice: Path
) -> None:
    page = visit(1280, 800)
    note, changed = page.locator("#preview-note"), page.locator("#differences")
    page.locator("#video input[type=file]").set_input_files(head)
    box = page.locator("#overlay .stage-box")
    expect(box).to_be_visible()  # before there is a voice
    expect(note).to_contain_text("Add a voice")

    # It begins where the voice is loudest.
    page.locator("#voice input[type=file]").set_input_files(late_voice)
    expect(page.locator("#previewed img")).to_be_visible()
    expect(page.locator("#face-zoom img")).to_be_visible()
    time = page.locator("#preview-time input[type=number]")
    assert 1.4 < float(time.input_value()) < 2
    no_serious_findings(page)

    # Who changes the pads sees what they do, and a time that was chosen stays.
    time.fill("0.4")
    time.blur()
    expect(note).to_contain_text("Frame at 0.40 s")
    unfold(page, "Face, mask, enhancement")
    pad = page.locator("#pad_bottom input[type=number]")
    pad.scroll_into_view_if_needed()
    before = page.locator("#overlay img").get_attribute("src") or ""
    pad.fill("40")
    pad.blur()
    expect(page.locator("#overlay img")).not_to_have_attribute("src", before)
    for one in ("#pad_bottom", "#overlay img", "#previewed img", "#face-zoom img"):
        expect(page.locator(one)).to_be_in_viewport(ratio=0.9)
    expect(note).to_contain_text("Frame at 0.40 s")

    # The box is dragged, by its edges too, and by keys; it is the setting of that name.
    drag(page, box, (12, 0))
    expect(note).to_contain_text("stays in this place")
    moved = box_label(page)
    drag(page, box.locator("[data-edges=r]"), (15, 0))
    expect(box).not_to_have_attribute("aria-label", moved)
    assert box_label(page).split(", ")[:3] == moved.split(", ")[:3]  # only the right edge
    box.press("ArrowLeft")
    box.press("Shift+ArrowDown")
    numbers = [word.split()[-1] for word in box_label(page).split(", ")]
    expect(changed).to_contain_text(f"Fixed face box {' '.join(numbers)} (")
    expect(page.locator("#plan")).to_contain_text("Ready")

    page.get_by_role("button", name="Find the face again").click()
    expect(note).to_contain_text("Drag the box")
    expect(changed).not_to_contain_text("Fixed face box")

    # On a phone the pads are below the preview, which is shown once more beside them.
    page.set_viewport_size({"width": 390, "height": 844})
    pad.scroll_into_view_if_needed()
    for one in ("#pad_bottom", "#near-preview img >> nth=0"):
        expect(page.locator(one)).to_be_in_viewport(ratio=0.9)
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.locator("#near-preview")).to_be_hidden()

    # A box belongs to the video on which it was set.
    box.press("ArrowRight")
    expect(changed).to_contain_text("Fixed face box")
    page.locator("#video").get_by_role("button", name="Clear").click()
    expect(changed).not_to_contain_text("Fixed face box")
    expect(box).to_be_hidden()
