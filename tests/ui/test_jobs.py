"""Jobs that go on without their page: turns, watching, joining."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from lipsync.errors import Cancelled
from lipsync.progress import CancelToken, Progress
from lipsync.ui.background import Done
from lipsync.ui.jobs import Lane, Report, Stopping, VisitJob, Waiting
from tests.waiting import wait_until


def test_jobs_run_in_turn_and_know_who_is_before_them() -> None:
    lane, going = Lane(), threading.Event()

    def slow() -> Iterator[Report | Done[str]]:
        yield "", Progress("Drawing", 1, 4, seconds_left=30.0)
        going.wait(30)
        yield Done("first")

    def quick() -> Iterator[Report | Done[str]]:
        yield Done("second")

    first = VisitJob(lambda: lane.in_turn(slow(), CancelToken()), CancelToken())
    assert next(first.watch()) == ("", Progress("Drawing", 1, 4, seconds_left=30.0))
    second = VisitJob(lambda: lane.in_turn(quick(), CancelToken(), 5.0), CancelToken())
    assert next(second.watch()) == Waiting(1, 30.0)
    third = lane.in_turn(quick(), CancelToken())
    assert next(third) == Waiting(2, 35.0)
    third.close()  # type: ignore[attr-defined]
    going.set()
    assert list(first.watch())[-1] == Done("first") and list(second.watch())[-1] == Done("second")
    assert len(lane) == 0


def test_a_cancel_ends_the_waiting_and_an_error_the_job() -> None:
    lane, cancel = Lane(), CancelToken()

    def fail() -> Iterator[Report | Done[str]]:
        raise ValueError("broken")
        yield Done("")

    holder = lane.in_turn(iter([("", Progress("Drawing", 0, 1))]), CancelToken())
    next(holder)
    waiting = VisitJob(lambda: lane.in_turn(iter([Done("")]), cancel), cancel)
    assert next(waiting.watch()) == Waiting(1, None)
    cancel.cancel()
    with pytest.raises(Cancelled):
        list(waiting.watch())
    holder.close()  # type: ignore[attr-defined]
    failed = VisitJob(lambda: lane.in_turn(fail(), CancelToken()), CancelToken())
    for _ in range(2):  # whoever watches is told
        with pytest.raises(ValueError, match="broken"):
            list(failed.watch())
    assert len(lane) == 0 and not failed.running


def test_who_watches_a_cancelled_job_is_told_that_it_stops_and_then_of_its_end() -> None:
    cancel, go_on = CancelToken(), threading.Event()

    def work() -> Iterator[Report | Done[str]]:
        yield "", Progress("Drawing", 1, 4)
        assert go_on.wait(20)
        yield "", Progress("Drawing", 2, 4)
        yield Done("what is made")

    watched = VisitJob(work, cancel).watch()
    assert next(watched) == ("", Progress("Drawing", 1, 4))
    cancel.cancel()
    assert next(watched) == Stopping()
    go_on.set()
    assert list(watched) == [Done("what is made")]  # no report in between


def test_a_job_goes_on_without_its_watcher_and_another_joins() -> None:
    going, told = threading.Event(), threading.Event()

    def work() -> Iterator[Report | Done[str]]:
        yield "", Progress("Drawing", 1, 2, preview=np.zeros((2, 2, 3), np.uint8))
        yield "", Progress("Drawing", 1, 2)  # the frame before is not lost
        told.set()
        going.wait(30)
        yield Done("made")

    job = VisitJob(work, CancelToken())
    assert told.wait(30)
    watcher = job.watch()
    first = next(watcher)
    assert isinstance(first, tuple) and first[1].preview is not None
    watcher.close()  # type: ignore[attr-defined]
    assert job.running
    again = job.watch()
    second = next(again)
    assert isinstance(second, tuple) and second[1].preview is None
    going.set()
    assert list(again) == [Done("made")]
    assert list(job.watch()) == [Done("made")]  # also after its end
    wait_until(lambda: not job.running)
