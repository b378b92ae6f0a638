"""A stand-in for Hugging Face's package `spaces`: its decorator runs a function in a forked process."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import torch


class FakeSpaces(ModuleType):
    """The module `spaces`: `started` holds the worker processes, `seconds` the requested durations."""

    def __init__(self, refuse: str = "") -> None:
        super().__init__("spaces")
        self.__spec__ = ModuleSpec("spaces", None)
        self.started: list[BaseProcess] = []
        self.seconds: list[int] = []
        self.refuse = refuse

    def GPU(self, *, duration: Callable[..., int]) -> Callable[..., Any]:  # noqa: N802 - its name there
        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any) -> None:
                self.seconds.append(duration(*args))
                if self.refuse:
                    raise RuntimeError(self.refuse)
                pickled = pickle.dumps(args)  # arguments that cannot be pickled must fail here too
                process = multiprocessing.get_context("fork").Process(target=_run, args=(function, pickled))
                process.start()
                self.started.append(process)
                process.join()
                if process.exitcode:
                    raise RuntimeError("<b>GPU task aborted</b>")

            return run

        return decorate


def _run(function: Callable[..., Any], pickled: bytes) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    function(*pickle.loads(pickled))
