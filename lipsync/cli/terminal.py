"""What every command needs: flags from declared options, a quick start and end, a progress bar, Ctrl-C."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import dataclasses
import gc
import os
import signal
import sys
import typing
from collections.abc import Iterator
from types import FrameType, UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from tqdm import tqdm

from lipsync.options import Box, OptionGroup
from lipsync.progress import CancelToken, Progress
from lipsync.types import TimeRange

EXIT_ERROR, EXIT_CANCELLED = 1, 130  # 130 = 128 + SIGINT, as shells expect
Group = TypeVar("Group", bound=OptionGroup)


# --- flags ---------------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser, *groups: OptionGroup) -> None:
    """A flag for every option, a section for every group; of options named alike, one flag for both.

    Args:
        groups: with the values that hold where no flag is given.
    """
    seen: set[str] = set()
    for group in groups:
        section = parser.add_argument_group((group.__doc__ or "").strip().splitlines()[0].rstrip("."))
        types = get_type_hints(type(group))
        for field in dataclasses.fields(group):  # type: ignore[arg-type]
            if field.name not in seen:
                seen.add(field.name)
                section.add_argument(
                    "--" + field.name.replace("_", "-"),
                    default=argparse.SUPPRESS,
                    help=_help(field, getattr(group, field.name)),
                    **_flag(field, types[field.name]),
                )


def chosen_options(chosen: argparse.Namespace, *groups: OptionGroup) -> dict[str, Any]:
    """The options of these groups that were given, by name."""
    known = {field.name for group in groups for field in dataclasses.fields(group)}  # type: ignore[arg-type]
    return {name: value for name, value in vars(chosen).items() if name in known}


def read_options(chosen: argparse.Namespace, group: Group) -> Group:
    """The group with what was given, the rest as it is."""
    given: Group = dataclasses.replace(group, **chosen_options(chosen, group))  # type: ignore[type-var]
    return given


def _help(field: dataclasses.Field[Any], default: Any) -> str:
    low, high, unit = (field.metadata[key] for key in ("min", "max", "unit"))
    limits = f"{low:g} to {high:g}" if low is not None and high is not None else ""
    default = " ".join(map(str, default)) if isinstance(default, tuple) else default
    default = "none" if default in ("", None) else default
    if isinstance(field.default, tuple) and field.metadata["choices"]:
        limits = f"of {', '.join(map(str, field.metadata['choices']))}"
    notes = ", ".join(filter(None, [f"{limits} {unit}".strip(), f"default {default}"]))
    return f"{field.metadata['help']} ({notes})".replace("%", "%%")


def _flag(field: dataclasses.Field[Any], declared_type: Any) -> dict[str, Any]:
    """How argparse reads a value of this type."""
    if get_origin(declared_type) in (UnionType, typing.Union):
        declared_type = next(kind for kind in get_args(declared_type) if kind is not type(None))
    if declared_type is bool:
        return {"action": argparse.BooleanOptionalAction}
    if declared_type == tuple[TimeRange, ...]:
        return {"type": TimeRange.parse_list, "metavar": "START-END,…"}
    if declared_type == tuple[str, ...]:
        return {"type": _parse_names, "metavar": "NAME,…"}
    if declared_type == tuple[int, int]:
        return {"type": int, "nargs": 2, "action": _AsTuple, "metavar": ("HEIGHT", "WIDTH")}
    if declared_type is Box:
        names = tuple(name.upper() for name in Box._fields)
        return {"type": int, "nargs": len(names), "action": _AsTuple, "metavar": names}
    if field.metadata["choices"]:
        return {"type": declared_type, "choices": field.metadata["choices"]}
    return {"type": declared_type, "metavar": declared_type.__name__.upper()}


class _AsTuple(argparse.Action):
    """Options are frozen and hashable, so several numbers are kept as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


# --- the process ---------------------------------------------------------------------------------


@contextlib.contextmanager
def heavy_imports() -> Iterator[None]:
    """Import torch and its like in the block, once in a process, in three quarters of the time.

    They make 300 000 objects that stay as long as the process. Python would look through them for
    garbage a dozen times while they are made, and again whenever it looks through everything.
    """
    if "torch" in sys.modules:  # what is in use by now is not all there to stay
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def leave(status: int) -> NoReturn:
    """End the process at once; what was opened must be closed by now.

    Whoever asked to be told of the end is told, but the objects of torch and its like are not taken
    apart one by one, as Python would: that takes up to a second.
    """
    atexit._run_exitfuncs()
    with contextlib.suppress(Exception):  # output that cannot be written is reported below, as always
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


# --- the terminal --------------------------------------------------------------------------------


class ProgressBar:
    """A bar a stage, with the time left; quiet when the output is no terminal.

    Args:
        unit: what is counted, unless it is bytes.
    """

    def __init__(self, unit: str = "frame") -> None:
        self._unit = unit
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def update(self, progress: Progress) -> None:
        """The progress callback."""
        if progress.stage != self._stage or self._bar is None:
            self._close()
            self._stage = progress.stage
            unit, scale = ("B", True) if progress.total > 10**6 else (self._unit, False)
            self._bar = tqdm(
                total=progress.total or None,
                desc=progress.stage,
                unit=unit,
                unit_scale=scale,
                disable=None,  # no bar when the output is not a terminal
                file=sys.stderr,
            )
        self._bar.update(progress.done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextlib.contextmanager
def cancel_on_interrupt() -> Iterator[CancelToken]:
    """Turn Ctrl-C and a terminate signal into a cancel, so that everything is tidied up."""
    token = CancelToken()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        token.cancel()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
