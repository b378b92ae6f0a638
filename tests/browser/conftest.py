"""The real page with the real built-in model, and a real browser that looks at it."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lipsync.ui import build_page, launch_settings
from lipsync.ui.sessions import Sessions
from tests.material import make_head, make_voice
from tests.sources.serving import HERE
from tests.waiting import wait_until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SHIPPED = sorted((Path(__file__).resolve().parents[2] / "weights").glob("*.safetensors"))
WAIT = 120_000
"""Milliseconds that a very busy machine may take for one step; nothing here measures speed."""
GRACE = 2.0
"""Seconds that a visitor's files outlive the visit in these tests, and a thirtieth of the time that a busy
machine has between an upload and the event that names it."""
MARKS = re.compile(r"__i18n_\d+__")
"""Places of texts that were not filled in."""


@pytest.fixture(scope="package")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page keeps what visitors bring and what is made for them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package")
def address(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page, running; with the weights that ship and no way to more, whatever else is on this machine."""
    folder = tmp_path_factory.mktemp("weights")
    for weights in SHIPPED:
        shutil.copy(weights, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lipsync.weights.locations.search_folders", lambda: (folder,))
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody is there
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(cache))
        page = build_page(allow_networks=HERE, grace=GRACE)
        port = free_port()  # Gradio's own search could give two processes the same one
        _, url, _ = page.launch(server_port=port, prevent_thread_lock=True, quiet=True, **launch_settings())
        yield url
        page.close()
        # A thread that is in a network while Python ends would take the whole process down. That of the
        # deadlines only waits, for as long as visits outlive a reload.
        wait_until(lambda: not [name for name in thread_names() if name.startswith("lipsync")], 60)


def thread_names() -> set[str]:
    return {one.name for one in threading.enumerate()} - {"lipsync deadlines"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def grace_for_reloads(visit: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits that outlive a reload, however long that takes here; ends before the pages are closed."""
    end_later = Sessions._end_later
    monkeypatch.setattr(Sessions, "_end_later", lambda self, key, _: end_later(self, key, WAIT / 1000))


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open the page as another visitor: `visit(width=390, height=844)`."""
    opened = []

    def open_page(width: int = 1440, height: int = 900, query: str = "") -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(WAIT)
        opened.append(page)
        page.goto(address + query)
        page.locator("#run").wait_for()  # `expect` describes the whole page each time that it looks in vain
        return page

    yield open_page
    untranslated = [mark for page in opened if not page.is_closed() for mark in MARKS.findall(page.content())]
    for page in opened:
        page.close()
    assert not untranslated


@pytest.fixture
def page(visit: Callable[..., Page]) -> Page:
    """The page as one visitor sees it."""
    return visit()


@pytest.fixture(scope="package")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2 s video of a face."""
    return make_head(tmp_path_factory.mktemp("head") / "head.mp4", parts=[2])


@pytest.fixture(scope="package")
def short_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.6 s of the sample voice."""
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.6)
