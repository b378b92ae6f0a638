"""`lipsync speakers`: who in a video speaks when."""

from __future__ import annotations

import argparse
from pathlib import Path

from lipsync.cli.outputs import add_json, add_overwrite, check_outputs, print_json
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import ProgressBar, cancel_on_interrupt, heavy_imports
from lipsync.utils.atomic_write import write_text
from lipsync.utils.checked_file import checked_file
from lipsync.utils.early_import import import_early
from lipsync.utils.timecodes import clock_time


def add_speakers_command(parser: CommandParser) -> None:
    """Add the arguments of `speakers`."""
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a video with the sound of who is in it")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="file to write as well: .txt for `lipsync run --segments`, .srt, .rttm or .json",
    )
    add_json(parser)
    add_overwrite(parser)
    parser.set_defaults(command=_speakers)


def _speakers(arguments: argparse.Namespace) -> int:
    checked_file(arguments.video)
    check_outputs(arguments, arguments.output)
    import_early("torch")
    with heavy_imports():
        from lipsync.dubbing.speakers import find_speakers
        from lipsync.dubbing.turn_formats import check_turn_suffix, format_turns, speaker_name, turn_values

    if arguments.output:
        check_turn_suffix(arguments.output)
    with cancel_on_interrupt() as cancel, ProgressBar() as bar:
        turns = find_speakers(arguments.video, progress=bar.update, cancel=cancel)
    if arguments.output:
        write_text(arguments.output, format_turns(turns, arguments.output, arguments.video))
    if arguments.json:
        print_json(turn_values(turns))
    elif not turns:
        print("There is no speech.")
    else:
        for turn in turns:
            place = "" if turn.point is None else f" at {turn.point.x:.2f},{turn.point.y:.2f}"
            times = f"{clock_time(turn.start, 2)} - {clock_time(turn.end, 2)}"
            print(f"{times}  {speaker_name(turn)}{place}  ({turn.confidence:.0%})")
    return 0
