"""Flags and values of earlier releases, kept working but out of the help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from lipsync.cli.flags import parse_names
from lipsync.cli.parser import CommandParser
from lipsync.options import OptionGroup


def add_deprecated_flags(parser: CommandParser, group: OptionGroup, renamed: Mapping[str, str]) -> None:
    """Add hidden flags for the old names of options.

    They set the option and print its name of today on the error stream.

    Args:
        group: has the options that replaced them, with defaults of their type.
        renamed: today's names of options by their old ones.
    """
    for old, new in renamed.items():
        kind = type(getattr(group, new))
        flag = old.replace("_", "-")
        hidden: dict[str, Any] = {"dest": new, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        if kind is bool:
            parser.add_argument(f"--{flag}", action=_DeprecatedFlag, nargs=0, const=True, **hidden)
            parser.add_argument(f"--no-{flag}", action=_DeprecatedFlag, nargs=0, const=False, **hidden)
        else:
            parse = parse_names if kind is tuple else kind
            parser.add_argument(f"--{flag}", action=_DeprecatedFlag, type=parse, **hidden)


class _DeprecatedFlag(argparse.Action):
    """Stores the value under the new name and says what that is."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        negation = "no-" if self.const is False else ""
        successor = f"--{negation}{self.dest.replace('_', '-')}"
        print(f"Note: {option_string} is now {successor}.", file=sys.stderr)
        setattr(namespace, self.dest, values if self.const is None else self.const)
