"""`lipsync inspect`: report what is in media files, and what to expect of a sync."""

from __future__ import annotations

import argparse
from pathlib import Path

from lipsync.cli.flags import add_options, read_options
from lipsync.cli.outputs import add_json, add_overwrite, check_outputs
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import heavy_imports
from lipsync.errors import InputError
from lipsync.inspection.options import InspectOptions
from lipsync.options import DEVICES, FaceOptions, GeneratorOptions, SyncOptions, TranscriptOptions
from lipsync.utils.checked_file import checked_file


def add_inspect_command(parser: CommandParser) -> None:
    """Add the arguments of `inspect`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="video, photo or audio")
    add_json(parser)
    add_overwrite(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the reports as a web page")
    parser.add_argument("--faces-to", type=Path, metavar="FOLDER", help="write an image of each person")
    parser.add_argument("--srt", type=Path, metavar="FILE", help="write the transcript as subtitles (.srt)")
    parser.add_argument("--vtt", type=Path, metavar="FILE", help="the same as WebVTT (.vtt)")
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where the models run (default auto)"
    )
    add_options(parser, InspectOptions(), TranscriptOptions())
    add_options(parser, FaceOptions(), brief=True)
    parser.set_defaults(command=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    if len(arguments.files) > 1 and (arguments.srt or arguments.vtt):
        raise InputError(
            "Subtitles are of one file", given=f"{len(arguments.files)} files", hint="Name one file."
        )
    check_outputs(arguments, arguments.html, arguments.srt, arguments.vtt)
    if len(arguments.files) == 1:
        checked_file(arguments.files[0])
    run = SyncOptions(
        faces=read_options(arguments, FaceOptions()),
        generator=GeneratorOptions(device=arguments.device),
        transcript=read_options(arguments, TranscriptOptions()),
    )
    parts = read_options(arguments, InspectOptions())
    with heavy_imports():
        from lipsync.cli.inspect_files import inspect_files
    return inspect_files(arguments, parts, run)
