"""Argument parser: short usage, help in two lengths, suggestions for typos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from lipsync.errors import LipsyncError
from lipsync.utils.setting_names import reword
from lipsync.utils.suggestions import did_you_mean


class CommandParser(argparse.ArgumentParser):
    """Parser of the program and of every command.

    `--help` leaves out the flags that `hide` names; where there are any, `--help-all` shows them too.
    The parsed arguments have an attribute `flags`: the flag, or the placeholder, by the name of the value.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._hidden: list[argparse.Action] = []

    def hide(self, action: argparse.Action) -> None:
        """Show a flag with `--help-all` alone."""
        if not self._hidden:
            self.add_argument("--help-all", action=_FullHelp, nargs=0, help="show all flags, and exit")
        self._hidden.append(action)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but words that fit nowhere are an error of the command that they stand behind."""
        words = sys.argv[1:] if args is None else list(args)
        self._check_flags(words)
        parsed, rest = super().parse_known_args(words, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(map(str, rest))}")
        if not hasattr(parsed, "flags"):  # of the innermost command
            parsed.flags = {action.dest: _shown(action) for action in reversed(self._actions)}
        return parsed, rest

    def _check_flags(self, words: Sequence[str]) -> None:
        """Report an unknown flag before anything that is missing because of it."""
        if self._subparsers is not None:  # the words are mostly of a command
            return
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        for word in words:
            if word == "--":
                return
            flag = word.partition("=")[0]
            if flag.startswith("--") and " " not in flag and not any(one.startswith(flag) for one in known):
                shown = [one for one in known if self._option_string_actions[one].help != argparse.SUPPRESS]
                self.error(
                    _sentence(f"unrecognized arguments: {flag}", did_you_mean(flag.replace("_", "-"), shown))
                )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            suggestion = did_you_mean(value, action.choices or ())
            raise argparse.ArgumentError(action, _sentence(error.message, suggestion)) from error

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except LipsyncError as error:  # of the function that reads the value, which does not know the flag
            what = f"{_shown(action)}: {error.what}"
            raise type(error)(what, given=error.given, hint=error.hint) from error

    def error(self, message: str) -> NoReturn:
        """Print the message between a short usage and where to find more; exit with status 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {message}\n`{self.prog} --help` says more.\n")

    def format_usage(self) -> str:
        """One line; the flags that may be left out are not listed."""
        self._shorten_usage()
        return super().format_usage()

    def format_help(self) -> str:
        """The help without hidden flags."""
        hidden = [(action, action.help) for action in self._hidden]
        for action, _ in hidden:
            action.help = argparse.SUPPRESS
        try:
            return self.format_full_help()
        finally:
            for action, text in hidden:
                action.help = text

    def format_full_help(self) -> str:
        """The help with all flags."""
        self._shorten_usage()
        return super().format_help()

    def _shorten_usage(self) -> None:
        needed = [action for action in self._actions if action.required or not action.option_strings]
        formatter = self._get_formatter()
        formatter._prog = f"{self.prog} [options]" if len(needed) < len(self._actions) else self.prog
        formatter.add_usage(None, needed, [], "")
        self.usage = " ".join(formatter.format_help().split()).replace("%", "%%")


class _FullHelp(argparse.Action):
    """`--help-all`."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> NoReturn:
        parser._print_message(parser.format_full_help(), sys.stdout)
        sys.exit(0)


def in_flags(text: str, flags: Mapping[str, str]) -> str:
    """A message of the core with the flags of the command in place of the names of settings."""

    def wording(name: str, value: str | None) -> str:
        flag = flags[name]
        if value in ("True", "False") and flag.startswith("--"):
            return flag if value == "True" else f"--no-{flag[2:]}"
        return flag if value is None else f"{flag} {value}"

    return reword(text, flags, wording)


def _shown(action: argparse.Action) -> str:
    """A flag in its long form, or the placeholder of a positional argument."""
    if action.option_strings:
        return max(
            action.option_strings, key=lambda flag: (flag.startswith("--"), not flag.startswith("--no-"))
        )
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()


def _sentence(message: str, more: str) -> str:
    return f"{message}. {more}" if more else message
