"""Option groups: dataclasses whose fields are checked against their declaration."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import operator
import types
import typing
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import Any, NamedTuple

from lipsync.errors import OptionError
from lipsync.types import TimeRange
from lipsync.utils.given_values import finite_number, short_repr
from lipsync.utils.suggestions import known_hint


def option(
    default: Any,
    help: str,  # noqa: A002 - the word argparse and gradio use too
    *,
    min: float | None = None,  # noqa: A002
    max: float | None = None,  # noqa: A002
    unit: str = "",
    choices: Collection[Any] = (),
    page: str = "more",
    off: float | None = None,
    later: bool = False,
    common: bool = False,
) -> Any:
    """Dataclass field of one setting, with the metadata for the command line and the page.

    Args:
        default: default value.
        help: description for the user, one phrase.
        min, max: range of numbers, both included.
        unit: of the number.
        choices: allowed values; a registry counts as its names.
        page: its group on the page, one of `options.PAGE_GROUPS`; "" keeps it off the page, as for paths
            of files on this machine.
        off: number outside of the range that is allowed too, and stands for "not set".
        later: added after version 0.1; `repr` leaves it out at its default, so that keys of resume folders
            and caches, which are hashes of it, stay as they were.
        common: shown by `--help` of `lipsync run`; the others by `--help-all` alone.
    """
    metadata = {"help": help, "min": min, "max": max, "unit": unit, "choices": choices, "page": page}
    metadata |= {"off": off, "later": later, "common": common}
    return dataclasses.field(default=default, metadata=metadata)


class Box(NamedTuple):
    """Edges or pads in pixels, in the order of Wav2Lip's flags.

    Options take a plain tuple as well.
    """

    top: int
    bottom: int
    left: int
    right: int

    def __repr__(self) -> str:
        return repr(tuple(self))  # plain: keys of resume folders and caches are hashes of it


class OptionGroup:
    """Base class of option groups; checks the type and value of every field.

    Values of a like kind are converted: a list where a tuple is declared, text where a path is, four
    whole numbers where a `Box` is.

    Raises:
        OptionError: which setting is wrong, what was given, and what is allowed.
    """

    def __repr__(self) -> str:
        """As a dataclass, without `later` settings at their default."""
        shown = (
            f"{one.name}={getattr(self, one.name)!r}"
            for one in dataclasses.fields(self)  # type: ignore[arg-type]
            if not one.metadata.get("later") or getattr(self, one.name) != one.default
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def __post_init__(self) -> None:
        kinds = _kinds(typing.cast(Hashable, type(self)))
        for declared in dataclasses.fields(self):  # type: ignore[arg-type]
            if "help" in declared.metadata:
                given = getattr(self, declared.name)
                value = converted(declared.name, kinds[declared.name], given)
                if value is not given:
                    object.__setattr__(self, declared.name, value)
                _check(declared, value)


@functools.cache
def _kinds(group: Any) -> dict[str, Any]:
    """The declared type of every field."""
    return typing.get_type_hints(group)


def converted(name: str, kind: Any, value: Any) -> Any:
    """`value` as the declared type `kind`.

    Raises:
        OptionError: it is of another kind; names the setting or argument.
    """
    try:
        return _convert(kind, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(
            f"'{name}' is of the wrong kind", given=short_repr(value), hint=f"It takes {_described(kind)}."
        ) from error


_DESCRIPTIONS = {
    bool: "on or off (True or False)",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    Box: "four whole numbers: top, bottom, left, right",
    tuple[TimeRange, ...]: "time ranges",
    tuple[str, ...]: "names",
    tuple[Path, ...]: "paths",
    tuple[int, int]: "two whole numbers",
}


def _described(kind: Any) -> str:
    """What a setting of this type takes, for the user."""
    if kind in _DESCRIPTIONS:
        return _DESCRIPTIONS[kind]
    if kind is type(None):
        return "none"
    if typing.get_origin(kind) in _UNIONS:
        *others, last = map(_described, typing.get_args(kind))
        return f"{', '.join(others)}, or {last}"
    if typing.get_origin(kind) is tuple:
        return f"a list of {typing.get_args(kind)[0].__name__}"
    return "a function" if typing.get_origin(kind) is Callable else f"a {kind.__name__}"


_UNIONS = (typing.Union, types.UnionType)


def _convert(kind: Any, value: Any) -> Any:
    """As `converted`; a TypeError, ValueError or OverflowError where the value is of another kind."""
    if kind in _CONVERTERS:
        return _CONVERTERS[kind](value)
    if typing.get_origin(kind) in _UNIONS:
        return _alternative(typing.get_args(kind), value)
    if typing.get_origin(kind) is tuple:
        return _items(typing.get_args(kind)[0], value)
    if not (callable(value) if typing.get_origin(kind) is Callable else isinstance(value, kind)):
        raise TypeError
    return value


def _alternative(kinds: tuple[Any, ...], value: Any) -> Any:
    """The value as the first of several types that takes it."""
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if kind is not type(None):
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                return _convert(kind, value)
    raise TypeError


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)  # NumPy's integers too, but no floats


def _str(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise TypeError
    return value if isinstance(value, Path) else Path(value)


def _box(value: Any) -> Box:
    if isinstance(value, Box) and all(type(edge) is int for edge in value):
        return value
    if not isinstance(value, (tuple, list)) or len(value) != len(Box._fields):
        raise TypeError
    return Box(*map(_int, value))


def _items(kind: Any, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        raise TypeError
    items = tuple(_convert(kind, item) for item in value)
    unchanged = all(new is old for new, old in zip(items, value, strict=True))
    return value if unchanged and isinstance(value, tuple) else items


def _two_ints(value: Any) -> tuple[int, int]:
    first, second = value
    return _int(first), _int(second)


_CONVERTERS: dict[Any, Any] = {
    bool: _bool,
    int: _int,
    float: finite_number,
    str: _str,
    Path: _path,
    Box: _box,
    tuple[int, int]: _two_ints,
}


def _check(declared: dataclasses.Field[Any], value: Any) -> None:
    low, high, off = (declared.metadata[key] for key in ("min", "max", "off"))
    choices, unit = declared.metadata["choices"], declared.metadata["unit"]
    chosen = value if isinstance(value, tuple) else (value,)
    if choices and not all(one in choices for one in chosen):
        wrong = [one for one in chosen if one not in choices]
        hint = known_hint(wrong, choices, "Use one of")
        raise OptionError(f"'{declared.name}' has no such value", given=short_repr(value), hint=hint)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value == off:
        return
    if (low is not None and value < low) or (high is not None and value > high) or math.isnan(value):
        limits = "It takes a number" if low is None or high is None else f"It goes from {low} to {high}"
        raise OptionError(
            f"'{declared.name}' is out of range",
            given=short_repr(value),
            hint=f"{limits}{' ' + unit if unit else ''}{f', or is {off:g}' if off is not None else ''}.",
        )
