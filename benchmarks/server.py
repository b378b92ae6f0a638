"""Memory, threads, open files and files left of the page's server, under visitors who come and go.

Visitors open the page as a browser does, upload a photo and a voice, see the plan, sometimes the preview,
and leave. Then mixed requests of programs, previews sent past the queue, visitors who leave while they wait
and in the middle of a run, and stopping, killing and starting the server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.common import SAMPLES, make_voice, report

GRACE_SECONDS = 1.0
"""How long the server under test keeps the files of a visitor who has left."""
SERVE = (
    "import sys; from lipsync.options import ClusterOptions; from lipsync.ui.server import serve;"
    "serve(port=int(sys.argv[1]), grace=float(sys.argv[2]), batch_on=sys.argv[3] or None,"
    " workers=ClusterOptions(workers=1))"
)
WAIT = 600


@dataclass(frozen=True)
class Sample:
    """State of the server at one moment; `files` and `folders` are those in its temporary folder."""

    memory_bytes: int
    threads: int
    open_files: int
    files: int
    folders: int

    def __str__(self) -> str:
        return (
            f"{self.memory_bytes / 2**20:5.0f} MiB, {self.threads:3d} threads, {self.open_files:3d} open, "
            f"{self.files:3d} files and {self.folders:3d} folders left"
        )


class Server:
    """The page's server as a process of its own, with a temporary folder of its own.

    Args:
        batch_on: the cluster, with one worker, that makes the videos of batches; "" for the server itself.
    """

    def __init__(self, temporary: Path, batch_on: str = "") -> None:
        self.temporary, self.batch_on = temporary, batch_on
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "TMPDIR": str(self.temporary), "PYTHONWARNINGS": "ignore"}
        self.log = self.temporary.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                [sys.executable, "-c", SERVE, str(port), str(GRACE_SECONDS), self.batch_on],
                env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        _wait_until(self._answers)
        self.config = requests.get(f"{self.url}/config", timeout=WAIT).json()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"the server ended:\n{self.log.read_text()}")
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(self.url, timeout=WAIT).ok
        return False

    def stop(self, number: signal.Signals) -> None:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(WAIT)

    def sample(self) -> Sample:
        """Measure, once everybody has been gone for a while."""
        time.sleep(3 * GRACE_SECONDS + 2)
        files, folders = self.leftovers()
        with self.process.oneshot():
            return Sample(
                self.process.memory_info().rss,
                self.process.num_threads(),
                self.process.num_fds(),
                files,
                folders,
            )

    def leftovers(self) -> tuple[int, int]:
        """Number of files and folders below the temporary folder."""
        found = list(self.temporary.rglob("*"))
        files = sum(path.is_file() for path in found)
        return files, len(found) - files


class Visitor:
    """A visitor with a browser: holds the connection by which the server knows that they are there."""

    def __init__(self, server: Server) -> None:
        self.server, self.hash = server, secrets.token_hex(6)
        self._api = f"{server.url}/gradio_api"
        requests.get(server.url, timeout=WAIT)
        self._heartbeat = requests.get(f"{self._api}/heartbeat/{self.hash}", stream=True, timeout=WAIT)

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a file that nobody else has; returns it as the value of a component."""
        content = path.read_bytes() + secrets.token_bytes(8)  # which its readers ignore
        files = {"files": (path.name, content)}
        [there] = requests.post(f"{self._api}/upload", files=files, timeout=WAIT).json()
        return {"path": there, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def ask(self, name: str, files: dict[str, Any], *, wait: bool = True) -> Any:
        """Send an event of the page; `files` are values by the element id of their component."""
        config = self.server.config
        [event] = [one for one in config["dependencies"] if one["api_name"] == name]
        values = {one["id"]: one["props"] for one in config["components"]}
        data = [
            files.get(values[number].get("elem_id", ""), values[number].get("value"))
            for number in event["inputs"]
        ]
        body = {"data": data, "fn_index": event["id"], "session_hash": self.hash, "trigger_id": None}
        joined = requests.post(f"{self._api}/queue/join", json=body, timeout=WAIT).json()
        return self._answer(joined["event_id"]) if wait else None

    def _answer(self, event: str) -> Any:
        url = f"{self._api}/queue/data?session_hash={self.hash}"
        with requests.get(url, stream=True, timeout=WAIT) as stream:
            for line in stream.iter_lines():
                message = json.loads(line[5:]) if line.startswith(b"data:") else {}
                if message.get("msg") == "process_completed" and message.get("event_id") == event:
                    return message["output"]
        raise SystemExit("the server ended the stream")

    def leave(self) -> None:
        """Close the page."""
        self._heartbeat.close()


def visit(server: Server, voice: Path, number: int) -> None:
    """One visitor: photo, voice, plan, every tenth time a preview."""
    visitor = Visitor(server)
    files = {"photo": visitor.upload(SAMPLES / "face.jpg"), "voice": visitor.upload(voice)}
    visitor.ask("plan_1", files)
    if number % 10 == 0:
        visitor.ask("preview_2", files)
    visitor.leave()


def leave_while_waiting(server: Server, voice: Path) -> None:
    """A visitor who leaves in the queue, and whose files no event has seen."""
    visitor = Visitor(server)
    files = {"batch-videos": [visitor.upload(SAMPLES / "face.jpg")], "batch-voices": [visitor.upload(voice)]}
    visitor.ask("run_1", {**files, "batch-consent": True}, wait=False)
    time.sleep(0.5)
    visitor.leave()


def leave_while_running(server: Server, voice: Path) -> None:
    """A visitor who leaves while a long voice is worked on."""
    visitor = Visitor(server)
    files = {"photo": visitor.upload(SAMPLES / "face.jpg"), "voice": visitor.upload(voice)}
    visitor.ask("preview_2", files, wait=False)
    time.sleep(4)
    visitor.leave()


def program_request(server: Server, voice: Path, number: int) -> int:
    """One request of a program, without a session; returns the status. Some are wrong."""
    visitor = Visitor(server)
    face, spoken = visitor.upload(SAMPLES / "face.jpg"), visitor.upload(voice)
    name, data = (
        ("plan", [face, spoken, "", "", {}]),
        ("preview", [face, spoken, 0.1, "", "", {}]),
        ("plan", [face, spoken, "9-8", "", {"no_such": 1}]),
        ("inspect", [face, True, False, False, "auto"]),
        ("sync", [face, spoken, True, "", "0-0.4", {"variant": "builtin"}]),
    )[number % 5]
    api = f"{server.url}/gradio_api/call/{name}"
    asked = requests.post(api, json={"data": data}, timeout=WAIT)
    if asked.ok:
        with requests.get(f"{api}/{asked.json()['event_id']}", stream=True, timeout=WAIT) as stream:
            for _ in stream.iter_lines():
                pass
    visitor.leave()
    return asked.status_code


def past_the_queue(server: Server, voice: Path, at_once: int = 12) -> tuple[list[int], int]:
    """Send previews at once to the route that takes no queue; returns the statuses, and the most threads."""
    visitor = Visitor(server)
    data = [visitor.upload(SAMPLES / "face.jpg"), visitor.upload(voice), 0.1, "", "", {}]
    most, done = server.process.num_threads(), threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, server.process.num_threads())

    def post(_: int) -> int:
        url = f"{server.url}/gradio_api/run/preview"
        return requests.post(url, json={"data": data}, timeout=WAIT).status_code

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(at_once) as pool:
        statuses = list(pool.map(post, range(at_once)))
    done.set()
    watcher.join()
    visitor.leave()
    return statuses, most


