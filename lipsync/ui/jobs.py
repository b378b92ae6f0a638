"""Jobs that go on without the browser, one at a time over all visitors."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from lipsync.progress import CancelToken, Progress
from lipsync.ui.background import Done

T = TypeVar("T")
Report: TypeAlias = tuple[str, Progress]
"""A label and its progress, as `handlers.run_sync` yields them."""
_POLL_SECONDS = 0.25
MAX_WAITING = 20
"""Jobs of all visitors together that may wait."""


@dataclass(frozen=True)
class Waiting:
    """A job that is not at its turn.

    Attributes:
        ahead: jobs before it.
        seconds: how long they take together; None while that is not known of all of them.
    """

    ahead: int
    seconds: float | None


@dataclass(frozen=True)
class Stopping:
    """A job that was cancelled and has not ended."""


@dataclass(eq=False)
class Place:
    """A job's place in a lane.

    Attributes:
        seconds: how long it still takes; None while unknown.
    """

    seconds: float | None


class Lane:
    """Queue in which one job runs at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._places)

    def in_turn(
        self, work: Iterator[Report | Done[T]], cancel: CancelToken, seconds: float | None = None
    ) -> Iterator[Waiting | Report | Done[T]]:
        """The items of `work`, which begins at its turn; before that, how long it waits.

        Args:
            seconds: how long the work takes, for those who wait behind it; None if unknown.

        Raises:
            Cancelled: while it waited.
        """
        place = Place(seconds)
        with self._changed:
            self._places.append(place)
        try:
            while ahead := self._before(place):
                cancel.check()
                known = [one.seconds for one in ahead]
                yield Waiting(len(ahead), None if None in known else sum(filter(None, known)))
                with self._changed:
                    self._changed.wait(_POLL_SECONDS)
            for item in work:
                if isinstance(item, tuple) and item[1].seconds_left is not None:
                    place.seconds = item[1].seconds_left
                yield item
        finally:
            with self._changed:
                self._places.remove(place)
                self._changed.notify_all()

    def _before(self, place: Place) -> list[Place]:
        with self._changed:
            return self._places[: self._places.index(place)]


class VisitJob(Generic[T]):
    """A visitor's job in a thread of its own.

    Any number of pages may watch it, one after the other.

    Args:
        work: yields the job's items, the result last.
        cancel: ends it.
    """

    def __init__(self, work: Callable[[], Iterator[Waiting | Report | Done[T]]], cancel: CancelToken) -> None:
        self.cancel = cancel
        self._changed = threading.Condition()
        self._newest: Waiting | Report | None = None
        self._number = 0
        self._done: Done[T] | None = None
        self._error: Exception | None = None
        # With the context of the event: on ZeroGPU it says whose share of the GPU is used.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run, work), name="lipsync job", daemon=True
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._done is None and self._error is None

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    def watch(self) -> Iterator[Waiting | Stopping | Report | Done[T]]:
        """The newest item whenever there is a new one, from now on; the result last.

        After a cancel there are no more reports. That it stops is an item, and not said by the event that
        cancels: its answer could come after the result and cover that.

        Raises:
            Exception: that of the job.
        """
        seen, stopping = 0, False
        while True:
            with self._changed:
                if self._number == seen and self.running:
                    self._changed.wait(_POLL_SECONDS)
                newest, number, ended = self._newest, self._number, not self.running
                if isinstance(newest, tuple):  # the next watcher gets no old frame
                    self._newest = newest[0], replace(newest[1], preview=None)
            if self._error is not None:
                raise self._error
            if ended and self._done is not None:
                yield self._done
                return
            if self.cancel.cancelled:
                if not stopping:
                    stopping = True
                    yield Stopping()
            elif number != seen and newest is not None:
                seen = number
                yield newest

    def _run(self, work: Callable[[], Iterator[Waiting | Report | Done[T]]]) -> None:
        try:
            for item in work():
                with self._changed:
                    if isinstance(item, Done):
                        self._done = item
                    else:
                        self._newest, self._number = self._merged(item), self._number + 1
                    self._changed.notify_all()
            if self._done is None:
                raise RuntimeError("the job ended without a result")
        except Exception as error:  # raised where it is watched
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _merged(self, item: Waiting | Report) -> Waiting | Report:
        """The item, with the newest frame that nobody has seen."""
        before = self._newest
        if not isinstance(item, tuple) or not isinstance(before, tuple) or item[1].preview is not None:
            return item
        return item[0], replace(item[1], preview=before[1].preview)
