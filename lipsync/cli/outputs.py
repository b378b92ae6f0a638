"""Output files of commands, never replaced unasked, and results as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import cancel_on_interrupt
from lipsync.utils.atomic_write import check_not_there, check_place

JSON_HELP = "print the result as JSON; notes and progress go to the error stream"


def add_json(parser: CommandParser) -> None:
    """Add `--json`, which means the same for every command that has it."""
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def print_json(values: Any) -> None:
    """Print values as JSON; names of files that are not UTF-8 are escaped."""
    print(json.dumps(values, indent=2, ensure_ascii=False, default=str))


def add_overwrite(parser: CommandParser) -> None:
    """Add `--overwrite`."""
    parser.add_argument("--overwrite", action="store_true", help="replace output files that exist already")


def check_outputs(arguments: argparse.Namespace, *paths: Path | None) -> None:
    """Check, before any work, that files can be written, and that none is there unless `--overwrite`.

    Raises:
        OutputError: one is there, or cannot be written.
        DiskFullError: no space is left.
        Cancelled: Ctrl-C was pressed meanwhile.
    """
    with cancel_on_interrupt() as cancel:  # an interrupt between two lines would leave the file of the check
        for path in filter(None, paths):
            check_not_there(path, overwrite=arguments.overwrite)
            check_place(path)
    cancel.check()


def check_folder_output(arguments: argparse.Namespace, path: Path, codec: str) -> None:
    """As `check_outputs` for the folder of an image sequence.

    Raises:
        OutputError, DiskFullError, Cancelled: as `check_outputs`.
    """
    from lipsync.media.output_formats import check_codec
    from lipsync.media.video.image_sequence import check_folder

    check_codec(path, codec)
    check_folder(path, overwrite=arguments.overwrite)
    with cancel_on_interrupt() as cancel:
        check_place(path / "frame.png")
    cancel.check()
