"""Calls at a later time."""

from __future__ import annotations

import logging
import threading

import pytest

from lipsync.utils.deadlines import Deadlines
from tests.waiting import wait_until


def threads() -> int:
    return sum(one.name == "lipsync deadlines" for one in threading.enumerate())


def test_one_thread_calls_all_in_their_order_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    before, deadlines, called = threads(), Deadlines(), list[str]()

    def broken() -> None:
        raise RuntimeError("the message")

    deadlines.schedule("late", 0.4, lambda: called.append("late"))
    deadlines.schedule("never", 0.2, lambda: called.append("never"))
    deadlines.schedule("broken", 0.05, broken)
    deadlines.schedule("early", 60, lambda: called.append("replaced"))
    deadlines.schedule("early", 0.1, lambda: called.append("early"))
    assert threads() == before + 1
    deadlines.cancel("never")
    with caplog.at_level(logging.ERROR):
        wait_until(lambda: called == ["early", "late"])
    assert "the message" in caplog.text
    wait_until(lambda: threads() == before)
    deadlines.schedule("again", 0, lambda: called.append("again"))
    wait_until(lambda: called[-1] == "again")
