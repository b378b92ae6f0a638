"""Leaving a network half-way: on a CPU one face takes it several seconds, a cancel must not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from lipsync.progress import CancelToken


class CancelHook:
    """Looks at a job's cancel token before every layer of a network.

    The network may serve several jobs at once: each thread has its own token.
    """

    def __init__(self, network: nn.Module, stage: str) -> None:
        self._stage = stage
        self._running = threading.local()
        for module in network.modules():
            if next(module.children(), None) is None:
                module.register_forward_pre_hook(self._look)

    @contextmanager
    def on(self, cancel: CancelToken | None) -> Iterator[None]:
        """Within the block, calls of the network from this thread raise `Cancelled` when asked to."""
        self._running.cancel = cancel
        try:
            yield
        finally:
            self._running.cancel = None

    def _look(self, *_: object) -> None:
        cancel: CancelToken | None = getattr(self._running, "cancel", None)
        if cancel is not None:
            cancel.check(self._stage)
