"""Imports of large packages that go on beside other work."""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading


def import_early(*names: str) -> None:
    """Import modules in a thread, while the program does what needs none of them.

    Whoever imports one of them meanwhile waits for it. What fails is left to those: they import it again,
    and get the error. Python's garbage collector rests until then, and passes over the modules' objects
    from then on: torch alone makes 200 000 that live as long as the process.
    """
    gc.disable()
    threading.Thread(target=_import, args=names, name="imports", daemon=True).start()


def _import(*names: str) -> None:
    try:
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()
