"""A stand-in for Hugging Face's `spaces`: its decorator runs the function in a forked process."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

import torch


class Lender(ModuleType):
    """The module `spaces`. `started` holds the processes, `asked` the seconds that were asked for."""

    def __init__(self, refuse: str = "") -> None:
        super().__init__("spaces")
        self.__spec__ = ModuleSpec("spaces", None)
        self.started: list[BaseProcess] = []
        self.asked: list[int] = []
        self.refuse = refuse

    def GPU(self, *, duration: Callable[..., int]) -> Callable[..., Any]:  # noqa: N802 - its name there
        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            def lent(*args: Any) -> None:
                self.asked.append(duration(*args))
                if self.refuse:
                    raise RuntimeError(self.refuse)
                given = pickle.dumps(args)  # what cannot cross must not pass here either
                process = multiprocessing.get_context("fork").Process(target=_work, args=(function, given))
                process.start()
                self.started.append(process)
                process.join()
                if process.exitcode:
                    raise RuntimeError("<b>GPU task aborted</b>")

            return lent

        return decorate


def _work(function: Callable[..., Any], given: bytes) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    function(*pickle.loads(given))
