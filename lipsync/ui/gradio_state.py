"""What Gradio itself keeps of visitors, and is to forget with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.components.base import _Keywords
from gradio.context import LocalContext
from gradio.route_utils import GradioMultiPartParser
from starlette.datastructures import FormData

MAX_EVENTS = 100
"""Events of which Gradio keeps when and how long they ran; its own 10,000 would be in memory and gone through
after each event."""


class GradioState:
    """The server-side state of a page's visitors, and what they uploaded.

    Args:
        page: may still be under construction.
    """

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page

    @property
    def uploads(self) -> set[str]:
        """Paths of all files uploaded so far; those that are removed are to be discarded from it."""
        received: set[str] = self._page.upload_file_set
        return received

    def forget(self, visitor: str) -> None:
        """Drop the components' state, which Gradio would keep for its next ten thousand visitors."""
        holder = getattr(self._page, "state_holder", None)  # None before the page is launched
        if holder is not None:
            with holder.lock:
                holder.session_data.pop(visitor, None)
            holder.time_last_used.pop(visitor, None)

    async def drop_events(self, visitor: str | None) -> None:
        """Take a visitor's events out of the queue. Gradio does so only where one waits for their outcome."""
        if visitor is not None:
            await self._page._queue.clean_events(session_hash=visitor)

    def set_up_queue(self, claim: Callable[[str, list[str]], None]) -> None:
        """Limit the queue's memory of past events, and have uploads claimed.

        Args:
            claim: called with visitor and uploads when an event arrives, not only when its turn has come.
        """
        queue = self._page._queue
        queue.ANALYTICS_MAX_EVENTS = MAX_EVENTS
        push = queue.push

        async def push_and_claim(body: Any, *arguments: Any, **named: Any) -> Any:
            self._add_defaults(body)
            answer = await push(body, *arguments, **named)
            if body.session_hash and (paths := list(_paths(body.data))):
                claim(body.session_hash, paths)
            return answer

        queue.push = push_and_claim  # type: ignore[method-assign]

    def _add_defaults(self, body: Any) -> None:
        """Give an event the defaults of parameters that its caller does not know: endpoints get new ones.

        Gradio's own client does so by itself; who sends the values as they are would get an error.
        """
        event = self._page.fns.get(body.fn_index)
        if event is not None and event.api_visibility == "public" and isinstance(body.data, list):
            left = event.inputs[len(body.data) :]
            body.data = [*body.data, *(getattr(field, "value", None) for field in left)]


def _paths(value: Any) -> Iterator[str]:
    """The paths of all files in the values of an event."""
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        yield value["path"]
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _paths(one)


def is_one_off(request: gr.Request) -> bool:
    """Whether the request comes without a session: Gradio then takes the name of the event for one."""
    return request.session_hash is None or request.session_hash == LocalContext.event_id.get(None)


def send_whole_updates(page: gr.Blocks) -> None:
    """Have every update of a generator sent whole, and none of them twice.

    Gradio sends what has changed since the update before. Its front end applies that in place, to values that
    a busy browser has not shown yet, which so loses properties of updates. When the generator has ended,
    Gradio sends the last update again, over what the visitor did in between; and where there was none, empty
    values, which take the texts from buttons.
    """
    in_parts, answer = page.handle_streaming_diffs, page.postprocess_data

    async def no_empty_values(block_fn: BlockFunction, predictions: Any, state: Any) -> list[Any]:
        if block_fn.api_visibility == "private" and _has_ended(predictions):
            return [gr.skip() for _ in block_fn.outputs]
        return await answer(block_fn, predictions, state)

    def whole(
        block_fn: BlockFunction,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        if simple_format or session_hash is None or run is None or block_fn.api_visibility != "private":
            return in_parts(block_fn, data, session_hash, run, final, simple_format)
        runs = page.pending_diff_streams[session_hash]
        if final:
            page._pop_run_diffs(session_hash, run)
            return [gr.skip() for _ in data]
        is_first = run not in runs
        runs[run] = []
        return data if is_first else [[["replace", [], one]] for one in data]

    page.handle_streaming_diffs = whole  # type: ignore[method-assign]
    page.postprocess_data = no_empty_values  # type: ignore[method-assign]


def _has_ended(predictions: Any) -> bool:
    """Whether they are what Gradio takes for the values of a generator that has no more."""
    first = predictions[0] if isinstance(predictions, tuple) and predictions else predictions
    return first is _Keywords.FINISHED_ITERATING


def remove_broken_uploads() -> None:
    """Have Gradio remove what it holds of an upload that breaks off: a full disk, a sender who has gone."""
    if GradioMultiPartParser.parse is not _parse:
        GradioMultiPartParser.parse = _parse  # type: ignore[method-assign]


_gradios_parse = GradioMultiPartParser.parse


async def _parse(self: GradioMultiPartParser) -> FormData:
    try:
        return await _gradios_parse(self)
    except BaseException:
        for file in self._files_to_close_on_error:
            file.close()
            with contextlib.suppress(OSError):
                Path(file.name).unlink(missing_ok=True)
        raise
