"""Preview stills of the page while a batch runs beside it: in the server itself, and on Ray with one worker.

The time of a preview over the page's API, median of several at different moments of one video, with nothing
beside it and with a batch; as a ratio, both in one run of the same server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.common import make_talking_head, material_arguments, report
from benchmarks.server import WAIT, Server, Visitor

_WAYS = {"in the server": "", "on Ray, one worker": "ray"}


def ask(server: Server, name: str, data: list[Any]) -> requests.Response:
    """The stream of answers of an endpoint."""
    api = f"{server.url}/gradio_api/call/{name}"
    asked = requests.post(api, json={"data": data}, timeout=WAIT)
    asked.raise_for_status()
    return requests.get(f"{api}/{asked.json()['event_id']}", stream=True, timeout=WAIT)


def preview_seconds(server: Server, files: list[Any], count: int) -> list[float]:
    """Seconds of previews at different moments, one after the other."""
    seconds = []
    for number in range(count):
        begun = time.perf_counter()
        with ask(server, "preview", [*files, 0.2 + 0.13 * number, "", "", {"variant": "builtin"}]) as stream:
            lines = [line for line in stream.iter_lines() if line]
        if lines[-2] != b"event: complete":
            raise SystemExit(f"a preview failed: {lines}")
        seconds.append(time.perf_counter() - begun)
    return seconds


class Batch:
    """A batch that runs on a server until it is whole."""

    def __init__(self, server: Server, files: list[Any], count: int) -> None:
        settings = {"variant": "builtin"}
        data = [[files[0]] * count, [files[1]], True, settings]
        self.drawing, self.ended = threading.Event(), threading.Event()
        self._stream = ask(server, "batch", data)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(requests.RequestException):
            for line in self._stream.iter_lines():
                told = json.loads(line[5:]) if line.startswith(b"data:") else None
                if isinstance(told, list) and told[1].get("done"):
                    self.drawing.set()
                if line in (b"event: complete", b"event: error"):
                    break
        self.ended.set()
        self.drawing.set()


def measure(batch_on: str, chosen: argparse.Namespace, folder: Path) -> tuple[float, float]:
    """Median seconds of a preview, alone and beside a batch."""
    folder.mkdir()
    server = Server(folder, batch_on)
    try:
        visitor = Visitor(server)
        width, height = map(int, chosen.size.split("x"))
        pair = make_talking_head(folder.parent, width, height, chosen.seconds)
        files = [visitor.upload(path) for path in pair]
        preview_seconds(server, files, 2)  # loads the networks
        alone = preview_seconds(server, files, chosen.previews)
        batch = Batch(server, files, chosen.videos)
        batch.drawing.wait(WAIT)
        beside = preview_seconds(server, files, chosen.previews)
        if batch.ended.is_set():
            raise SystemExit("The batch ended before the previews: give it more --videos.")
        return statistics.median(alone), statistics.median(beside)
    finally:
        for process in [*server.process.children(recursive=True), server.process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def main() -> None:
    """Measure and report."""
    parser = material_arguments(__doc__, size="640x480", seconds=20)
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--previews", type=int, default=20)
    chosen = parser.parse_args()
    table, values = [], {}
    with tempfile.TemporaryDirectory() as name:
        for number, (way, batch_on) in enumerate(_WAYS.items()):
            alone, beside = measure(batch_on, chosen, Path(name) / str(number))
            values[way] = {"alone": alone, "beside": beside}
            table.append(
                (
                    f"batch {way}",
                    f"{beside / alone:.2f} of alone ({1000 * beside:.0f}, {1000 * alone:.0f} ms)",
                )
            )
    report("batch_page", table, values)


if __name__ == "__main__":
    main()
