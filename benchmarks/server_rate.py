"""Frames a second that visitors of one server get, against runs of the command line.

Several visitors send the same runs at once, while another one looks at plans and previews. The
command line makes as many of the same runs, one after the other, each a program that loads its networks anew
as users of it have to. Both take turns. Beside the rates stands how long the visitors' runs took, from
sending to the finished file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import requests

from benchmarks.common import make_talking_head, measure_lipsync, report, run_arguments
from benchmarks.server import WAIT, Server, Visitor


def call(server: Server, name: str, data: list[Any]) -> str:
    """Call an endpoint of the API; returns the last line of its answer.

    Raises:
        SystemExit: the server refuses it.
    """
    api = f"{server.url}/gradio_api/call/{name}"
    asked = requests.post(api, json={"data": data}, timeout=WAIT)
    if not asked.ok:
        raise SystemExit(f"{name}: HTTP {asked.status_code} {asked.text}")
    with requests.get(f"{api}/{asked.json()['event_id']}", stream=True, timeout=WAIT) as stream:
        lines = [line.decode() for line in stream.iter_lines() if line]
    if "event: error" in lines:
        raise SystemExit(f"{name}: {lines[-1]}")
    answer: str = lines[-1]
    return answer


def one_run(server: Server, video: Path, voice: Path) -> float:
    """A visitor's run with the built-in model; returns its seconds."""
    visitor = Visitor(server)
    given = visitor.upload(video), visitor.upload(voice)
    started = time.perf_counter()
    call(server, "sync", [*given, True, "", "", {"variant": "builtin"}])
    seconds = time.perf_counter() - started
    visitor.leave()
    return seconds


def others(server: Server, video: Path, voice: Path, ended: threading.Event, pause: float) -> int:
    """Plans and previews of another visitor until the runs have ended; returns how many."""
    visitor, asked = Visitor(server), 0
    given = visitor.upload(video), visitor.upload(voice)
    while not ended.wait(pause):
        call(server, "plan", [*given, "", "", {}])
        call(server, "preview", [*given, 0.1, "", "", {}])
        asked += 2
    visitor.leave()
    return asked


def served(
    server: Server, video: Path, voice: Path, chosen: argparse.Namespace
) -> tuple[float, list[float], int]:
    """Seconds of all runs together, of each, and how many other requests were answered meanwhile."""
    ended = threading.Event()
    with ThreadPoolExecutor(chosen.visitors + 1) as pool:
        beside = pool.submit(others, server, video, voice, ended, chosen.pause)
        started = time.perf_counter()
        runs = [pool.submit(one_run, server, video, voice) for _ in range(chosen.visitors)]
        try:
            each = [run.result() for run in runs]
        finally:
            seconds = time.perf_counter() - started
            ended.set()
        return seconds, each, beside.result()


def by_command_line(folder: Path, video: Path, voice: Path, chosen: argparse.Namespace) -> tuple[float, int]:
    """Seconds of as many runs of the command line, and the frames of one."""
    seconds, frames = 0.0, 0
    for _ in range(chosen.visitors):
        arguments = run_arguments(video, voice, folder / "out.mp4")
        measured = measure_lipsync([*arguments, "--variant", "builtin", "--json"])
        seconds, frames = seconds + measured.seconds, json.loads(measured.output)["frames"]
    return seconds, frames


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=6, help="runs at once (default 6)")
    parser.add_argument("--seconds", type=float, default=20, help="length of each (default 20)")
    parser.add_argument("--size", default="640x360", help="of the video (default 640x360)")
    parser.add_argument(
        "--pause", type=float, default=10, help="seconds between another's plan and preview (default 10)"
    )
    parser.add_argument("--turns", type=int, default=2)
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    of_server, of_command, asked = [], [], 0
    each: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        video, voice = make_talking_head(folder, width, height, chosen.seconds)
        server = Server(folder / "tmp")
        try:
            one_run(server, video, voice)  # loads the networks
            for _ in range(chosen.turns):
                seconds, runs, requests_beside = served(server, video, voice, chosen)
                spent, frames = by_command_line(folder, video, voice, chosen)
                of_server.append(frames * chosen.visitors / seconds)
                of_command.append(frames * chosen.visitors / spent)
                each, asked = each + runs, asked + requests_beside
        finally:
            server.process.kill()
    rates = median(of_server), median(of_command)
    table = [
        ("server", f"{rates[0]:.1f} frames/s, {chosen.visitors} runs at once, {asked} other requests beside"),
        ("command line", f"{rates[1]:.1f} frames/s, one run after the other"),
        ("ratio", f"{rates[0] / rates[1]:.2f}"),
        ("a visitor's run", f"{min(each):.0f} to {max(each):.0f} s"),
    ]
    report("server_rate", table, {"server": of_server, "command_line": of_command, "runs": each})


if __name__ == "__main__":
    main()
