"""Limits for the links that Gradio fetches by itself.

A visitor may give a link where Gradio expects a file: in the data of an event or an endpoint, and as
`/gradio_api/file=<link>`. Gradio fetches it with `safehttpx`, whose idea of a public address leaves out
shared address space and the metadata services of some clouds, and which takes as much as is sent for
as long as it is sent. Gradio has no setting for either, so the two names that it uses are replaced.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import AsyncIterator
from typing import cast

import httpx
import safehttpx  # type: ignore[import-untyped]

from lipsync.errors import LinkError
from lipsync.sources.network_guard import is_public

MAX_BYTES = 500 * 10**6
"""Gradio keeps the whole file in memory while it fetches it."""
MAX_SECONDS = 120.0
_INSTEAD = "Give such a link in the page's field for links, or upload the file itself."


def guard_fetches() -> None:
    """Let Gradio fetch from public addresses only, and not too much; calling it again changes nothing."""
    safehttpx.is_public_ip = is_public_ip
    safehttpx.AsyncSecureTransport = LimitedTransport


def is_public_ip(ip: str) -> bool:
    """Whether an address belongs to the public internet, by our own list; see `is_public`."""
    try:
        return is_public(ipaddress.ip_address(ip))
    except ValueError:
        return False


class LimitedTransport(safehttpx.AsyncSecureTransport):  # type: ignore[misc]
    """safehttpx's transport to the checked address, with limited answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.AsyncBaseTransport`."""
        response: httpx.Response = await super().handle_async_request(request)
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > MAX_BYTES:
            await response.aclose()
            raise too_large(str(request.url.host))
        body = cast(httpx.AsyncByteStream, response.stream)
        response.stream = _LimitedStream(body, str(request.url.host))
        return response


class _LimitedStream(httpx.AsyncByteStream):
    """The body of an answer, limited in size and time."""

    def __init__(self, stream: httpx.AsyncByteStream, host: str) -> None:
        self._stream, self._host = stream, host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, start = 0, time.monotonic()
        async for block in self._stream:
            size += len(block)
            if size > MAX_BYTES:
                raise too_large(self._host)
            if time.monotonic() - start > MAX_SECONDS:
                raise LinkError(
                    f"The file behind a link took longer than {MAX_SECONDS:.0f} s",
                    given=self._host,
                    hint=_INSTEAD,
                )
            yield block

    async def aclose(self) -> None:
        """See `httpx.AsyncByteStream`."""
        await self._stream.aclose()


def too_large(host: str) -> LinkError:
    """The error for a file of more than `MAX_BYTES`."""
    what = f"The file behind a link is larger than {MAX_BYTES // 10**6} MB"
    return LinkError(what, given=host, hint=_INSTEAD)
