"""Scheduler of a batch: assignment, retries of lost workers, progress and cancel."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from lipsync.batch.items import Outcome
from lipsync.batch.worker import Standing, Task
from lipsync.errors import Cancelled, ToolError
from lipsync.pipeline.overall import RunProgress
from lipsync.progress import CancelToken, ProgressCallback

STAGE = "Making videos"
MAX_ATTEMPTS = 3
"""Workers that may be lost over one video: it may be what ends them, for want of memory."""
MAX_FAILED_STARTS = 3
"""Workers in a row that may fail to start."""
_POLL_SECONDS = 0.2
_CANCEL_SECONDS = 20.0
"""Time for running videos to end by themselves after a cancel; loading a network cannot be interrupted."""


@dataclass(frozen=True)
class Ready:
    """A worker has started."""

    worker: int


@dataclass(frozen=True)
class Finished:
    """A worker has finished its task."""

    worker: int
    outcome: Outcome


@dataclass(frozen=True)
class Helped:
    """A worker has drawn a part of another one's video, or found that there was none."""

    worker: int


@dataclass(frozen=True)
class Lost:
    """A worker is gone, with what it was doing.

    Attributes:
        why: as the cluster puts it.
        started: whether it had started.
    """

    worker: int
    why: str
    started: bool = True


Event: TypeAlias = Ready | Finished | Helped | Lost


class WorkerPool(Protocol):
    """Workers of a cluster, by number; used from one thread."""

    def room(self) -> int:
        """How many workers fit into the cluster as it is now."""
        ...

    def start(self) -> int:
        """Start a worker, and return its number; `Ready` or `Lost` follows."""
        ...

    def assign(self, worker: int, task: Task) -> None:
        """Give a task to a worker that has none; `Finished` or `Lost` follows."""
        ...

    def help(self, worker: int, host: int) -> None:
        """Have a worker that has no task draw a part of the host's video; `Helped` or `Lost` follows."""
        ...

    def events(self, seconds: float) -> list[Event]:
        """What has happened; waits for it at most so long.

        Raises:
            ToolError: the cluster is gone.
        """
        ...

    def standings(self) -> dict[int, Standing]:
        """How far the workers with a task are, as last told."""
        ...

    def cancel(self) -> None:
        """Tell all workers to end their tasks."""
        ...

    def stop(self, worker: int) -> None:
        """End a worker at once, whatever it does."""
        ...


def make_all(
    pool: WorkerPool, tasks: Sequence[Task], progress: ProgressCallback, cancel: CancelToken
) -> Iterator[Outcome]:
    """Make all videos; yields each outcome when it is there.

    Closing the iterator cancels what runs. All workers are stopped at the end.

    Raises:
        Cancelled: the token was cancelled; what was whole by then has been yielded.
        ToolError: no worker can be started, or the cluster is gone.
    """
    run = _Run(pool, deque(tasks))
    meter = _Meter(len(tasks))
    try:
        while run.waiting or run.busy:
            if cancel.cancelled:
                yield from run.wind_down()
                raise Cancelled(STAGE)
            run.fill()
            for outcome in run.step(_POLL_SECONDS):
                meter.finished += 1
                yield outcome
            progress(meter.report(sum(run.shares())))
    finally:
        run.stop()


