"""A click while the browser is told that no more answers are due, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest
from playwright.sync_api import Browser, expect
from starlette.middleware import Middleware

from lipsync.ui.answer_streams import AnswerStreamMiddleware

pytestmark = pytest.mark.browser

HOLD_THE_LAST_MESSAGE = """
const real = window.fetch, last = 'data: {"msg":"close_stream"', bytes = new TextEncoder();
const held = new Promise((done) => { window.letGo = done; });
window.isHeld = false;
window.fetch = async (asked, options) => {
  const answer = await real(asked, options);
  if (!String(asked.url ?? asked).includes("/queue/data")) return answer;
  const holds = new TransformStream({async transform(chunk, out) {
    const text = new TextDecoder().decode(chunk), at = text.indexOf(last);
    if (at < 0) return out.enqueue(chunk);
    out.enqueue(bytes.encode(text.slice(0, at)));
    window.isHeld = true;
    await held;
    out.enqueue(bytes.encode(text.slice(at)));
  }});
  return new Response(answer.body.pipeThrough(holds), answer);
};
"""
"""A network, or a browser, on which the last message of a stream is under way for as long as one likes."""
A_WHILE = 300
"""Milliseconds for the answer to the click, which is not to come before the message."""


@pytest.fixture
def url() -> Iterator[str]:
    """A page with a button that counts."""
    with gr.Blocks(analytics_enabled=False) as page:
        count = gr.Number(0, elem_id="count")
        gr.Button("More", elem_id="more").click(lambda given: given + 1, count, count)
    settings = {"middleware": [Middleware(AnswerStreamMiddleware)]}
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, _frontend=False, app_kwargs=settings)
    yield address
    page.close(verbose=False)


def test_a_click_while_the_stream_of_answers_ends_is_answered(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.add_init_script(HOLD_THE_LAST_MESSAGE)
    page.goto(url)
    page.locator("#more").click()
    number = page.locator("#count input")
    expect(number).to_have_value("1")
    page.wait_for_function("isHeld")
    with page.expect_request("**/queue/join?*"):
        page.locator("#more").click()
    page.wait_for_timeout(A_WHILE)
    page.evaluate("letGo()")
    expect(number).to_have_value("2")
    page.close()
