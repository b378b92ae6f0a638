"""The end of a page's stream of answers, agreed with the browser.

Gradio sends the answers to all events of a page over one stream, and ends it with the message "close_stream"
when none is due. Its clients open the next one when they have sent an event and know of no open stream. An
event that is sent before they have read that message so gets its place in the queue and no stream: its answer
stays on the server (`queue_data` in Gradio's routes.py, `open_stream` of its clients).

Clients hang up when they have read the message. Until they have, here, an event is not acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HANG_UP_SECONDS = 5.0
"""That a client has for it; longer only where a proxy keeps from the server that it has hung up."""
_STREAM, _EVENT = "/queue/data", "/queue/join"
_LAST_MESSAGE = b'data: {"msg":"close_stream"'


class AnswerStreamMiddleware:
    """Middleware that acknowledges an event when no stream of its page is ending."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ending: dict[str, asyncio.Event] = {}  # by visitor; set when the client has hung up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path.endswith(_STREAM):
            await self._stream(scope, receive, send)
        elif path.endswith(_EVENT):
            await self._event(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send answers; behind the last the response stays open until the client hangs up."""
        visitor = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        ended = asyncio.Event()

        async def send_and_wait(message: Message) -> None:
            if message.get("body", b"").startswith(_LAST_MESSAGE):
                self._ending[visitor] = ended
            elif self._ending.get(visitor) is ended:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(_hung_up(receive), HANG_UP_SECONDS)
            await send(message)

        try:
            await self._app(scope, receive, send_and_wait)
        finally:
            ended.set()
            if self._ending.get(visitor) is ended:
                del self._ending[visitor]

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Queue an event; the answer waits until a stream that is ending has ended."""
        body = b""

        async def receive_and_read() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        async def send_after_the_end(message: Message) -> None:
            if self._ending and (ended := self._ending.get(_visitor(body))):
                await ended.wait()
            await send(message)

        await self._app(scope, receive_and_read, send_after_the_end)


def _visitor(body: bytes) -> str:
    """Whose event it is; empty for one that Gradio will not take either."""
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(body).get("session_hash"))
    return ""


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
