"""The command line: python -m lipsync run | preview | weights | doctor."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tqdm import tqdm

import lipsync
from lipsync.data_types import SyncResult, TimeRange
from lipsync.errors import Cancelled, LipsyncError
from lipsync.options import SyncOptions, declared_options
from lipsync.progress import CancelToken, Progress

EXIT_ERROR, EXIT_CANCELLED = 1, 130  # 130 = 128 + SIGINT, as shells expect


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        chosen = _parser().parse_args(arguments)
        status: int = chosen.command(chosen)
    except Cancelled:
        print("Cancelled; nothing was written.", file=sys.stderr)
        return EXIT_CANCELLED
    except LipsyncError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_ERROR
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lipsync", description=lipsync.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=lipsync.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="make a lip-synced video")
    _add_inputs(run)
    run.add_argument("-o", "--output", type=Path, help="file to write (default: a new name beside VIDEO)")
    run.add_argument("--json", action="store_true", help="print the result as JSON")
    _add_options(run)
    run.set_defaults(command=_run)

    preview = commands.add_parser("preview", help="draw one frame: source with box and mask, and result")
    _add_inputs(preview)
    preview.add_argument("-o", "--output", type=Path, required=True, help="picture to write (.png, .jpg)")
    preview.add_argument("--at", type=float, default=0.0, help="time in the result (s)")
    _add_options(preview)
    preview.set_defaults(command=_preview)

    weights = commands.add_parser("weights", help="list the known models, or fetch some")
    weights.add_argument("names", nargs="*", metavar="NAME", help="models to fetch; none lists them")
    weights.set_defaults(command=_weights)

    doctor = commands.add_parser("doctor", help="look at what this machine has and lacks")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", type=Path, help="video or photo")
    parser.add_argument("voice", type=Path, help="sound file, or a video whose sound is used")


# --- settings: flags are made from the declarations in options.py -------------------------------


def _add_options(parser: argparse.ArgumentParser) -> None:
    groups = SyncOptions()
    for group_name, field in declared_options():
        group = type(getattr(groups, group_name))
        title = (group.__doc__ or "").strip().rstrip(".")
        section = next((s for s in parser._action_groups if s.title == title), None)
        section = section or parser.add_argument_group(title)
        section.add_argument(
            "--" + field.name.replace("_", "-"),
            default=argparse.SUPPRESS,
            help=_help(field),
            **_flag(field, get_type_hints(group)[field.name]),
        )


def _help(field: dataclasses.Field[Any]) -> str:
    low, high, unit = (field.metadata[key] for key in ("min", "max", "unit"))
    limits = f"{low:g} to {high:g}" if low is not None and high is not None else ""
    default = field.default if field.default not in ((), None) else "none"
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
    if get_origin(declared_type) is tuple:
        return {"type": int, "nargs": 4, "action": _AsTuple, "metavar": ("TOP", "BOTTOM", "LEFT", "RIGHT")}
    if field.metadata["choices"]:
        return {"type": declared_type, "choices": field.metadata["choices"]}
    return {"type": declared_type, "metavar": declared_type.__name__.upper()}


class _AsTuple(argparse.Action):
    """Options are frozen and hashable, so four numbers are kept as a tuple."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


def _options(chosen: argparse.Namespace) -> SyncOptions:
    known = {field.name for _, field in declared_options()}
    return SyncOptions.from_flat(**{name: value for name, value in vars(chosen).items() if name in known})


# --- commands ------------------------------------------------------------------------------------


def _run(chosen: argparse.Namespace) -> int:
    with _cancel_on_interrupt() as cancel, _ProgressBar() as bar:
        result = lipsync.sync(
            chosen.video, chosen.voice, _options(chosen), bar.update, cancel, output=chosen.output
        )
    for warning in result.warnings:
        print(f"Note: {warning}", file=sys.stderr)
    print(_as_json(result) if chosen.json else _in_words(result))
    return 0


def _in_words(result: SyncResult) -> str:
    total = result.timings["total"]
    return (
        f"{result.path}\n{result.duration:.2f} s of {result.width}x{result.height} at "
        f"{float(result.fps):g} frames/s, {result.frames_synced} of {result.frames} frames synced by "
        f"{result.variant} in {total:.1f} s ({result.frames / total:.1f} frames/s)"
    )


def _as_json(result: SyncResult) -> str:
    values = dataclasses.asdict(result) | {
        "path": str(result.path),
        "fps": str(result.fps),
        "duration": result.duration,
    }
    return json.dumps(values, indent=2)


def _preview(chosen: argparse.Namespace) -> int:
    from lipsync.blending import preview_sheet
    from lipsync.media import write_picture

    with _cancel_on_interrupt() as cancel, _ProgressBar() as bar:
        drawn = lipsync.preview(chosen.video, chosen.voice, chosen.at, _options(chosen), bar.update, cancel)
    write_picture(chosen.output, preview_sheet(drawn))
    if drawn.box is None:
        print("Note: there is no face to use at that time; the frame passes through.", file=sys.stderr)
    print(chosen.output)
    return 0


def _weights(chosen: argparse.Namespace) -> int:
    from lipsync.weights import CATALOGUE, find, require

    for name in chosen.names:
        with _cancel_on_interrupt() as cancel, _ProgressBar() as bar:
            print(require(name, progress=bar.update, cancel=cancel))
    if not chosen.names:
        for entry in CATALOGUE.values():
            here = find(entry.name)
            print(f"{entry.name}: {entry.what}")
            print(f"    {here or f'not here, {entry.bytes / 1e6:.0f} MB, from {entry.source}'}")
            print(f"    licence: {entry.licence}")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from lipsync.doctor import examine

    signs = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}
    findings = examine()
    for finding in findings:
        print(f"{signs[finding.state]} {finding.name}: {finding.found}")
        if finding.advice:
            print(f"        {finding.advice}")
    return EXIT_ERROR if any(finding.state == "missing" for finding in findings) else 0


# --- the terminal --------------------------------------------------------------------------------


class _ProgressBar:
    """A bar a stage, with the time left; quiet when the output is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __enter__(self) -> _ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def update(self, progress: Progress) -> None:
        """The progress callback."""
        if progress.stage != self._stage or self._bar is None:
            self._close()
            self._stage = progress.stage
            unit, scale = ("B", True) if progress.total > 10**6 else ("frame", False)
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


@contextmanager
def _cancel_on_interrupt() -> Iterator[CancelToken]:
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


if __name__ == "__main__":
    sys.exit(main())
