"""Process start and end, progress bar and Ctrl-C of the command line."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from tqdm import tqdm

from lipsync.cli.process import exit_on_interrupt
from lipsync.progress import CancelToken, Progress

EXIT_ERROR = 1


@contextlib.contextmanager
def heavy_imports() -> Iterator[None]:
    """Import torch and other large packages in the block in three quarters of the time.

    Ctrl-C ends the process at once. The packages create 300 000 objects that live as long as the
    process. Without this, Python's garbage collector would traverse them a dozen times during the
    import, and again at every full collection.
    """
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
    """Progress bar per stage; silent when the output is not a terminal.

    Args:
        unit: what is counted, unless it is bytes.
    """

    def __init__(self, unit: str = "frame") -> None:
        self._unit = unit
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def update(self, progress: Progress) -> None:
        """Show a report; the progress callback of a job."""
        if progress.stage != self._stage or self._bar is None:
            self._close()
            self._stage = progress.stage
            unit, scale = ("B", True) if progress.total > 10**6 else (self._unit, False)
            self._bar = tqdm(
                total=progress.total or None,
                desc=progress.stage,
                unit=unit,
                unit_scale=scale,
                disable=None,  # no bar when the output is not a terminal
                file=sys.stderr,
            )
        self._bar.update(progress.done - self._bar.n)

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
