"""Cancellation inside a network's forward pass, which may take seconds on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from lipsync.progress import CancelToken


class CancelHook:
    """Forward pre-hooks that check a job's cancel token before every layer.

    The network may serve several jobs at once: each thread has its own token.

    Args:
        network: gets a hook on each layer without children.
        stage: named in the error.
    """

    def __init__(self, network: nn.Module, stage: str) -> None:
        self._stage = stage
        self._local = threading.local()
        for module in network.modules():
            if next(module.children(), None) is None:
                module.register_forward_pre_hook(self._check)

    @contextmanager
    def on(self, cancel: CancelToken | None) -> Iterator[None]:
        """In the block, this thread's calls of the network raise `Cancelled` on a cancel."""
        self._local.cancel = cancel
        try:
            yield
        finally:
            self._local.cancel = None

    def _check(self, *_: object) -> None:
        cancel: CancelToken | None = getattr(self._local, "cancel", None)
        if cancel is not None:
            cancel.check(self._stage)
