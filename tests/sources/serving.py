"""A web site on this machine for the tests of links: what a path answers is written in the test."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lipsync.sources.network_guard import Network

HERE: frozenset[Network] = frozenset({ipaddress.ip_network("127.0.0.1/32")})
"""What tests allow; every other address of this machine stays forbidden."""
TYPES = {".mp4": "video/mp4", ".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml"}

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    """The running site. `hits` are the paths asked for, in order; `cookies` what came with them."""

    port: int
    answers: dict[str, Answer]
    closing: threading.Event
    hits: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        """The address of a path, with the host that tests allow."""
        return f"http://127.0.0.1:{self.port}{path}"

    def add_folder(self, folder: Path) -> None:
        """Serve the files of a folder."""
        for path in folder.iterdir():
            kind = TYPES.get(path.suffix, "application/octet-stream")
            self.answers[f"/{path.name}"] = send(path.read_bytes(), kind)


@contextmanager
def serve() -> Iterator[Site]:
    """A site on all addresses of this machine, so that a request that slips through is noticed."""
    closing = threading.Event()
    site = Site(0, {}, closing)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            site.hits.append(path)
            site.cookies.append(self.headers.get("Cookie", ""))
            try:
                site.answers.get(path, status(404))(self)
            except OSError:  # the other side has gone
                self.close_connection = True

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Quiet too: clients that are killed break connections."""

    with Server(("0.0.0.0", 0), Handler) as server:
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            closing.set()
            server.shutdown()
            thread.join()


def send(data: bytes, kind: str = "text/html") -> Answer:
    """Answer with this."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def ranged(data: bytes, kind: str = "video/mp4") -> Answer:
    """Answer with the part that was asked for, as sites with media do."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        first, _, last = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last or len(data)) + 1]
        request.send_response(206)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(part)))
        request.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        request.end_headers()
        request.wfile.write(part)

    return answer


def status(code: int) -> Answer:
    """Answer with an error."""
    return lambda request: request.send_error(code)


def redirect(target: str) -> Answer:
    """Send on to another address."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def endless(site: Site) -> Answer:
    """A video without a length that never ends, as fast as it is taken."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        _open(request)
        while not site.closing.is_set():
            request.wfile.write(bytes(2**16))

    return answer


def endless_page(site: Site) -> Answer:
    """A page without a length that never ends, full of what extractors search for."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        _open(request, kind="text/html")
        while not site.closing.is_set():
            request.wfile.write(b'<meta property="og:video" content="<video src=' * 2**10)

    return answer


def trickle(site: Site, kind: str, seconds: float = 0.2) -> Answer:
    """A byte now and then, without an end."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        _open(request, kind=kind)
        while not site.closing.wait(seconds):
            request.wfile.write(b"<")
            request.wfile.flush()

    return answer


def stuck(site: Site, data: bytes = b"") -> Answer:
    """The beginning of a video, and then nothing more while the connection stays open."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        _open(request)
        request.wfile.write(data)
        request.wfile.flush()
        site.closing.wait()

    return answer


def promising(size: int) -> Answer:
    """A video that says it has this many bytes."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        _open(request, size)
        request.wfile.write(bytes(2**16))

    return answer


def _open(request: BaseHTTPRequestHandler, size: int | None = None, kind: str = "video/mp4") -> None:
    request.send_response(200)
    request.send_header("Content-Type", kind)
    if size is not None:
        request.send_header("Content-Length", str(size))
    request.end_headers()
    request.close_connection = True
