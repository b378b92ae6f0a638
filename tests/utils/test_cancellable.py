from __future__ import annotations

import threading
import time

import pytest

from lipsync.errors import Cancelled
from lipsync.progress import CancelToken
from lipsync.utils.cancellable import CancellableCalls


def test_calls_give_their_answers_and_their_errors() -> None:
    with CancellableCalls(CancelToken(), "Counting") as calls:
        assert calls.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            calls.run(divmod, 7, 0)
        assert calls.run(threading.current_thread) is not threading.current_thread()


def test_a_cancel_does_not_wait_for_the_call() -> None:
    token, finished, ended = CancelToken(), threading.Event(), threading.Event()

    def work() -> None:
        finished.wait(60)
        ended.set()

    threading.Timer(0.1, token.cancel).start()
    with pytest.raises(Cancelled, match="Counting"), CancellableCalls(token, "Counting") as calls:
        calls.run(work)
    assert not ended.is_set()
    finished.set()
    for _ in range(100):  # its thread comes to its end by itself
        if ended.is_set():
            break
        time.sleep(0.05)
    assert ended.is_set()
