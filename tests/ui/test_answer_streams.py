"""An event that is sent while its page's stream of answers ends; with Gradio's own server."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator

import gradio as gr
import pytest
import requests
from starlette.middleware import Middleware

from lipsync.ui.answer_streams import AnswerStreamMiddleware
from lipsync.ui.page import launch_settings


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """Where a page with one event is served, which doubles a number."""
    with gr.Blocks(analytics_enabled=False) as page:
        number = gr.Number()
        gr.Button().click(lambda given: 2 * given, number, number)
    settings = {"middleware": [Middleware(AnswerStreamMiddleware)]}
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, _frontend=False, app_kwargs=settings)
    yield f"{url}gradio_api"
    page.close(verbose=False)


def send(api: str, visitor: str, number: int, seconds: float = 30) -> None:
    body = {"data": [number], "fn_index": 0, "session_hash": visitor}
    requests.post(f"{api}/queue/join", json=body, timeout=seconds).raise_for_status()


@contextlib.contextmanager
def stream(api: str, visitor: str) -> Iterator[Iterator[bytes]]:
    """The lines of the visitor's stream, which is hung up at the end of the block."""
    asked = {"session_hash": visitor}
    with requests.get(f"{api}/queue/data", params=asked, stream=True, timeout=30) as answer:
        yield answer.iter_lines(chunk_size=1)


def answers(lines: Iterator[bytes]) -> list[int]:
    """The numbers that a stream brings until its last message."""
    found: list[int] = []
    for line in filter(None, lines):
        told = json.loads(line.removeprefix(b"data: "))
        if told["msg"] == "close_stream":
            return found
        if told["msg"] == "process_completed":
            found += told["output"]["data"]
    raise AssertionError("the stream has no last message")


def test_an_event_is_acknowledged_when_the_client_has_left_the_stream_that_ends(api: str) -> None:
    visitor = uuid.uuid4().hex
    send(api, visitor, 1)
    with stream(api, visitor) as lines:
        assert answers(lines) == [2]
        send(api, uuid.uuid4().hex, 7)  # another visitor's
        with pytest.raises(requests.ReadTimeout):
            send(
                api, visitor, 2, seconds=0.3
            )  # a client that took the old stream for an open one would lose it
    send(api, visitor, 3)
    with stream(api, visitor) as lines:
        assert sorted(answers(lines)) == [4, 6]


def test_a_client_that_does_not_hang_up_is_not_waited_for(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipsync.ui.answer_streams.HANG_UP_SECONDS", 0.05)
    visitor = uuid.uuid4().hex
    send(api, visitor, 1)
    with stream(api, visitor) as lines:
        assert answers(lines) == [2]
        send(api, visitor, 2)
        assert list(lines) == [b""]  # it ends by itself


def test_the_page_has_it() -> None:
    assert AnswerStreamMiddleware in {one.cls for one in launch_settings()["app_kwargs"]["middleware"]}
