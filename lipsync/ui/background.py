"""Background jobs: run in a thread, progress reports as an iterator."""

from __future__ import annotations

import queue
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.utils.malloc import release_memory

T = TypeVar("T")
_POLL_SECONDS = 0.2
_REPORT_SECONDS = 0.5
"""Time between two reports of one stage. To apply one takes a browser up to a tenth of a second, more on a
busy machine; given more than it can apply, it would fall further and further behind the run."""


@dataclass(frozen=True)
class Done(Generic[T]):
    """The last item that a job yields: its result."""

    value: T


def run_in_thread(task: Callable[[ProgressCallback], T], cancel: CancelToken) -> Iterator[Progress | Done[T]]:
    """Run `task` in a thread; yield its newest report from time to time, and the result last.

    Closing the iterator early cancels the task and waits for its end, which takes about a second. Of a task
    that has ended nothing stays in memory but its result or its error.
    """
    reports: queue.Queue[Progress] = queue.Queue()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="lipsync page") as pool:
            running = pool.submit(_without_frames, task, reports.put)
            try:
                yield from _spaced_reports(running, reports)
                yield Done(running.result())
            finally:
                if not running.done():  # the visitor has left
                    cancel.cancel()
                # The traceback of its error holds this frame, which would hold it in turn.
                del running
    finally:
        release_memory()


def _without_frames(task: Callable[[ProgressCallback], T], progress: ProgressCallback) -> T:
    """Run `task`; an error that it raises no longer holds the local variables of the task's functions.

    A decoded voice of hours is among them. The error outlives the task: the visitor's event holds it, and
    where the visitor has left, garbage that is collected much later.
    """
    try:
        return task(progress)
    except BaseException as error:
        clear_frames(error)
        raise


def clear_frames(error: BaseException) -> None:
    """Clear the local variables in the tracebacks of an error and of those that led to it."""
    seen: set[int] = set()
    following: list[BaseException | None] = [error]
    while following:
        one = following.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            traceback.clear_frames(one.__traceback__)
            following += [one.__cause__, one.__context__]


def _spaced_reports(running: Future[T], reports: queue.Queue[Progress]) -> Iterator[Progress]:
    """The newest report when a stage begins or ends, and each `_REPORT_SECONDS`, until the task has ended."""
    newest: Progress | None = None
    stage, at, ended = "", 0.0, False
    while not ended:
        ended = bool(wait([running], _POLL_SECONDS).done)  # what a quick task has told by then is shown too
        for report in _newest_reports(reports):
            if newest and report.stage != newest.stage:  # a stage is shown to its end
                yield newest
                newest = None
            preview = report.preview if report.preview is not None or newest is None else newest.preview
            newest = replace(report, preview=preview)
        if newest and (ended or newest.stage != stage or time.monotonic() - at >= _REPORT_SECONDS):
            stage, at = newest.stage, time.monotonic()
            yield newest
            newest = None


def _newest_reports(reports: queue.Queue[Progress]) -> Iterator[Progress]:
    """The newest waiting report of each stage, with the newest preview frame among them."""
    newest: Progress | None = None
    while not reports.empty():
        report = reports.get()
        if newest and report.stage != newest.stage:
            yield newest
        elif newest and report.preview is None:  # few reports carry one, so it must not be dropped
            report = replace(report, preview=newest.preview)
        newest = report
    if newest:
        yield newest
