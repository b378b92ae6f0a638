"""Downloads run the real code against a server on this machine."""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lipsync import weights
from lipsync.errors import Cancelled, DownloadError, OptionError
from lipsync.progress import CancelToken, Progress
from lipsync.weights import WeightsEntry, catalogue, download, entry, locations

download_module = importlib.import_module("lipsync.weights.download")

OURS = ("builtin", "expert", "speaker")
"""What lies in the repository itself."""
CONTENT = bytes(range(256)) * 4096  # 1 MiB
PIECE = 1 << 16  # what is read at a time; of a cut connection, less than this is lost


@dataclass
class Server:
    """Serves CONTENT, as well or badly as a test wants."""

    address: str = ""
    content: bytes = CONTENT
    content_type: str = "application/octet-stream"
    cut_after: list[int] = field(default_factory=list)  # bytes of each of the next answers
    knows_ranges: bool = True
    status: int = 200
    hold: threading.Event | None = None  # set before the second half of a body may go out
    ranges: list[str | None] = field(default_factory=list)  # what was asked for

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and self.knows_ranges else 0
        body = self.content[start:]
        request.send_response(206 if asked and self.knows_ranges else self.status)
        request.send_header("Content-Type", self.content_type)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        body = body[: self.cut_after.pop(0)] if self.cut_after else body
        half = len(body) // 2 if self.hold else 0
        request.wfile.write(body[:half])
        request.wfile.flush()
        if self.hold:
            self.hold.wait(30)
        request.wfile.write(body[half:])


@pytest.fixture
def server() -> Iterator[Server]:
    behaviour = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client goes away, as it should in some tests
                behaviour.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        behaviour.address = f"http://127.0.0.1:{running.server_port}/w.bin"
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield behaviour
        running.shutdown()


