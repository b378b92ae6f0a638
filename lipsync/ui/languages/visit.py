"""The visitor's language in requests and events, and the page in that language."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from typing import Any

import gradio as gr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lipsync.ui.languages.choice import COOKIE, ENGLISH, Language, choose_language
from lipsync.ui.languages.marks import Marks
from lipsync.ui.languages.texts import CATALOGUE_OF, texts_from

_LANGUAGE: ContextVar[Language] = ContextVar("language", default=ENGLISH)
_PAGE = b"window.gradio_config"
# Gradio's front end asks the browser for the language; here both have to have the same.
_TELL_GRADIO = "<head><script>Object.defineProperty(navigator, 'language', {{value: {tag}}})</script>"


@contextlib.contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Have texts in a language in the block, and in the threads and tasks that it starts."""
    before = _LANGUAGE.set(language)
    try:
        with texts_from(CATALOGUE_OF(language.code)):
            yield
    finally:
        _LANGUAGE.reset(before)


def visitors_language(headers: Mapping[str, str]) -> Language:
    """The language of the visitor who sent these headers, whose names are in lower case."""
    cookies: SimpleCookie = SimpleCookie()
    with contextlib.suppress(CookieError):
        cookies.load(headers.get("cookie", ""))
    chosen = cookies[COOKIE].value if COOKIE in cookies else ""
    return choose_language(headers.get("accept-language", ""), chosen)


class PageInLanguages(gr.Blocks):
    """Page that is sent to each visitor, and answers them, in their language.

    Gradio's own `gr.I18n` sends every language to everyone, cannot translate the choices of menus, and knows
    nothing of texts that are made by events. Here the server, which makes those, translates all.
    """

    def __init__(self, **settings: Any) -> None:
        self._marks = Marks()
        self._built: Any = None
        self._in_language: dict[str, Any] = {}
        super().__init__(**settings)

    @contextlib.contextmanager
    def under_construction(self) -> Iterator[None]:
        """Have marks for the texts of components that are built in the block."""
        with texts_from(self._marks):
            yield

    @property
    def config(self) -> Any:
        """Gradio's description of the page, in the language of the request."""
        code = _LANGUAGE.get().code
        if code not in self._in_language:
            self._in_language[code] = self._marks.fill(self._built, CATALOGUE_OF(code))
        return self._in_language[code]

    @config.setter
    def config(self, built: Any) -> None:
        self._built, self._in_language = built, {}

    async def process_api(self, block_fn: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Answer an event in the visitor's language; callers of the API are answered in English."""
        event, request = self.fns[block_fn] if isinstance(block_fn, int) else block_fn, named.get("request")
        headers = getattr(request, "headers", None)
        is_visit = event.api_visibility == "private" and headers is not None
        with speaking(visitors_language(dict(headers or {})) if is_visit else ENGLISH):
            answer = await super().process_api(block_fn, *arguments, **named)
            # Components that an event makes anew bring the marks that they were built with.
            filled: dict[str, Any] = self._marks.fill(answer, CATALOGUE_OF(_LANGUAGE.get().code))
        return filled


class LanguageMiddleware:
    """Middleware that answers in the visitor's language, and names it in the HTML."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        language = visitors_language(Headers(scope=scope))
        with speaking(language):
            await self._app(scope, receive, _PageSender(send, language))


class _PageSender:
    """Sends what it gets; Gradio's page with its language and direction."""

    def __init__(self, send: Send, language: Language) -> None:
        self._send, self._language = send, language
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if kind.startswith("text/html"):
                self._start = message  # its length is not known yet
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            await self._send_page()
            return
        await self._send(message)

    async def _send_page(self) -> None:
        assert self._start is not None
        start, body = self._start, self._body
        headers = MutableHeaders(raw=list(start["headers"]))
        if _PAGE in body:
            language = self._language
            attributes = f'lang="{language.tag}" dir="{language.direction}"'
            body = body.replace(b'lang="en"', attributes.encode(), 1)
            body = body.replace(b"<head>", _TELL_GRADIO.format(tag=json.dumps(language.tag)).encode(), 1)
            headers["content-length"] = str(len(body))
            headers.add_vary_header("Accept-Language, Cookie")
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})
