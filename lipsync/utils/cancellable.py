"""Long calls into other libraries, so that a cancel need not wait for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

from lipsync.progress import CancelToken

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class CancellableCalls:
    """Runs one call after another in a thread of its own.

    A cancel is raised at once; the call that is under way, which nothing can stop, goes on to its
    end in the background and its answer is dropped.
    """

    def __init__(self, cancel: CancelToken, stage: str) -> None:
        self._cancel, self._stage = cancel, stage
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lipsync speech")

    def __call__(
        self, work: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """What `work` gives back, or its error; raises `Cancelled` when asked to stop."""
        future = self._pool.submit(work, *args, **kwargs)
        while not future.done():
            self._cancel.check(self._stage)
            wait([future], timeout=CancelToken.POLL_SECONDS)
        return future.result()

    def __enter__(self) -> CancellableCalls:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
