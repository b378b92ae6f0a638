"""Section of code that threads enter one at a time, in a set order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

ALONE: AbstractContextManager[object] = nullcontext()
"""In place of a section, where there is one thread only."""


class OrderedSection:
    """Section that the thread with number 0 enters first, then 1, and so on.

    Each number has to come exactly once. Where they are given out in the order in which threads start, a
    thread waits only for threads that run, and so never for ever.
    """

    def __init__(self) -> None:
        self._next = 0
        self._condition = threading.Condition()

    @contextmanager
    def enter(self, number: int) -> Iterator[None]:
        """Wait until all lower numbers have left the section; it is left at the end of the block."""
        with self._condition:
            self._condition.wait_for(lambda: self._next == number)
        try:
            yield
        finally:
            with self._condition:
                self._next = number + 1
                self._condition.notify_all()
