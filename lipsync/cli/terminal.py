"""Process start and end, progress bar and Ctrl-C of the command line."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from tqdm import tqdm

from lipsync.cli.process import exit_on_interrupt
from lipsync.progress import CancelToken, Progress
from lipsync.utils.timecodes import spoken_duration

EXIT_ERROR = 1


@contextlib.contextmanager
def heavy_imports() -> Iterator[None]:
    """Import torch and other large packages in the block in three quarters of the time.

    Ctrl-C ends the process at once. The packages create 300 000 objects that live as long as the
    process. Without this, Python's garbage collector would traverse them a dozen times during the
    import, and again at every full collection.
    """
    if not gc.isenabled():  # by `import_early`, which also enables it again
        with exit_on_interrupt():
            yield
        return
    if "torch" in sys.modules:  # the program runs already, and not all of its objects are permanent
        yield
        return
    gc.disable()
    try:
        with exit_on_interrupt():
            yield
    finally:
        gc.freeze()
        gc.enable()


def leave(status: int) -> NoReturn:
    """End the process at once; everything that was opened must be closed by now.

    Exit handlers run, but the objects of torch and other packages are not deallocated one by one, as
    Python would do: that takes up to a second.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done
    atexit._run_exitfuncs()
    with contextlib.suppress(Exception):  # output that cannot be written is reported by sys.exit below
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


class ProgressBar:
    """Progress bar per stage; without a terminal, a line every few seconds.

    Args:
        clock: monotonic time in seconds.
    """

    LINE_EVERY_SECONDS = 5.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_line = clock()
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def update(self, progress: Progress) -> None:
        """Show a report; the progress callback of a job."""
        if not sys.stderr.isatty():
            self._print_line(progress)
            return
        if progress.stage != self._stage or self._bar is None:
            self._close()
            self._stage = progress.stage
            self._bar = tqdm(
                total=progress.total or None,
                desc=progress.stage,
                unit="B" if progress.counts_bytes else progress.unit,
                unit_scale=progress.counts_bytes,
                file=sys.stderr,
            )
        self._bar.update(progress.done - self._bar.n)

    def _print_line(self, progress: Progress) -> None:
        """Print the report, unless a line was printed less than a few seconds ago."""
        now = self._clock()
        if now - self._last_line < self.LINE_EVERY_SECONDS:
            return
        self._last_line = now
        parts = [progress.stage]
        if progress.total:
            parts.append(progress.amount)
        if progress.seconds_left is not None:
            parts.append(f"about {spoken_duration(progress.seconds_left)} left")
        print(" · ".join(parts), file=sys.stderr, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextlib.contextmanager
def cancel_on_interrupt() -> Iterator[CancelToken]:
    """Turn Ctrl-C (SIGINT) and SIGTERM into a cancel, so that the job cleans up."""
    token = CancelToken()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        token.cancel()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
