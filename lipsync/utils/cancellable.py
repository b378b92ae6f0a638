"""Cancellable waiting for calls into libraries that cannot be interrupted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

from lipsync.progress import CancelToken

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


class CancellableCalls:
    """Blocking calls, one at a time, in a thread that a cancel does not wait for.

    A cancel is raised at once in the calling thread. The call that is running cannot be stopped: it
    finishes in the background and its result is dropped.

    Args:
        cancel: polled while a call runs.
        stage: name of the stage that `Cancelled` reports.
    """

    def __init__(self, cancel: CancelToken, stage: str) -> None:
        self._cancel, self._stage = cancel, stage
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lipsync call")

    def run(
        self, function: Callable[Arguments, Returned], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Returned:
        """Call `function` in the worker thread; returns its result or raises its error.

        Raises:
            Cancelled: the token was cancelled before the call returned.
        """
        future = self._pool.submit(function, *args, **kwargs)
        while not future.done():
            self._cancel.check(self._stage)
            wait([future], timeout=CancelToken.POLL_SECONDS)
        return future.result()

    def __enter__(self) -> CancellableCalls:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