@pytest.fixture
def wanted(server: Server) -> WeightsEntry:
    return WeightsEntry(
        name="made_up",
        filename="w.bin",
        urls=(server.address,),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        bytes=len(CONTENT),
        licence="for tests",
        source="https://example.org/by-hand",
        what="bytes",
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download_gives_the_file_and_reports_progress(wanted: WeightsEntry, tmp_path: Path) -> None:
    reports: list[Progress] = []
    path = download(wanted, tmp_path / "new" / "folder", progress=reports.append)
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["w.bin"]
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert (reports[-1].done, reports[-1].total) == (len(CONTENT), len(CONTENT))
    assert "for tests" in reports[0].stage  # the licence is shown


def test_a_cut_connection_is_continued_where_it_stopped(
    server: Server, wanted: WeightsEntry, tmp_path: Path
) -> None:
    server.cut_after = [4 * PIECE, 2 * PIECE]
    assert download(wanted, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={4 * PIECE}-", f"bytes={6 * PIECE}-"]


def test_a_server_without_ranges_starts_again(server: Server, wanted: WeightsEntry, tmp_path: Path) -> None:
    server.cut_after, server.knows_ranges = [300_000], False
    assert download(wanted, tmp_path).read_bytes() == CONTENT


def test_what_an_earlier_run_left_is_continued(server: Server, wanted: WeightsEntry, tmp_path: Path) -> None:
    server.cut_after = [3 * PIECE, 0]
    with pytest.raises(DownloadError, match="the connection was cut"):
        download(wanted, tmp_path)
    assert names(tmp_path) == ["w.bin.part"]
    assert download(wanted, tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={3 * PIECE}-"
    assert names(tmp_path) == ["w.bin"]


def test_a_killed_process_part_is_adopted_and_a_running_one_left_alone(
    server: Server, wanted: WeightsEntry, tmp_path: Path
) -> None:
    running, killed = tmp_path / "w.bin.aaaa.part", tmp_path / "w.bin.bbbb.part"
    running.write_bytes(b"other process")
    killed.write_bytes(CONTENT[:1000])
    os.utime(killed, (time.time() - 3600,) * 2)
    download(wanted, tmp_path)
    assert server.ranges == ["bytes=1000-"]
    assert running.read_bytes() == b"other process"
    assert not killed.exists()


def test_a_part_that_is_too_long_is_thrown_away(wanted: WeightsEntry, tmp_path: Path) -> None:
    (tmp_path / "w.bin.part").write_bytes(CONTENT + b"more")
    assert download(wanted, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["w.bin"]


def test_two_at_once(server: Server, wanted: WeightsEntry, tmp_path: Path) -> None:
    """Each has a part of the file before either gets the rest."""
    server.hold, begun = threading.Event(), [threading.Event(), threading.Event()]

    def fetch(number: int) -> None:
        download(wanted, tmp_path, progress=lambda report: begun[number].set() if report.done else None)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    assert all(event.wait(30) for event in begun)
    server.hold.set()
    for thread in threads:
        thread.join()
    assert names(tmp_path) == ["w.bin"]
    assert (tmp_path / "w.bin").read_bytes() == CONTENT


def test_wrong_hash_is_an_error_and_leaves_nothing(
    server: Server, wanted: WeightsEntry, tmp_path: Path
) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match="wrong SHA-256"):
        download(wanted, tmp_path)
    assert names(tmp_path) == []


def test_wrong_size_is_noticed_before_it_is_fetched(
    server: Server, wanted: WeightsEntry, tmp_path: Path
) -> None:
    server.content = b"x" * 167_000
    with pytest.raises(DownloadError, match="has 167,000 bytes, not 1,048,576"):
        download(wanted, tmp_path)
    assert names(tmp_path) == []


def test_web_page_instead_of_the_file(server: Server, wanted: WeightsEntry, tmp_path: Path) -> None:
    server.content, server.content_type = b"<!doctype html>sign in", "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="a web page instead of the file"):
        download(wanted, tmp_path)
    assert names(tmp_path) == []


def test_mirrors_are_tried_in_turn(server: Server, wanted: WeightsEntry, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/w.bin"
    path = download(replace(wanted, urls=(nobody, server.address)), tmp_path)
    assert path.read_bytes() == CONTENT


def test_gone_from_the_server(server: Server, wanted: WeightsEntry, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match="404"):
        download(wanted, tmp_path)


def test_offline_says_how_to_get_it_by_hand(wanted: WeightsEntry, tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/w.bin"
    with pytest.raises(DownloadError) as caught:
        download(replace(wanted, urls=(address,)), tmp_path)
    text = str(caught.value)
    for needed in ("no connection", address, str(tmp_path / "w.bin"), "1,048,576 bytes", wanted.sha256):
        assert needed in text


def test_only_by_hand(wanted: WeightsEntry, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"by hand.*example.org/by-hand"):
        download(replace(wanted, urls=()), tmp_path)


def test_cancel_keeps_the_part_for_next_time(server: Server, wanted: WeightsEntry, tmp_path: Path) -> None:
    server.hold, cancel = threading.Event(), CancelToken()

    def stop_early(report: Progress) -> None:
        if report.done:
            cancel.cancel()
            server.hold.set()  # type: ignore[union-attr]

    with pytest.raises(Cancelled):
        download(wanted, tmp_path, progress=stop_early, cancel=cancel)
    assert names(tmp_path) == ["w.bin.part"]
    server.hold = None
    download(wanted, tmp_path)
    assert server.ranges[-1] is not None


def test_a_server_that_does_not_answer_does_not_hold_a_cancel(
    server: Server, wanted: WeightsEntry, tmp_path: Path
) -> None:
    server.hold, cancel = threading.Event(), CancelToken()
    threading.Timer(0.5, cancel.cancel).start()
    started = time.monotonic()
    try:
        with pytest.raises(Cancelled) as caught:
            download(wanted, tmp_path, cancel=cancel)
        assert time.monotonic() - started < 10  # the server waits for 30 s
    finally:
        server.hold.set()
    assert "goes on from there" in caught.value.kept
    assert 0 < (tmp_path / "w.bin.part").stat().st_size < len(CONTENT)


def test_full_disk(wanted: WeightsEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DownloadError, match="the disk is full"):
        download(wanted, tmp_path)


def test_disk_that_fills_up_on_the_way(wanted: WeightsEntry, tmp_path: Path) -> None:
    def fail(report: Progress) -> None:
        if report.done:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DownloadError, match="the disk is full"):
        download(wanted, tmp_path, progress=fail)


def test_folder_that_cannot_be_made(wanted: WeightsEntry, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="cannot be written to"):
        download(wanted, tmp_path / "file")


# --- the catalogue and the folders -------------------------------------------------------------


@pytest.mark.parametrize("known", weights.CATALOGUE.values(), ids=lambda known: known.name)
def test_catalogue_entries_are_complete(known: WeightsEntry) -> None:
    assert weights.CATALOGUE[known.name] is known
    assert len(known.sha256) == 64 and int(known.sha256, 16)
    assert known.bytes > 1_000_000
    assert all(url.startswith("https://") for url in known.urls)
    assert known.source.startswith("https://") or known.name in OURS  # in the repository
    assert known.licence and known.what


def test_licence_of_wav2lip_is_said_plainly() -> None:
    for name in ("wav2lip", "wav2lip_gan", "wav2lip_sd_gan"):
        assert "non-commercial" in weights.CATALOGUE[name].licence


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPSYNC_WEIGHTS", str(tmp_path))
    assert weights.weights_folder() == tmp_path
    (tmp_path / "wav2lip.pth").write_bytes(b"retrained")  # its size and hash are its own business
    assert weights.find("wav2lip") == tmp_path / "wav2lip.pth"
    assert weights.require("wav2lip") == tmp_path / "wav2lip.pth"


def test_read_only_checkout_falls_back_to_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIPSYNC_WEIGHTS", raising=False)
    monkeypatch.setattr(locations.platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr(locations.os, "access", lambda *_: False)
    assert weights.weights_folder() == tmp_path / "weights"


def test_require_downloads_what_is_absent(
    wanted: WeightsEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPSYNC_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(catalogue, "CATALOGUE", {"made_up": wanted})
    assert weights.find("made_up") is None
    assert weights.require("made_up").read_bytes() == CONTENT
    assert weights.find("made_up") == tmp_path / "w.bin"


def test_unknown_name() -> None:
    with pytest.raises(OptionError, match="wav2lip_gan"):
        weights.find("wav2lop")


@pytest.mark.parametrize("name", OURS)
def test_what_ships_is_what_is_catalogued(name: str) -> None:
    shipped = Path(__file__).resolve().parents[2] / "weights" / entry(name).filename
    data = shipped.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (entry(name).bytes, entry(name).sha256)
    assert len(data) <= 25_000_000
