"""Jobs of the page in threads."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import pytest

from lipsync.errors import Cancelled, MediaError
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.ui.background import Done, run_in_thread


class Voice:
    """Stands for hours of decoded audio."""

    def __init__(self) -> None:
        self.samples = np.zeros(10)


def test_progress_then_the_result() -> None:
    def task(progress: ProgressCallback) -> int:
        progress(Progress("Working", 1, 2))
        return 7

    *_, last = run_in_thread(task, CancelToken())
    assert last == Done(7)


def test_a_stage_begins_at_once_and_its_reports_are_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipsync.ui.background._POLL_SECONDS", 0.01)
    monkeypatch.setattr("lipsync.ui.background._REPORT_SECONDS", 60)

    def task(progress: ProgressCallback) -> None:
        for stage in ("Finding faces", "Drawing lips"):
            for done in range(5):
                progress(Progress(stage, done, 5))
                threading.Event().wait(0.1)

    told = [one for one in run_in_thread(task, CancelToken()) if isinstance(one, Progress)]
    assert [(one.stage, one.done) for one in told if one.stage == "Finding faces"][-1] == ("Finding faces", 4)
    assert len(told) <= 4
    assert told[-1].stage == "Drawing lips"


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without the garbage collector, what a job leaves in circles stays for everyone to see."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_a_failed_job_leaves_nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipsync.ui.background.release_memory", lambda: None)
    held: list[weakref.ref[Voice]] = []

    def inner(voice: Voice) -> NoReturn:
        try:
            raise OSError("the cause")
        except OSError as error:
            raise MediaError("the voice is damaged") from error

    def task(_: ProgressCallback) -> None:
        voice = Voice()
        held.append(weakref.ref(voice))
        inner(voice)

    with pytest.raises(MediaError) as raised:
        list(run_in_thread(task, CancelToken()))
    assert held[0]() is None  # though the error, its cause and both tracebacks are still here
    assert isinstance(raised.value.__cause__, OSError)


@pytest.mark.usefixtures("uncollected")
def test_a_visitor_who_leaves_leaves_nothing_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipsync.ui.background.release_memory", lambda: None)
    cancel, started = CancelToken(), threading.Event()
    held: list[weakref.ref[Voice]] = []
    caught: list[BaseException] = []

    def task(progress: ProgressCallback) -> None:
        voice = Voice()
        held.append(weakref.ref(voice))
        started.set()
        progress(Progress("Working", 1, 2))
        while not cancel.cancelled:
            threading.Event().wait(0.01)
        try:
            cancel.check()
        except Cancelled as error:
            caught.append(error)  # something else may hold the error for long
            raise

    job = run_in_thread(task, cancel)
    next(job)
    assert started.is_set()
    job.close()
    assert cancel.cancelled
    assert caught
    assert held[0]() is None
