"""Option groups: dataclasses whose fields are checked against their declaration."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import types
import typing
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Any, NamedTuple

from lipsync.errors import OptionError
from lipsync.types import TimeRange


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
    """
    metadata = {"help": help, "min": min, "max": max, "unit": unit, "choices": choices, "page": page}
    return dataclasses.field(default=default, metadata=metadata | {"off": off})


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

    def __post_init__(self) -> None:
        kinds = _kinds(typing.cast(Hashable, type(self)))
        for declared in dataclasses.fields(self):  # type: ignore[arg-type]
            if "help" in declared.metadata:
                given = getattr(self, declared.name)
                value = _converted(declared.name, kinds[declared.name], given)
                if value is not given:
                    object.__setattr__(self, declared.name, value)
                _check(declared, value)


@functools.cache
def _kinds(group: Any) -> dict[str, tuple[Any, bool]]:
    """For every field the declared type, and whether None is allowed as well."""
    kinds = {}
    for name, kind in typing.get_type_hints(group).items():
        arguments = typing.get_args(kind)
        optional = typing.get_origin(kind) in (typing.Union, types.UnionType) and type(None) in arguments
        kinds[name] = (
            next(one for one in arguments if one is not type(None)) if optional else kind,
            optional,
        )
    return kinds


_NAMES = {
    bool: "on or off (True or False)",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    Box: "four whole numbers: top, bottom, left, right",
    tuple[TimeRange, ...]: "time ranges",
    tuple[str, ...]: "names",
    tuple[int, int]: "two whole numbers",
}


def _converted(name: str, kind: tuple[Any, bool], value: Any) -> Any:
    """`value` as the declared type.

    Raises:
        OptionError: it is of another kind.
    """
    declared, optional = kind
    if value is None and optional:
        return None
    convert = _CONVERTERS[declared]
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = _NAMES[declared] + (", or none" if optional else "")
        raise OptionError(
            f"'{name}' is of the wrong kind", given=_shortened(value), hint=f"It takes {wanted}."
        ) from error


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)  # NumPy's integers too, but no floats


def _float(value: Any) -> float:
    if isinstance(value, (bool, str, bytes)):
        raise TypeError
    number = float(value)
    if math.isinf(number):
        raise OverflowError
    plain: float = value if type(value) is int else number  # keys of resume folders tell 1 from 1.0
    return plain


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
    if not isinstance(value, (tuple, list)) or not all(isinstance(item, kind) for item in value):
        raise TypeError
    return value if isinstance(value, tuple) else tuple(value)


def _two_ints(value: Any) -> tuple[int, int]:
    first, second = value
    return _int(first), _int(second)


_CONVERTERS: dict[Any, Any] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    Path: _path,
    Box: _box,
    tuple[TimeRange, ...]: functools.partial(_items, TimeRange),
    tuple[str, ...]: functools.partial(_items, str),
    tuple[int, int]: _two_ints,
}


def _check(declared: dataclasses.Field[Any], value: Any) -> None:
    low, high, off = (declared.metadata[key] for key in ("min", "max", "off"))
    choices, unit = declared.metadata["choices"], declared.metadata["unit"]
    chosen = value if isinstance(value, tuple) else (value,)
    if choices and not all(one in choices for one in chosen):
        known = ", ".join(map(str, choices))
        raise OptionError(
            f"'{declared.name}' has no such value", given=_shortened(value), hint=f"Use one of: {known}."
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value == off:
        return
    if (low is not None and value < low) or (high is not None and value > high) or math.isnan(value):
        raise OptionError(
            f"'{declared.name}' is out of range",
            given=value,
            hint=f"It goes from {low} to {high}{' ' + unit if unit else ''}"
            f"{f', or is {off:g}' if off is not None else ''}.",
        )


def _shortened(value: Any, most: int = 100) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
