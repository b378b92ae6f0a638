"""Which worker makes what: retries, workers that do not start, cancel. Without Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lipsync.batch import scheduler
from lipsync.batch.items import BatchItem, Outcome
from lipsync.batch.scheduler import Event, Finished, Helped, Lost, Ready, make_all
from lipsync.batch.worker import Standing, Task
from lipsync.errors import Cancelled, InputError, ToolError
from lipsync.progress import CancelToken, Progress
from tests.batch.results import made


@dataclass
class Pool:
    """Workers that answer at once.

    Attributes:
        answer: what becomes of a task that a worker has got.
        fits: workers that there is room for.
        log: what was asked, in order.
    """

    answer: Callable[[int, Task], Event | None]
    fits: int = 2
    starts: Callable[[int], Event] = Ready
    waiting: list[Event] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    most: int = 0
    cancelled: bool = False
    assigned: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0
    parts: int = 0
    helped: list[tuple[int, int]] = field(default_factory=list)

    def room(self) -> int:
        return self.fits

    def start(self) -> int:
        number, self.count = self.count, self.count + 1
        self.running.add(number)
        self.most = max(self.most, len(self.running))
        self.waiting.append(self.starts(number))
        return number

    def assign(self, worker: int, task: Task) -> None:
        self.assigned.append((worker, task.number))
        event = self.answer(worker, task)
        if event is not None:
            self.waiting.append(event)

    def events(self, seconds: float) -> list[Event]:
        events, self.waiting = self.waiting, []
        return events

    def standings(self) -> dict[int, Standing]:
        return {worker: Standing(0.5, self.parts) for worker in self.running}

    def help(self, worker: int, host: int) -> None:
        self.helped.append((worker, host))
        self.parts -= 1
        self.waiting.append(Helped(worker))

    def cancel(self) -> None:
        self.cancelled = True

    def stop(self, worker: int) -> None:
        self.running.discard(worker)


def tasks(count: int) -> list[Task]:
    item = BatchItem(Path("video"), Path("voice"), Path("out"))
    return [Task(number, item, ()) for number in range(count)]


def well(worker: int, task: Task) -> Event:
    return Finished(worker, Outcome(task.number, made(Path("out"))))


def test_each_item_is_made_once_by_no_more_workers_than_fit_or_have_work() -> None:
    pool, reports = Pool(well), list[Progress]()
    outcomes = list(make_all(pool, tasks(5), reports.append, CancelToken()))
    assert sorted(one.number for one in outcomes) == [0, 1, 2, 3, 4]
    assert pool.most == 2 and not pool.running
    shares = [report.fraction for report in reports]
    assert shares == sorted(shares) and shares[-1] == 1
    assert (reports[-1].amount, reports[-1].seconds_left) == ("5 of 5 videos", 0)
    lonely = Pool(well, fits=50)
    list(make_all(lonely, tasks(3), reports.append, CancelToken()))
    assert lonely.most == 3


def test_an_item_that_fails_does_not_stop_the_others() -> None:
    def answer(worker: int, task: Task) -> Event:
        if task.number == 1:
            return Finished(worker, Outcome(1, error=InputError("broken")))
        return well(worker, task)

    outcomes = list(make_all(Pool(answer), tasks(3), lambda _: None, CancelToken()))
    assert {one.number: one.result is not None for one in outcomes} == {0: True, 1: False, 2: True}


def test_what_a_lost_worker_was_doing_is_done_by_another() -> None:
    def answer(worker: int, task: Task) -> Event:
        return Lost(worker, "killed") if worker == 0 else well(worker, task)

    pool = Pool(answer)
    outcomes = list(make_all(pool, tasks(4), lambda _: None, CancelToken()))
    assert sorted(one.number for one in outcomes if one.result) == [0, 1, 2, 3]
    assert pool.count == 3  # one more takes the place of the lost one


def test_a_video_that_ends_every_worker_is_given_up_and_the_others_are_made() -> None:
    def answer(worker: int, task: Task) -> Event:
        return Lost(worker, "out of memory") if task.number == 1 else well(worker, task)

    outcomes = {one.number: one for one in make_all(Pool(answer), tasks(3), lambda _: None, CancelToken())}
    assert len(outcomes) == 3 and outcomes[0].result and outcomes[2].result
    error = outcomes[1].error
    assert isinstance(error, ToolError) and "3 workers were lost" in error.what
    assert error.given == "out of memory" and "'workers'" in error.hint


def test_workers_that_do_not_start_end_the_batch_with_the_reason() -> None:
    pool = Pool(well, starts=lambda worker: Lost(worker, "No module named 'lipsync'", started=False))
    with pytest.raises(ToolError, match="do not start: No module named 'lipsync'"):
        list(make_all(pool, tasks(9), lambda _: None, CancelToken()))
    assert pool.count <= scheduler.MAX_FAILED_STARTS + 1 and not pool.running


def test_a_cancel_tells_the_workers_and_keeps_what_became_whole_meanwhile() -> None:
    cancel = CancelToken()

    class Slow(Pool):
        def cancel(self) -> None:
            super().cancel()
            self.waiting.append(Finished(0, Outcome(self.assigned[0][1], error=Cancelled())))
            self.waiting.append(Finished(1, Outcome(self.assigned[1][1], made(Path("out")))))

    def answer(worker: int, task: Task) -> None:
        if worker == 1:
            cancel.cancel()

    pool, outcomes = Slow(answer), list[Outcome]()
    with pytest.raises(Cancelled):
        for one in make_all(pool, tasks(5), lambda _: None, cancel):
            outcomes.append(one)
    assert [one.result is not None for one in outcomes] == [True]
    assert pool.cancelled and not pool.running and len(pool.assigned) == 2


def test_workers_that_do_not_heed_a_cancel_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_CANCEL_SECONDS", 0.05)
    cancel = CancelToken()
    pool = Pool(lambda *_: cancel.cancel())
    with pytest.raises(Cancelled):
        list(make_all(pool, tasks(2), lambda _: None, cancel))
    assert pool.cancelled and not pool.running


def test_who_stops_listening_cancels_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_CANCEL_SECONDS", 0.05)
    pool = Pool(lambda worker, task: well(worker, task) if task.number == 0 else None)
    outcomes = make_all(pool, tasks(4), lambda _: None, CancelToken())
    assert next(outcomes).number == 0
    outcomes.close()
    assert pool.cancelled and not pool.running


def test_workers_without_a_video_of_their_own_draw_parts_of_others() -> None:
    """Also those that are started for that; and parts come after whole videos."""

    class Long(Pool):
        def help(self, worker: int, host: int) -> None:
            super().help(worker, host)
            if not self.parts:
                self.waiting.append(Finished(host, Outcome(0, made(Path("out")))))

    pool = Long(lambda *_: None, fits=3, parts=4)
    [outcome] = make_all(pool, tasks(1), lambda _: None, CancelToken())
    assert outcome.result and pool.count == 3 and not pool.running
    host = pool.assigned[0][0]
    assert len(pool.helped) == 4 and {one for _, one in pool.helped} == {host}
    assert host not in {worker for worker, _ in pool.helped}