@dataclass(eq=False)
class _Run:
    """State of a batch: tasks that wait, and what each worker does.

    Attributes:
        workers: all that were started and not stopped.
        busy: task of each worker that has one.
        helping: workers that draw a part of another one's video.
        idle: workers that have started and have no work.
        standings: how far the videos in work are.
        attempts: workers lost over each task.
    """

    pool: WorkerPool
    waiting: deque[Task]
    workers: set[int] = field(default_factory=set)
    busy: dict[int, Task] = field(default_factory=dict)
    helping: set[int] = field(default_factory=set)
    idle: set[int] = field(default_factory=set)
    attempts: Counter[int] = field(default_factory=Counter)
    failed_starts: int = 0
    standings: dict[int, Standing] = field(default_factory=dict)

    def fill(self) -> None:
        """Give each idle worker a task, and start as many as have work and room."""
        while self.idle and self.waiting:
            worker, task = self.idle.pop(), self.waiting.popleft()
            self.busy[worker] = task
            self.pool.assign(worker, task)
        parts = {host: standing.parts for host, standing in self.standings.items() if host in self.busy}
        while self.idle and any(parts.values()):
            host, worker = max(parts, key=lambda one: parts[one]), self.idle.pop()
            parts[host] -= 1
            self.helping.add(worker)
            self.pool.help(worker, host)
        work = len(self.waiting) + len(self.busy) + len(self.helping) + sum(parts.values())
        wanted = min(self.pool.room(), work)
        while len(self.workers) < wanted:
            worker = self.pool.start()
            self.workers.add(worker)

    def step(self, seconds: float) -> list[Outcome]:
        """Wait a moment for events; the outcomes among them.

        Raises:
            ToolError: no worker can be started, or the cluster is gone.
        """
        outcomes = []
        self.standings = self.pool.standings()
        for event in self.pool.events(seconds):
            if isinstance(event, Ready):
                self.failed_starts = 0
                self.idle.add(event.worker)
            elif isinstance(event, Finished):
                if self.busy.pop(event.worker, None) is not None:
                    self.idle.add(event.worker)
                    outcomes.append(event.outcome)
            elif isinstance(event, Helped):
                self.helping.discard(event.worker)
                self.idle.add(event.worker)
            else:
                outcomes += self._lose(event)
        return outcomes

    def _lose(self, event: Lost) -> list[Outcome]:
        """Count a lost worker; its task is tried again, or given up."""
        self.idle.discard(event.worker)
        self.helping.discard(event.worker)
        self._stop(event.worker)
        if not event.started:
            self.failed_starts += 1
            if self.failed_starts >= MAX_FAILED_STARTS:
                hint = "Each machine of the cluster needs the same version of this program."
                raise ToolError("The cluster's workers do not start", given=event.why, hint=hint)
        task = self.busy.pop(event.worker, None)
        if task is None:
            return []
        self.attempts[task.number] += 1
        if self.attempts[task.number] < MAX_ATTEMPTS:
            self.waiting.appendleft(task)
            return []
        what = f"The video was given up after {MAX_ATTEMPTS} workers were lost over it"
        hint = "Perhaps their memory was full: use fewer ('workers'), or more cores for each ('worker_cpus')."
        return [Outcome(task.number, error=ToolError(what, given=event.why, hint=hint))]

    def shares(self) -> list[float]:
        """Completed shares of the videos in work."""
        return [self.standings.get(worker, Standing()).share for worker in self.busy]

    def wind_down(self) -> Iterator[Outcome]:
        """Cancel what runs, and wait for it; yields the results that became whole meanwhile."""
        self.waiting.clear()
        if not self.busy and not self.helping:
            return
        self.pool.cancel()
        deadline = time.monotonic() + _CANCEL_SECONDS
        while (self.busy or self.helping) and time.monotonic() < deadline:
            for event in self.pool.events(_POLL_SECONDS):
                if isinstance(event, Ready):
                    continue
                self.busy.pop(event.worker, None)
                self.helping.discard(event.worker)
                if isinstance(event, Finished) and event.outcome.result is not None:
                    yield event.outcome
        self.busy.clear()
        self.helping.clear()

    def stop(self) -> None:
        """End all workers; those that still have a task are cancelled first."""
        try:
            for _ in self.wind_down():
                pass
        except ToolError:  # the cluster is gone, and its workers with it
            return
        for worker in list(self.workers):
            self._stop(worker)

    def _stop(self, worker: int) -> None:
        self.workers.discard(worker)
        self.pool.stop(worker)


@dataclass(eq=False)
class _Meter:
    """Progress of a batch.

    Attributes:
        total, finished: videos.
    """

    total: int
    finished: int = 0
    start: float = field(default_factory=time.monotonic)
    highest: float = 0.0

    def report(self, running: float) -> RunProgress:
        """The report now; `running` is the sum of the shares of the videos in work."""
        self.highest = max(self.highest, (self.finished + running) / self.total)
        elapsed = time.monotonic() - self.start
        left = elapsed * (1 / self.highest - 1) if self.highest > 0 else None
        return RunProgress(STAGE, self.finished, self.total, left, unit="video", share=self.highest)
