"""Cutting on the timeline in a real browser: by mouse, by touch and by keyboard."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import WAIT
from tests.browser.steps import give, unfold

pytestmark = pytest.mark.browser


def lane(page: Page, name: str) -> Locator:
    return page.locator(f"#timeline .tl-lane[data-lane={name}]")


def place(page: Page, name: str, share: float) -> tuple[float, float]:
    """A point of a lane in pixels of the window."""
    page.locator("#timeline").scroll_into_view_if_needed()
    box = lane(page, name).bounding_box()
    assert box
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, start[1], steps=3)
    page.mouse.move(end[0], start[1], steps=3)
    page.mouse.up()


def edge(page: Page, name: str, number: int, side: str) -> Locator:
    return page.get_by_role("slider", name=f"Part {number} of the {name}: {side}")


def expect_near(field: Locator, seconds: float, tolerance: float = 0.06) -> float:
    """Wait until a field has a time near this one, and return it."""
    handle, deadline = field.element_handle(timeout=WAIT), f"{seconds},{tolerance}"
    field.page.wait_for_function(
        """([field, near]) => {
          const [seconds, tolerance] = near.split(',').map(Number);
          const time = field.value.split(':').reduce((sum, part) => 60 * sum + Number(part), 0);
          return field.value && Math.abs(time - seconds) <= tolerance;
        }""",
        arg=[handle, deadline],
    )
    minutes, rest = field.input_value().split(":")
    return 60 * float(minutes) + float(rest)


def cut_page(page: Page, head: Path, voice: Path) -> Locator:
    """Give files, open the fields of the video's parts, and return where they are."""
    give(page, voice, video=head)
    expect(lane(page, "video")).to_be_visible()
    expect(lane(page, "voice")).to_be_visible()
    unfold(page, "Use only parts of the video")
    return page.locator("#video-ranges")


def test_parts_are_cut_by_dragging(page: Page, head: Path, short_voice: Path) -> None:
    fields = cut_page(page, head, short_voice)
    page.get_by_role("button", name="Snap").click()
    drag(page, place(page, "video", 0.25), place(page, "video", 0.75))
    start, end = (fields.get_by_label(f"{side} of part 1") for side in ("Start", "End"))
    expect_near(start, 0.5)
    expect_near(end, 1.5)
    expect(page.locator("#plan")).to_contain_text("1 part, 1.0 s; the voice is 0.6 s")
    expect(page.locator(".tl-sums")).to_contain_text("1 part of the video, 1.0 of 2.0 s")

    handle = edge(page, "video", 1, "start").bounding_box()
    assert handle
    drag(page, (handle["x"] + 2, handle["y"] + 20), place(page, "video", 0.5))
    expect_near(start, 1)
    start.fill("0.2")  # the fields set the same value
    expect(edge(page, "video", 1, "start")).to_have_attribute("aria-valuenow", "0.2")

    drag(page, place(page, "voice", 0.05), place(page, "voice", 0.2))
    expect(page.locator("#plan")).to_contain_text("the voice is 0.3 s")
    page.locator("#video").get_by_label("Clear").click()  # a video takes its parts along
    expect(start).to_have_value("")
    expect(lane(page, "video")).to_be_hidden()
    expect(edge(page, "voice", 1, "start")).to_be_visible()


def test_parts_are_cut_by_keyboard(page: Page, head: Path, short_voice: Path) -> None:
    fields = cut_page(page, head, short_voice)
    position = page.get_by_role("slider", name="Position in the video")
    position.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")  # a frame each
    expect(position).to_have_attribute("aria-valuenow", "0.2")
    page.keyboard.press("i")
    page.keyboard.press("Shift+ArrowRight")  # a second
    page.keyboard.press("o")
    start, end = (fields.get_by_label(f"{side} of part 1") for side in ("Start", "End"))
    assert math.isclose(expect_near(start, 0.2), 0.2)
    assert math.isclose(expect_near(end, 1.2), 1.2)

    edge(page, "video", 1, "end").focus()
    page.keyboard.press("ArrowLeft")
    assert math.isclose(expect_near(end, 1.16, 0.01), 1.16)
    position.focus()
    page.keyboard.press("Home")
    expect(position).to_have_attribute("aria-valuenow", "0")
    page.get_by_role("group", name="Part 1 of the video").focus()
    page.keyboard.press(" ")  # is played to its end
    page.wait_for_function(
        "(player => player.paused && Math.abs(player.currentTime - 1.16) < 0.01)"
        "(document.querySelector('#video video'))"
    )
    page.keyboard.press("Delete")
    expect(end).to_have_value("")
    expect(page.locator(".tl-sums")).to_contain_text("all of the video, 2.0 s")


def test_parts_are_cut_by_touch(browser: Browser, address: str, head: Path, short_voice: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    try:
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(address)
        fields = cut_page(page, head, short_voice)
        page.get_by_role("button", name="Snap").tap()
        start, end = place(page, "video", 0.25), place(page, "video", 0.75)
        touch = context.new_cdp_session(page)

        def send(kind: str, *points: tuple[float, float]) -> None:
            touch.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]},
            )

        send("touchStart", start)
        for step in range(1, 6):
            send("touchMove", (start[0] + (end[0] - start[0]) * step / 5, start[1]))
        send("touchEnd")
        expect_near(fields.get_by_label("Start of part 1"), 0.5)
        expect_near(fields.get_by_label("End of part 1"), 1.5)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        context.close()


def test_zoom_and_loaded_parts(visit: Callable[..., Page], head: Path, short_voice: Path) -> None:
    page = visit(390, 844)
    fields = cut_page(page, head, short_voice)
    fields.get_by_label("Start of part 1").fill("0.5")
    fields.get_by_label("End of part 1").fill("1")
    expect(edge(page, "video", 1, "end")).to_have_attribute("aria-valuenow", "1")
    before = lane(page, "video").bounding_box()
    page.get_by_role("button", name="Zoom in").click()
    after = lane(page, "video").bounding_box()
    assert before and after
    assert after["width"] == pytest.approx(2 * before["width"], abs=2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
