"""Jobs in processes of their own: one that crashes or is killed takes down nothing but its own job."""

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
_SECONDS_TO_TIDY_UP = 5.0


def run_jobs(
    work: Callable[[Job, CancelToken], str],
    jobs: Sequence[Job],
    count: int,
    cancel: CancelToken,
) -> Generator[tuple[Job, str], None, None]:
    """Do all jobs in `count` processes, in any order.

    Args:
        work: what is done for a job; it and the jobs must be picklable. Gives why the job failed,
            "" if it did not. What it keeps in itself, it keeps from job to job of a process.
        cancel: looked at all the time; the token that `work` gets is thrown with it.

    Yields:
        Each job when it has ended, with what `work` gave, or how its process died.

    Raises:
        LipsyncError: `work` raised it; the other jobs are stopped.
        ToolError: no process could be started.
        Cancelled: the token was thrown.
    """
    waiting = deque(jobs)
    with _Crew(work) as crew:
        while waiting or crew.busy:
            while waiting and len(crew.busy) < count:
                crew.give(waiting.popleft())
            cancel.check("preparing")
            for connection in wait([each.connection for each in crew.busy], CancelToken.POLL_SECONDS):
                if ended := crew.take(connection):
                    yield ended


class _Worker:
    """A process, its end of the talk, and what it is busy with."""

    def __init__(self, work: Callable[[Any, CancelToken], str]) -> None:
        # Spawned on every system: a copy of a process that has threads may stand still for ever.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that its death is heard as the end of the talk
        self.started = False
        self.job: Any = None

    def death(self) -> str:
        self.process.join(_SECONDS_TO_TIDY_UP)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its process was killed by signal {-code}, perhaps for want of memory"
        return f"its process ended by itself with status {code}"


class _Crew:
    """The workers of one run; none outlives the block."""

    def __init__(self, work: Callable[[Any, CancelToken], str]) -> None:
        self._work = work
        self._idle: list[_Worker] = []
        self.busy: list[_Worker] = []

    def __enter__(self) -> _Crew:
        return self

    def give(self, job: Any) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self._work)
        worker.job = job
        self.busy.append(worker)
        with contextlib.suppress(OSError):  # it has died meanwhile; `take` will hear of it
            worker.connection.send(job)

    def take(self, connection: Any) -> tuple[Any, str] | None:
        """What came on this connection: a job's end, a process's death, or None for its start."""
        worker = next(each for each in self.busy if each.connection is connection)
        try:
            reply = worker.connection.recv()
        except (EOFError, OSError):
            self.busy.remove(worker)
            worker.connection.close()
            if not worker.started:
                hint = 'A program that does this must do it under `if __name__ == "__main__":`.'
                raise ToolError("A process could not be started", given=worker.death(), hint=hint) from None
            return worker.job, worker.death()
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
            worker.process.terminate()  # heard as a cancel, where the system has signals
        for worker in (*self._idle, *self.busy):
            worker.process.join(_SECONDS_TO_TIDY_UP)
            worker.process.kill()
            worker.process.join()


def _serve(work: Callable[[Any, CancelToken], str], connection: Connection) -> None:
    """A worker's life: jobs come in, replies go out, until the other end is closed."""
    cancel = CancelToken()
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C reaches all processes of a terminal
        signal.signal(number, lambda *_: cancel.cancel())
    with contextlib.suppress(EOFError, ConnectionError, Cancelled):
        connection.send(None)  # it has started
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
