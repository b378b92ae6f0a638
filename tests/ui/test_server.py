"""The page's server: what it refuses, and what it keeps of visitors who have gone."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import requests
from gradio.route_utils import GradioUploadFile

from lipsync.errors import OptionError, OutputError
from lipsync.ui import build_page, handlers, launch_settings
from lipsync.ui.server import check_address, temporary_folder
from lipsync.utils.proxies import direct_local_connections
from tests.material import FACE, VOICE
from tests.waiting import found, wait_until

GRACE = 0.1


@dataclass
class Site:
    """The page, running."""

    page: gr.Blocks
    url: str
    cache: Path

    @property
    def api(self) -> str:
        return f"{self.url}gradio_api"

    def upload(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            [there] = requests.post(f"{self.api}/upload", files={"files": file}, timeout=60).json()
        return {"path": there, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def event(self, name: str) -> int:
        return int(next(one._id for one in self.page.fns.values() if one.api_name == name))

    def state_of(self, visitor: str) -> bool:
        return visitor in self.page.state_holder.session_data  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(cache))
        page = build_page(grace=GRACE)
        _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
        yield Site(page, url, cache)
        page.close(verbose=False)


@contextlib.contextmanager
def visit(site: Site, visitor: str) -> Iterator[None]:
    """The connection that a browser holds while the page is open."""
    with requests.get(f"{site.api}/heartbeat/{visitor}", stream=True, timeout=60):
        yield


def test_nothing_passes_the_queue(site: Site) -> None:
    for route in ("run", "api"):
        answer = requests.post(f"{site.api}/{route}/preview", json={"data": []}, timeout=60)
        assert answer.status_code == 404
        assert "queue" in answer.text


def test_an_upload_that_breaks_off_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/place")

    before = set(found(site.cache))
    with monkeypatch.context() as patch, FACE.open("rb") as file:
        patch.setattr(GradioUploadFile, "write", full)
        answer = requests.post(f"{site.api}/upload", files={"files": file}, timeout=60)
    assert answer.status_code == 507
    assert answer.text.startswith("The disk of the server is full")
    assert set(found(site.cache)) == before
    with socket.create_connection(("127.0.0.1", site.page.server_port)) as sender:
        head = "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n"
        kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nbegun'
        sender.sendall((head + kind + part).encode())
        wait_until(lambda: set(found(site.cache)) != before)
    wait_until(lambda: set(found(site.cache)) == before)


def test_who_leaves_the_queue_leaves_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their files are theirs from the moment they ask, not from that of their turn."""
    busy, done = threading.Event(), threading.Event()

    def preview(*_: object) -> None:
        busy.set()
        done.wait(60)
        raise OutputError("the first one's preview")

    face = tmp_path / "face.jpg"
    face.write_bytes(FACE.read_bytes() + b"not the sample that the page keeps")
    monkeypatch.setattr(handlers, "render_preview", preview)
    call = requests.post(
        f"{site.api}/call/preview",
        json={"data": [site.upload(face), site.upload(VOICE), 0, "", "", {}]},
        timeout=60,
    )
    assert busy.wait(60)
    with visit(site, "leaver"):
        fn = site.event("preview_1")
        given = [[site.upload(face)], *[None] * (len(site.page.fns[fn].inputs) - 1)]
        body = {"data": given, "fn_index": fn, "session_hash": "leaver"}
        assert requests.post(f"{site.api}/queue/join", json=body, timeout=60).ok
        assert len(site.page._queue) == 1
    wait_until(lambda: not site.state_of("leaver"))
    assert Path(given[0][0]["path"]).exists()  # the other one's, too
    done.set()
    one_off = call.json()["event_id"]
    wait_until(lambda: not site.state_of(one_off))
    wait_until(lambda: not Path(given[0][0]["path"]).exists())


def test_a_file_given_leaves_no_empty_one(site: Site) -> None:
    data = [site.upload(FACE), site.upload(VOICE), "", "", {}]
    before = set(site.cache.iterdir())
    call = requests.post(f"{site.api}/call/plan", json={"data": data}, timeout=60).json()
    told = requests.get(f"{site.api}/call/plan/{call['event_id']}", timeout=60).text
    assert '"width": 512' in told  # though further parameters have been added since
    assert set(site.cache.iterdir()) == before


def test_a_visitor_who_only_looked_is_forgotten(site: Site) -> None:
    with visit(site, "looker"):
        body = {"data": [], "fn_index": site.event("leave"), "session_hash": "looker"}
        requests.post(f"{site.api}/queue/join", json=body, timeout=60)
        wait_until(lambda: site.state_of("looker"))
    wait_until(lambda: not site.state_of("looker"))


def test_an_address_that_cannot_be_listened_on_is_told() -> None:
    check_address(None, None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=rf"{port} of 127.0.0.1 .* 'port'"):
            check_address(None, port)
    with pytest.raises(OptionError, match=r"listen on this address: 203.0.113.7 .* 127.0.0.1"):
        check_address("203.0.113.7", None)
    with pytest.raises(OptionError, match=r"no such host"):
        check_address("no such host", None)
    for port in (0, -1, 65_536):
        with pytest.raises(OptionError, match=f"1 to 65535: {port}"):
            check_address(None, port)


def test_proxies_are_passed_by_only_while_the_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    before = dict(os.environ)
    with direct_local_connections("[fe80::7]"):
        assert os.environ["no_proxy"] == "example.org,localhost,127.0.0.1,::1,fe80::7"
        assert os.environ["http_proxy"] == "http://127.0.0.1:9"  # a public link may need it
    assert dict(os.environ) == before


def test_each_server_has_a_temporary_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with temporary_folder() as one:
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        with temporary_folder() as other:
            assert one != other
            assert os.environ["GRADIO_TEMP_DIR"] == str(other)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"temporary folder cannot be used: .*file .*GRADIO_TEMP_DIR"):
        temporary_folder().__enter__()
