"""Running the stages of a pipeline at the same time, with bounded queues between them."""

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
    """Put after the last item; carries the error that ended the stage, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Prefetcher(Generic[Item]):
    """Iterates over `items` in a thread of its own, at most `depth` items ahead of the reader.

    An error of the thread is raised where the items are read. `close()` (also at the end of a
    `with` block) stops the thread, closes the source if it is a generator, and waits for it, so
    that no thread and no child process outlives the job. Chains of these close from the last
    stage back to the first.
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
        """Stop the stage and wait until its thread and its source are gone."""
        self._closed.set()
        self._thread.join()

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as caught:  # handed to the reader, which raises it
            error = caught
        finally:
            if isinstance(self._items, (Generator, Prefetcher)):
                self._items.close()
        self._put(_End(error))

    def _put(self, item: Item | _End) -> bool:
        """Wait for room; False when nobody will read any more."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=CancelToken.POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], at_once: int, name: str
) -> Iterator[Result]:
    """What `work` makes of each item, in their order, in `at_once` threads; one item more is taken ahead.

    An error of `work` is raised where its result is read; what is under way then is finished first.
    """
    with ThreadPoolExecutor(at_once, f"lipsync {name}") as pool:
        under_way: deque[Future[Result]] = deque()
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) > at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


class StageTimer:
    """Adds up the seconds that each stage works; waiting for another stage does not count."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as work of `stage`."""
        started = self._clock()
        try:
            yield
        finally:
            spent = self._clock() - started
            with self._lock:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
