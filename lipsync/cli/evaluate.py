"""`lipsync evaluate`: measure a video, or compare models over a list of videos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lipsync.cli.flags import SYNC_GROUPS, add_options, parse_names, read_options, read_sync_options
from lipsync.cli.outputs import JSON_HELP, add_overwrite, check_outputs
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import heavy_imports
from lipsync.errors import InputError, OptionError
from lipsync.evaluation.options import EvaluatorOptions
from lipsync.generators import GENERATORS
from lipsync.options import ReportOptions
from lipsync.utils.suggestions import known_hint


def add_evaluate_command(parser: CommandParser) -> None:
    """Add the arguments of `evaluate`."""
    parser.add_argument(
        "input",
        type=Path,
        nargs="?",
        metavar="INPUT",
        help="a video; a table (.csv) with the columns video, voice, language, set; a file list of LRS2, "
        "LRS3, LRW or ReSyncED in the format of Wav2Lip's authors (.txt); or a folder of videos",
    )
    parser.add_argument("--reference", type=Path, metavar="VIDEO", help="compare the one video with this one")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="where the files of a list are")
    parser.add_argument("--variants", type=parse_names, metavar="NAME,…", help="models to compare")
    parser.add_argument(
        "--own-voice",
        action="store_true",
        help="with --variants and a folder: sync each video to its own voice, not to that of the next one",
    )
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="existing results to compare; may be given several times",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take only the first N pairs")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="keep results and values here, and reuse what is there"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the values of every clip")
    # Earlier releases wrote the values to a FILE behind the flag, which is still read.
    parser.add_argument("--json", nargs="?", const="", metavar="", help=JSON_HELP)
    parser.add_argument("--json-file", type=Path, metavar="FILE", help="write all values as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a web page with images and curves")
    add_overwrite(parser)
    add_options(parser, EvaluatorOptions())
    run = (group for group in SYNC_GROUPS if not isinstance(group, ReportOptions))
    add_options(parser, *run, brief=True)
    parser.set_defaults(command=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    _sort_out_json(arguments)
    if arguments.input is None:
        raise InputError(
            "There is nothing to evaluate", hint="Give a video, a list of videos or a folder: INPUT."
        )
    if not arguments.input.exists():
        hint = "Check the name and the folder."
        raise InputError("The file does not exist", given=arguments.input.absolute(), hint=hint)
    run, options = read_sync_options(arguments), read_options(arguments, EvaluatorOptions())
    for name in arguments.variants or ():
        if name not in GENERATORS:
            hint = known_hint([name], GENERATORS)
            raise OptionError("There is no such generator", given=repr(name), hint=hint)
    check_outputs(arguments, arguments.csv, arguments.json_file, arguments.html)
    with heavy_imports():
        from lipsync.cli.evaluate_videos import evaluate_videos
    return evaluate_videos(arguments, options, run)


def _sort_out_json(arguments: argparse.Namespace) -> None:
    """Tell `--json INPUT` from `INPUT --json FILE`, the form of earlier releases."""
    given, arguments.json = arguments.json, arguments.json is not None
    if not given:
        return
    if arguments.input is None:
        arguments.input = Path(given)
        return
    print("Note: --json FILE is now --json-file FILE.", file=sys.stderr)
    arguments.json, arguments.json_file = False, Path(given)
