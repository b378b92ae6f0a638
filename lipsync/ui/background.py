"""Background jobs: run in a thread, progress reports as an iterator."""

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
    """The last item that a job yields: its result."""

    value: T


def run_in_thread(task: Callable[[ProgressCallback], T], cancel: CancelToken) -> Iterator[Progress | Done[T]]:
    """Run `task` in a thread; yield its newest report from time to time, and the result last.

    Closing the iterator early cancels the task and waits for its end, which takes about a second.
    """
    reports: queue.Queue[Progress] = queue.Queue()
    with ThreadPoolExecutor(1, thread_name_prefix="lipsync page") as pool:
        running = pool.submit(task, reports.put)
        try:
            while not running.done():
                yield from _newest_report(reports)
            yield Done(running.result())
        finally:
            if not running.done():  # the visitor has left
                cancel.cancel()


def _newest_report(reports: queue.Queue[Progress]) -> Iterator[Progress]:
    """Wait a moment for reports and yield the newest, with the newest preview frame among them."""
    try:
        newest = reports.get(timeout=_POLL_SECONDS)
    except queue.Empty:
        return
    preview = newest.preview
    while not reports.empty():
        newest = reports.get()
        preview = preview if newest.preview is None else newest.preview
    yield replace(newest, preview=preview)  # few reports carry one, so it must not be dropped
