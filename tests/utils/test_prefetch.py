"""Prefetching: order, bounds, errors and closing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lipsync.errors import Cancelled
from lipsync.progress import CancelToken
from lipsync.utils.prefetch import Prefetcher, StageTimer
from tests.waiting import CancelAtLook, wait_until


def counting(count: int, log: list[int] | None = None) -> Iterator[int]:
    for number in range(count):
        if log is not None:
            log.append(number)
        yield number


def test_items_arrive_whole_and_in_order() -> None:
    with Prefetcher(counting(100), 3, CancelToken(), "count") as numbers:
        assert list(numbers) == list(range(100))


def test_the_source_never_runs_further_ahead_than_the_depth() -> None:
    made: list[int] = []
    taken = 0

    def source() -> Iterator[int]:
        for number in counting(10, made):
            assert number < taken + 4 + 1  # four waiting, one in the hand
            yield number

    with Prefetcher(source(), 4, CancelToken(), "count") as numbers:
        for number in range(10):
            wait_until(lambda number=number: len(made) == min(10, number + 5))  # type: ignore[misc]
            taken += 1
            assert next(numbers) == number


def test_an_error_in_the_thread_reaches_the_reader() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken in the middle")

    with Prefetcher(failing(), 2, CancelToken(), "fail") as numbers:
        assert next(numbers) == 1
        with pytest.raises(ValueError, match="broken in the middle"):
            next(numbers)


def test_closing_early_closes_the_whole_chain() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    first = Prefetcher(source(), 2, CancelToken(), "first")
    with Prefetcher((2 * number for number in first), 2, CancelToken(), "second") as doubled:
        assert next(doubled) == 0
    first.close()
    assert closed.wait(1)
    assert not any(thread.name.startswith("lipsync") for thread in threading.enumerate())


def test_a_waiting_reader_is_cancelled() -> None:
    release = threading.Event()

    def stuck() -> Iterator[int]:
        release.wait(10)
        yield 1

    token = CancelAtLook(3)
    stage = Prefetcher(stuck(), 1, token, "stuck")
    with pytest.raises(Cancelled):
        next(stage)
    assert token.looks == 3
    release.set()
    stage.close()


def test_the_clock_adds_up_work_per_stage() -> None:
    moments = iter([0.0, 1.0, 5.0, 7.0, 8.0, 8.0])
    timer = StageTimer(lambda: next(moments))
    for stage in ("draw", "draw", "nothing"):
        with timer(stage):
            pass
    assert timer.seconds == {"draw": 3.0, "nothing": 0.0}
