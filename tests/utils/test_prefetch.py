"""Stages that run at the same time: order, bounds, errors and closing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from lipsync.errors import Cancelled
from lipsync.progress import CancelToken
from lipsync.utils.prefetch import Prefetcher, StageTimer
from tests.material import PROMPT_SECONDS


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
    with Prefetcher(counting(50, made), 4, CancelToken(), "count") as numbers:
        next(numbers)
        time.sleep(0.3)
        assert len(made) <= 1 + 4 + 1  # one taken, four waiting, one in the hand


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


def test_a_reader_that_waits_hears_a_cancel_within_a_second() -> None:
    release = threading.Event()

    def stuck() -> Iterator[int]:
        release.wait(10)
        yield 1

    token = CancelToken()
    stage = Prefetcher(stuck(), 1, token, "stuck")
    threading.Timer(0.2, token.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        next(stage)
    assert time.monotonic() - started < PROMPT_SECONDS
    release.set()
    stage.close()


def test_the_clock_adds_up_work_per_stage() -> None:
    clock = StageTimer()
    for _ in range(3):
        with clock("sleep"):
            time.sleep(0.01)
    with clock("nothing"):
        pass
    assert clock.seconds["sleep"] >= 0.03
    assert clock.seconds["nothing"] < clock.seconds["sleep"]
