from __future__ import annotations

import threading

import pytest

from lipsync.errors import Cancelled
from lipsync.progress import CancelToken
from lipsync.utils.cancellable import CancellableCalls
from tests.waiting import CancelAtLook


def test_calls_give_their_answers_and_their_errors() -> None:
    with CancellableCalls(CancelToken(), "Counting") as calls:
        assert calls.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            calls.run(divmod, 7, 0)
        assert calls.run(threading.current_thread) is not threading.current_thread()


def test_a_cancel_does_not_wait_for_the_call() -> None:
    token, finished, ended = CancelAtLook(3), threading.Event(), threading.Event()

    def work() -> None:
        finished.wait(60)
        ended.set()

    with pytest.raises(Cancelled, match="Counting"), CancellableCalls(token, "Counting") as calls:
        calls.run(work)
    assert not ended.is_set()
    finished.set()
    assert ended.wait(30)  # its thread comes to its end by itself
