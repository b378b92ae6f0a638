"""Registry of named members, each imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from lipsync.errors import OptionError
from lipsync.utils.suggestions import known_hint

Member = TypeVar("Member")


class Registry(Generic[Member]):
    """Registry that maps names to classes or factories, given as "module:attribute".

    Users see and type the names. A module is imported only when its member is loaded, so settings can
    list names without importing the layers above them, and listing never loads a network.

    Args:
        kind: what the members are, for error messages ("face detector").
        members: "module:attribute" by name, in the order in which they are listed.

    >>> numbers: Registry[int] = Registry("number", {"whole": "builtins:int"})
    >>> numbers.create("whole", x="12")
    Traceback (most recent call last):
    TypeError: int() takes no keyword arguments
    >>> list(numbers), numbers.load("whole")("12")
    (['whole'], 12)
    """

    def __init__(self, kind: str, members: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._targets: dict[str, str] = {}
        for name, target in (members or {}).items():
            self.add(name, target)

    def add(self, name: str, target: str) -> None:
        """Register one member as "module:attribute".

        Raises:
            ValueError: the name is taken, or `target` is not of that form.
        """
        module, colon, attribute = target.partition(":")
        if not (module and colon and attribute):
            raise ValueError(f"{self.kind} {name!r} must be given as 'module:attribute', not {target!r}")
        if name in self._targets:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._targets[name] = target

    def remove(self, name: str) -> None:
        """Remove a member, for programs that register one temporarily."""
        del self._targets[name]

    def load(self, name: str) -> Callable[..., Member]:
        """The class or factory called `name`.

        Raises:
            OptionError: there is none of that name.
        """
        if name not in self._targets:
            hint = known_hint([name], self._targets)
            raise OptionError(f"There is no such {self.kind}", given=repr(name), hint=hint)
        module, _, attribute = self._targets[name].partition(":")
        return cast("Callable[..., Member]", getattr(importlib.import_module(module), attribute))

    def create(self, name: str, **arguments: Any) -> Member:
        """A new instance of the member called `name`.

        Raises:
            OptionError: there is none of that name.
        """
        return self.load(name)(**arguments)

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __len__(self) -> int:
        return len(self._targets)


class Choices:
    """Allowed values of a setting: fixed ones, then the current names of a registry."""

    def __init__(self, fixed: Iterable[str], registry: Registry[Any]) -> None:
        self._fixed, self._registry = tuple(fixed), registry

    def __iter__(self) -> Iterator[str]:
        yield from self._fixed
        yield from self._registry

    def __contains__(self, value: object) -> bool:
        return value in self._fixed or value in self._registry

    def __len__(self) -> int:
        return len(self._fixed) + len(self._registry)
