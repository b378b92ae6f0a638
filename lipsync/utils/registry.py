"""An explicit list of named members: one line a detector, generator, enhancer or metric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from lipsync.errors import OptionError

Member = TypeVar("Member")


class Registry(Generic[Member]):
    """Names to factories. Names are shown to users and are the values of options.

    A factory is called only when its member is asked for, so that listing members never loads
    a network or imports a heavy package.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._factories: dict[str, Callable[..., Member]] = {}

    def add(self, name: str, factory: Callable[..., Member]) -> None:
        """Register one member; a name that is taken is a programming error."""
        if name in self._factories:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._factories[name] = factory

    def create(self, name: str, **arguments: object) -> Member:
        """Make the member called `name`."""
        if name not in self._factories:
            known = ", ".join(self._factories)
            raise OptionError(f"There is no such {self.kind}", given=repr(name), hint=f"Known: {known}.")
        return self._factories[name](**arguments)

    def __iter__(self) -> Iterator[str]:
        return iter(self._factories)

    def __contains__(self, name: object) -> bool:
        return name in self._factories

    def __len__(self) -> int:
        return len(self._factories)
