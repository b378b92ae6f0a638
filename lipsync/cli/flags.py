"""Command-line flags generated from declared options."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lipsync.cli.parser import CommandParser
from lipsync.options import Box, OptionGroup, SyncOptions
from lipsync.types import TimeRange

Group = TypeVar("Group", bound=OptionGroup)
SYNC_GROUPS: tuple[OptionGroup, ...] = tuple(
    getattr(SyncOptions(), field.name) for field in dataclasses.fields(SyncOptions)
)
"""The groups of `SyncOptions` with their defaults, as `add_options` takes them."""


def add_options(parser: CommandParser, *groups: OptionGroup, brief: bool = False) -> None:
    """Add a flag for every option and a section for every group.

    Options of the same name in several groups share one flag.

    Args:
        groups: their values are the defaults.
        brief: `--help` shows only the options that are declared as common.
    """
    for group in groups:
        section = parser.add_argument_group((group.__doc__ or "").strip().splitlines()[0].rstrip("."))
        types = get_type_hints(type(group))
        for field in dataclasses.fields(group):  # type: ignore[arg-type]
            flag = "--" + field.name.replace("_", "-")
            if flag not in parser._option_string_actions:
                action = section.add_argument(
                    flag,
                    default=argparse.SUPPRESS,
                    help=_help(field, getattr(group, field.name)),
                    **_argument(field, types[field.name]),
                )
                if brief and not field.metadata["common"]:
                    parser.hide(action)


def given_options(arguments: argparse.Namespace, *groups: OptionGroup) -> dict[str, Any]:
    """Return the options of these groups that were given on the command line, by name."""
    known = {field.name for group in groups for field in dataclasses.fields(group)}  # type: ignore[arg-type]
    return {name: value for name, value in vars(arguments).items() if name in known}


def read_options(arguments: argparse.Namespace, group: Group) -> Group:
    """Return a group with the given flags applied."""
    changed: Group = dataclasses.replace(group, **given_options(arguments, group))  # type: ignore[type-var]
    return changed


def read_sync_options(arguments: argparse.Namespace) -> SyncOptions:
    """Return the settings of a run; the parser must have the flags of `SYNC_GROUPS`."""
    return SyncOptions.from_flat(**given_options(arguments, *SYNC_GROUPS))


def parse_names(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of names; empty ones are dropped."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _help(field: dataclasses.Field[Any], default: Any) -> str:
    low, high, unit = (field.metadata[key] for key in ("min", "max", "unit"))
    limits = f"{low:g} to {high:g}" if low is not None and high is not None else ""
    default = " ".join(map(str, default)) if isinstance(default, tuple) else default
    default = "none" if default in ("", None) else default
    if isinstance(field.default, tuple) and field.metadata["choices"]:
        limits = f"of {', '.join(map(str, field.metadata['choices']))}"
    notes = ", ".join(filter(None, [f"{limits} {unit}".strip(), f"default {default}"]))
    return f"{field.metadata['help']} ({notes})".replace("%", "%%")


def _argument(field: dataclasses.Field[Any], declared_type: Any) -> dict[str, Any]:
    """Keyword arguments of `add_argument` for a declared type."""
    if get_origin(declared_type) in (UnionType, typing.Union):
        declared_type = next(kind for kind in get_args(declared_type) if kind is not type(None))
    if declared_type is bool:
        return {"action": argparse.BooleanOptionalAction}
    if declared_type == tuple[TimeRange, ...]:
        return {"type": TimeRange.parse_list, "metavar": "START-END,…"}
    if declared_type == tuple[str, ...]:
        return {"type": parse_names, "metavar": "NAME,…"}
    if declared_type == tuple[int, int]:
        return {"type": int, "nargs": 2, "action": _TupleAction, "metavar": ("HEIGHT", "WIDTH")}
    if declared_type is Box:
        names = tuple(name.upper() for name in Box._fields)
        return {"type": int, "nargs": len(names), "action": _TupleAction, "metavar": names}
    if field.metadata["choices"]:
        return {"type": declared_type, "choices": field.metadata["choices"]}
    return {"type": declared_type, "metavar": declared_type.__name__.upper()}


class _TupleAction(argparse.Action):
    """Stores several numbers as a tuple, since options are frozen and hashable."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))
