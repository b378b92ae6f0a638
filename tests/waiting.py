"""Waiting for what other threads do, without measuring how fast they are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from lipsync.progress import CancelToken


class CancelAtLook(CancelToken):
    """Is cancelled when a job looks at it for the n-th time; counts the looks.

    A job that heeds it has looked `looks == at` times; one that waits without looking hangs.
    """

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.looks = at, 0

    @property
    def cancelled(self) -> bool:
        self.looks += 1
        if self.looks >= self.at:
            self.cancel()
        return super().cancelled

    def check(self, stage: str = "") -> None:
        _ = self.cancelled
        super().check(stage)


def found(folder: Path, pattern: str = "*") -> list[Path]:
    """What lies below a folder; other than with `Path.rglob`, folders may be removed meanwhile."""
    below = [
        Path(place, name)
        for place, folders, files in os.walk(folder)  # which passes over what is gone
        for name in (*folders, *files)
    ]
    return [path for path in below if path.match(pattern)]


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Return as soon as it is true; fails when it has not become so after a long time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
