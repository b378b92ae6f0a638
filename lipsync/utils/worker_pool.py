"""Process pool in which a worker that crashes or is killed fails only its own job.

With `concurrent.futures` and loky such a crash breaks the pool and fails all other jobs too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, TypeVar

from lipsync.errors import Cancelled, LipsyncError, ToolError
from lipsync.progress import CancelToken

Job = TypeVar("Job")
_SHUTDOWN_SECONDS = 5.0


def run_jobs(
    work: Callable[[Job, CancelToken], str],
    jobs: Sequence[Job],
    count: int,
    cancel: CancelToken,
) -> Generator[tuple[Job, str], None, None]:
    """Run all jobs in `count` processes, in any order.

    Args:
        work: called once for each job with a cancel token; returns why the job failed, "" if it did
            not. It and the jobs must be picklable. A process keeps its copy of `work`, with all that
            this caches, from job to job.
        jobs: what to do.
        count: processes at a time.
        cancel: polled all the time; it also cancels the token of `work`.

    Yields:
        Each job when it has ended, with the value that `work` returned, or how its process died.

    Raises:
        LipsyncError: raised by `work`; the other jobs are stopped.
        ToolError: a process could not be started.
        Cancelled: the token was cancelled.
    """
    pending = deque(jobs)
    with _Pool(work) as pool:
        while pending or pool.busy:
            while pending and len(pool.busy) < count:
                pool.submit(pending.popleft())
            cancel.check("preparing")
            for connection in wait([each.connection for each in pool.busy], CancelToken.POLL_SECONDS):
                if ended := pool.receive(connection):
                    yield ended


class _Worker:
    """Worker process, its connection, and its current job."""

    def __init__(self, work: Callable[[Any, CancelToken], str]) -> None:
        # Spawned on every system: a fork of a process that has threads may deadlock.
        context = multiprocessing.get_context("spawn")
        self.connection, remote = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, remote), daemon=True)
        self.process.start()
        remote.close()  # so that its death closes the connection
        self.started = False
        self.job: Any = None

    def exit_reason(self) -> str:
        """How the process ended, for the user."""
        self.process.join(_SHUTDOWN_SECONDS)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its process was killed by signal {-code}, perhaps for lack of memory"
        return f"its process exited with status {code}"


class _Pool:
    """Worker processes of one run; none outlives the block."""

    def __init__(self, work: Callable[[Any, CancelToken], str]) -> None:
        self._work = work
        self._idle: list[_Worker] = []
        self.busy: list[_Worker] = []

    def __enter__(self) -> _Pool:
        return self

    def submit(self, job: Any) -> None:
        """Give the job to an idle worker, or to a new one."""
        worker = self._idle.pop() if self._idle else _Worker(self._work)
        worker.job = job
        self.busy.append(worker)
        with contextlib.suppress(OSError):  # the worker has died meanwhile; `receive` finds out
            worker.connection.send(job)

    def receive(self, connection: Any) -> tuple[Any, str] | None:
        """Read one message of a worker: its job and why it failed, or None for its start.

        Raises:
            ToolError: the worker died before its first job.
            LipsyncError: raised by the job.
        """
        worker = next(each for each in self.busy if each.connection is connection)
        try:
            reply = worker.connection.recv()
        except (EOFError, OSError):
            self.busy.remove(worker)
            worker.connection.close()
            if not worker.started:
                hint = 'A program that does this must do it under `if __name__ == "__main__":`.'
                raise ToolError(
                    "A process could not be started", given=worker.exit_reason(), hint=hint
                ) from None
            return worker.job, worker.exit_reason()
        if reply is None:
            worker.started = True
            return None
        self.busy.remove(worker)
        self._idle.append(worker)
        if isinstance(reply, tuple):
            kind, what, given, hint = reply
            raise kind(what, given=given, hint=hint)
        return worker.job, reply

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in (*self._idle, *self.busy):
            worker.connection.close()
        for worker in self.busy:
            worker.process.terminate()  # arrives as a cancel, where the system has signals
        for worker in (*self._idle, *self.busy):
            worker.process.join(_SHUTDOWN_SECONDS)
            worker.process.kill()
            worker.process.join()


def _serve(work: Callable[[Any, CancelToken], str], connection: Connection) -> None:
    """Main loop of a worker process, until the pool closes the connection."""
    cancel = CancelToken()
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C reaches all processes of a terminal
        signal.signal(number, lambda *_: cancel.cancel())
    with contextlib.suppress(EOFError, ConnectionError, Cancelled):
        connection.send(None)  # started
        while True:
            job = connection.recv()
            connection.send(_reply(work, job, cancel))


def _reply(work: Callable[[Any, CancelToken], str], job: Any, cancel: CancelToken) -> object:
    try:
        return work(job, cancel)
    except Cancelled:
        raise
    except LipsyncError as error:
        return type(error), error.what, error.given, error.hint
