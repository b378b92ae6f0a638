"""Calls at a later time, all by one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable


class Deadlines:
    """Functions to be called later, each under a key.

    One daemon thread calls them one after the other; it ends when none is due any more.
    """

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def schedule(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` in so many seconds; replaces what was scheduled under this key."""
        with self._changed:
            self._due[key] = (time.monotonic() + seconds, call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lipsync deadlines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def cancel(self, key: str) -> None:
        """Forget what was scheduled under this key, if anything was and it is not being called."""
        with self._changed:
            self._due.pop(key, None)
            self._changed.notify()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:  # the others are called all the same
                logging.getLogger(__name__).exception("a scheduled call failed")

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next call that is due; None when there is none left."""
        with self._changed:
            while self._due:
                key = min(self._due, key=lambda one: self._due[one][0])
                wait = self._due[key][0] - time.monotonic()
                if wait <= 0:
                    return self._due.pop(key)[1]
                self._changed.wait(wait)
            self._thread = None
            return None