def measure(server: Server, chosen: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Sample]]:
    """Run the parts one after the other; yields a label and a sample after each."""
    voice, long_voice = make_voice(folder, 1), make_voice(folder, chosen.long_seconds)
    yield "started", server.sample()
    steps = [10, *range(50, chosen.visitors, 50), chosen.visitors]
    for first, last in zip([0, *steps], steps, strict=False):
        _at_once(lambda number: visit(server, voice, number), range(first, last))
        yield f"{last} visitors", server.sample()
    _at_once(lambda number: program_request(server, voice, number), range(10))
    yield "10 requests of programs", server.sample()
    _at_once(lambda number: program_request(server, voice, number), range(10, chosen.requests))
    yield f"{chosen.requests} requests of programs", server.sample()
    statuses, most = past_the_queue(server, voice)
    label = f"12 previews past the queue: HTTP {sorted(set(statuses))}, {most} threads"
    yield label, server.sample()
    for number in range(4):
        leave_while_running(server, long_voice)
        _wait_until_idle(server)
        yield f"{number + 1} left in mid-run", server.sample()
    visitor = Visitor(server)
    files = {"photo": visitor.upload(SAMPLES / "face.jpg"), "voice": visitor.upload(long_voice)}
    visitor.ask("preview_2", files, wait=False)
    _at_once(lambda _: leave_while_waiting(server, voice), range(10))
    visitor.leave()
    _wait_until_idle(server)
    yield "10 left in the queue", server.sample()


def stop_and_start(server: Server) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield files and folders left after each way to end, while visitors are there, and the next start."""
    for name in ("SIGTERM", "SIGKILL"):
        visitor = Visitor(server)
        files = {
            "photo": visitor.upload(SAMPLES / "face.jpg"),
            "voice": visitor.upload(SAMPLES / "voice.mp3"),
        }
        visitor.ask("preview_2", files)
        server.stop(signal.Signals[name])
        yield f"after {name}", server.leftovers()
        server.start()
        yield "and the next start", server.leftovers()
    server.stop(signal.SIGTERM)


def _at_once(function: Callable[[int], Any], numbers: Sequence[int]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(function, numbers))


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.1)


def _wait_until_idle(server: Server) -> None:
    """Return when the server has used next to no processor for two seconds."""
    _wait_until(lambda: server.process.cpu_percent(2) < 15)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=150, help="default 150")
    parser.add_argument("--requests", type=int, default=100, help="default 100")
    parser.add_argument(
        "--long-seconds", type=float, default=10_800, help="length of the long voice, default 3 h"
    )
    chosen = parser.parse_args()
    table, values = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        server = Server(folder / "tmp")
        try:
            for label, sample in measure(server, chosen, folder):
                print(f"{label}: {sample}", flush=True)
                table.append((label, str(sample)))
                values[label] = asdict(sample)
            for label, (files, folders) in stop_and_start(server):
                print(f"{label}: {files} files, {folders} folders", flush=True)
                table.append((label, f"{files} files and {folders} folders in the temporary folder"))
                values[label] = {"files": files, "folders": folders}
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.process.kill()
    report("server", table, values)


if __name__ == "__main__":
    main()
