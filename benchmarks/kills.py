"""Runs killed at random moments: is the result the same afterwards, and is anything left behind?

Each round starts a run, plain or with `--resume`, kills it a few times at random moments (SIGKILL, SIGTERM
or Ctrl-C), and lets the same command end. The result must equal that of an unbroken run byte for byte, and
neither beside it nor among the temporary files may anything be left.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common import make_talking_head, material_arguments, report

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_MOST_KILLS = 3  # in one round


@dataclass
class Outcome:
    """Counts of rounds, kills by signal, and what went wrong."""

    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Killer:
    """Runs of one video, in a folder whose content is watched.

    Args:
        folder: for inputs, results and temporary files.
        inputs: video and voice.
        seed: of the moments and signals.
    """

    def __init__(self, folder: Path, inputs: tuple[Path, Path], seed: int) -> None:
        self._inputs, self._random = inputs, random.Random(seed)
        self._results, self._temporary = folder / "results", folder / "temporary"
        self._results.mkdir()
        self._temporary.mkdir()
        self._expected: dict[bool, str] = {}
        started = time.perf_counter()
        for resume in (False, True):
            self._finish(self._start(resume))
            self._expected[resume] = self._digest()
        self._seconds = (time.perf_counter() - started) / len(self._expected)

    def round(self, outcome: Outcome) -> None:
        """Kill a run some times, let it end, and check what there is."""
        resume = self._random.random() < 0.5
        for _ in range(self._random.randint(1, _MOST_KILLS)):
            process = self._start(resume)
            time.sleep(self._random.uniform(0, self._seconds))
            sent = self._random.choice(SIGNALS)
            process.send_signal(sent)
            _, errors = process.communicate()
            outcome.kills[sent.name] += 1
            if b"Traceback" in errors:
                outcome.faults.append(f"{sent.name}: {errors.decode(errors='replace')}")
        told = self._finish(self._start(resume))
        outcome.rounds += 1
        left = [path.name for path in (*self._results.iterdir(), *self._temporary.iterdir())]
        if left != ["out.mp4"]:
            outcome.faults.append(f"left: {left}; {told}")
        elif self._digest() != self._expected[resume]:
            outcome.faults.append(f"another result, resume={resume}")

    def _start(self, resume: bool) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lipsync", "run", *map(str, self._inputs)]
        command += ["-o", str(self._results / "out.mp4"), "--overwrite", "--variant", "builtin", "--no-score"]
        environment = os.environ | {"TMPDIR": str(self._temporary)}
        return subprocess.Popen(
            [*command, *(["--resume"] if resume else [])], stderr=subprocess.PIPE, env=environment
        )

    def _finish(self, process: subprocess.Popen[bytes]) -> str:
        _, told = process.communicate()
        if process.returncode:
            raise SystemExit(f"a run failed: {told.decode(errors='replace')}")
        return told.decode(errors="replace")

    def _digest(self) -> str:
        """SHA-256 of the result, which is removed."""
        path = self._results / "out.mp4"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.unlink()
        return digest


def main() -> None:
    """Kill for some minutes, and report."""
    parser = material_arguments(__doc__, size="320x240", seconds=45)
    parser.add_argument("--minutes", type=float, default=10, help="how long to go on")
    parser.add_argument("--seed", type=int, default=0, help="of moments and signals")
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        killer = Killer(folder, make_talking_head(folder, width, height, chosen.seconds), chosen.seed)
        end = time.monotonic() + 60 * chosen.minutes
        while time.monotonic() < end:
            killer.round(outcome)
    for fault in outcome.faults:
        print(fault)
    rows = [("rounds", str(outcome.rounds)), *((name, str(count)) for name, count in outcome.kills.items())]
    values = {"rounds": outcome.rounds, "kills": dict(outcome.kills), "faults": outcome.faults}
    report("kills", [*rows, ("faults", str(len(outcome.faults)))], values)
    if outcome.faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
