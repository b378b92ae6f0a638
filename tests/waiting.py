"""Waiting for what other threads do, without measuring how fast they are."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Return as soon as it is true; fails when it has not become so after a long time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
