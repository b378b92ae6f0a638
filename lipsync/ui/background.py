"""Work that takes time, done in a thread, told of as it goes on."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from lipsync.progress import CancelToken, Progress, ProgressCallback

T = TypeVar("T")
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Done(Generic[T]):
    """The last thing that work yields: what came of it."""

    value: T


def in_thread(task: Callable[[ProgressCallback], T], cancel: CancelToken) -> Iterator[Progress | Done[T]]:
    """Run `task` in a thread; yields the newest report every now and then, and last the result.

    An iterator that is closed early throws `cancel` and waits for the task to end, which then
    takes about a second.
    """
    reports: queue.Queue[Progress] = queue.Queue()
    with ThreadPoolExecutor(1, thread_name_prefix="lipsync page") as pool:
        running = pool.submit(task, reports.put)
        try:
            while not running.done():
                yield from _newest(reports)
            yield Done(running.result())
        finally:
            if not running.done():  # the visitor has gone
                cancel.cancel()


def _newest(reports: queue.Queue[Progress]) -> Iterator[Progress]:
    """Wait a little for a report, and yield the newest of those that came."""
    try:
        newest = reports.get(timeout=_POLL_SECONDS)
    except queue.Empty:
        return
    picture = newest.preview
    while not reports.empty():
        newest = reports.get()
        picture = picture if newest.preview is None else newest.preview
    yield replace(newest, preview=picture)  # few reports carry one: it must not be passed over
