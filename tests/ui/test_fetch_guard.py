"""What Gradio fetches by itself: only from public addresses, and not too much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import safehttpx
from fastapi.testclient import TestClient
from gradio import processing_utils
from gradio.routes import App

from lipsync.errors import LinkError
from lipsync.ui import fetch_guard
from lipsync.ui.page import build_page
from tests.sources import serving

REFUSED = (
    "100.100.100.200",  # Alibaba Cloud's metadata, in shared address space
    "100.64.0.1",
    "168.63.129.16",  # Azure's host agent
    "169.254.169.254",
    "192.0.0.192",  # Oracle Cloud's metadata
    "198.18.0.1",
    "127.0.0.1",
    "10.0.0.1",
    "[fd00:ec2::254]",
    "[::ffff:100.100.100.200]",
    "[64:ff9b::a83f:8110]",
)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(App.create_app(build_page()))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio asks a name server of Google about what it refuses."""

    async def nothing(_: str) -> list[str]:
        return []

    monkeypatch.setattr(safehttpx, "async_resolve_hostname_google", nothing)


@pytest.mark.parametrize("host", REFUSED)
def test_addresses_that_are_not_public_are_not_fetched(client: TestClient, host: str, tmp_path: Path) -> None:
    link = f"http://{host}/latest/meta-data"
    answer = client.get(f"/gradio_api/file={link}")
    assert answer.status_code == 403
    with pytest.raises(ValueError, match="failed validation"):
        processing_utils.ssrf_protected_download(link, str(tmp_path))


def test_public_addresses_are_fetched(client: TestClient) -> None:
    assert asyncio.run(safehttpx.async_validate_url("93.184.216.34")) == "93.184.216.34"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (serving.endless, "larger than 1 MB"),
        (lambda _: serving.promising(10**9), "larger than 1 MB"),
        (lambda site: serving.trickle(site, "video/mp4", 0.05), "longer than 1 s"),
    ],
)
def test_too_much_is_broken_off(
    client: TestClient,
    answer: Callable[[serving.Site], serving.Answer],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch_guard, "MAX_BYTES", 10**6)
    monkeypatch.setattr(fetch_guard, "MAX_SECONDS", 1.0)
    monkeypatch.setattr(safehttpx, "is_public_ip", lambda _: True)  # the site is on this machine
    with serving.serve() as site:
        site.answers["/file"] = answer(site)
        with pytest.raises(LinkError, match=text):
            processing_utils.ssrf_protected_download(site.url("/file"), str(tmp_path))
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_small_file_is_fetched(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safehttpx, "is_public_ip", lambda _: True)
    with serving.serve() as site:
        site.answers["/file"] = serving.send(b"hello")
        fetched = processing_utils.ssrf_protected_download(site.url("/file"), str(tmp_path))
    assert Path(fetched).read_bytes() == b"hello"
    assert issubclass(safehttpx.AsyncSecureTransport, httpx.AsyncHTTPTransport)
