"""Other programs as subprocesses: input, time limit, cancel, errors."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Sequence

from lipsync.errors import ToolError
from lipsync.progress import CancelToken

_SHOWN = 300  # characters of what a program wrote before it failed


def run_program(
    arguments: Sequence[str], text: str = "", *, seconds: float, cancel: CancelToken, stage: str = ""
) -> str:
    """Run a program to its end, without a shell.

    It is killed when the time is over or the token is cancelled.

    Args:
        arguments: its path and arguments.
        text: its stdin, sent in UTF-8.
        seconds: time limit.
        stage: what `Cancelled` reports.

    Returns:
        Its stdout.

    Raises:
        ToolError: it cannot be started, takes too long or reports an error.
        Cancelled: the token was cancelled.
    """
    try:
        # Not by a pipe: `Popen.communicate` forgets what it has not sent when its time is over.
        with tempfile.TemporaryFile() as given:
            given.write(text.encode())
            given.seek(0)
            process = subprocess.Popen(
                list(arguments),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError as error:
        raise ToolError("A program cannot be started", given=f"{arguments[0]}: {error}") from error
    with process:
        try:
            output, errors = _communicate(process, arguments[0], seconds, cancel, stage)
        finally:
            process.kill()  # does nothing to one that has ended
    if process.returncode != 0:
        said = errors.decode("utf-8", "replace").strip()[-_SHOWN:] or f"exit status {process.returncode}"
        raise ToolError("A program failed", given=f"{arguments[0]}: {said}")
    return output.decode("utf-8", "replace")


def _communicate(
    process: subprocess.Popen[bytes],
    program: str,
    seconds: float,
    cancel: CancelToken,
    stage: str,
) -> tuple[bytes, bytes]:
    """Stdout and stderr of a process, awaited in short steps."""
    end = time.monotonic() + seconds
    while True:
        cancel.check(stage)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=CancelToken.POLL_SECONDS)
        if time.monotonic() > end:
            raise ToolError("A program took too long and was stopped", given=f"{program}, {seconds:g} s")
