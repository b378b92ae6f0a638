"""Process start: standard streams, and Ctrl-C while modules load.

Imports nothing but small modules of the standard library, so that it is in force from the first moment.
"""

from __future__ import annotations

import codecs
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

EXIT_CANCELLED = 130  # 128 + SIGINT, as shells expect
_ERROR_HANDLER = "lipsync-names"


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the process at once; for blocks that only import modules.

    A `KeyboardInterrupt` there would be a traceback from deep inside, or be swallowed by a package that
    takes it for a failed import. Nothing has been opened yet, so nothing needs to be closed.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as under nohup
        yield
        return
    before = signal.signal(signal.SIGINT, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, b"Cancelled; nothing was written.\n")
    os._exit(EXIT_CANCELLED)


def prepare_streams() -> None:
    """Standard streams that can be written, whatever started the process and whatever is printed.

    A closed one (pythonw, `2>&-`) becomes the null device: otherwise the next file that is opened gets
    its number, and what a C library logs goes into that file. Names that are not UTF-8 are printed as
    their own bytes, and letters that the terminal lacks are escaped.
    """
    for number in range(3):
        _fill_descriptor(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good
    codecs.register_error(_ERROR_HANDLER, _encode_anyway)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # tests and notebooks have streams of their own
        if reconfigure and stream.errors == "strict":
            reconfigure(errors=_ERROR_HANDLER)


def _fill_descriptor(number: int) -> None:
    """Open the null device as this file descriptor if it is closed."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        else:
            os.set_inheritable(null, True)


def _encode_anyway(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)
