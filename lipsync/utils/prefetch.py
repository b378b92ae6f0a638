"""Concurrent pipeline stages: prefetching, ordered parallel map, stage times."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from lipsync.progress import CancelToken

Item = TypeVar("Item")
Result = TypeVar("Result")


class _End:
    """End mark in the queue, with the error that ended the stage, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Prefetcher(Generic[Item]):
    """Iterator that fetches items in a thread of its own, at most `depth` ahead.

    An error of the thread is raised where the items are read. `close`, also at the end of a `with`
    block, stops the thread, closes the source if it is a generator, and waits for both, so that no
    thread and no child process outlives the job. Chained prefetchers close from the last to the first.

    Args:
        items: the source.
        depth: capacity of the queue, at least 1.
        cancel: polled while waiting.
        name: of the thread, for debugging.
    """

    def __init__(self, items: Iterable[Item], depth: int, cancel: CancelToken, name: str) -> None:
        self._items = items
        self._cancel = cancel
        self._closed = threading.Event()
        self._queue: queue.Queue[Item | _End] = queue.Queue(maxsize=max(1, depth))
        self._thread = threading.Thread(target=self._fill, name=f"lipsync {name}", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while True:
            self._cancel.check()
            try:
                item = self._queue.get(timeout=CancelToken.POLL_SECONDS)
            except queue.Empty:
                if self._closed.is_set():
                    raise StopIteration from None
                continue
            if not isinstance(item, _End):
                return item
            self._closed.set()
            if item.error is not None:
                raise item.error
            raise StopIteration

    def __enter__(self) -> Prefetcher[Item]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread, close the source, and wait for both."""
        self._closed.set()
        self._thread.join()

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as caught:  # raised in the reading thread
            error = caught
        finally:
            if isinstance(self._items, (Generator, Prefetcher)):
                self._items.close()
        self._put(_End(error))

    def _put(self, item: Item | _End) -> bool:
        """Wait for a free place; False once the prefetcher is closed."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=CancelToken.POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, name: str
) -> Iterator[Result]:
    """Apply `work` to the items in several threads; results keep their order.

    At most `threads` + 1 items are in progress or waiting to be read. An error of `work` is raised
    where its result is read, after the calls in progress have finished.

    Args:
        work: called once for each item.
        items: the source, read in the calling thread.
        threads: calls at a time.
        name: of the threads, for debugging.
    """
    with ThreadPoolExecutor(threads, f"lipsync {name}") as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class StageTimer:
    """Working time of each pipeline stage, without the time it waits for others.

    Args:
        clock: returns seconds.

    Attributes:
        seconds: working time by name of the stage.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to the time of `stage`."""
        started = self._clock()
        try:
            yield
        finally:
            spent = self._clock() - started
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
