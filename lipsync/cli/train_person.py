"""Tuning to one person: lipsync train builtin --person VIDEO ..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lipsync.cli.flags import read_options
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import cancel_on_interrupt
from lipsync.cli.train_report import FigureReport, print_how_to_resume, print_outcomes, print_size
from lipsync.errors import Cancelled, OptionError
from lipsync.training import PersonOptions, PersonOutcome, tune_person
from lipsync.weights import require

_BUILTIN = "builtin"
_NOT_HELPED = 1
"""Exit status: nothing failed, but no file was written."""


def add_person_arguments(parser: CommandParser, folders: Sequence[argparse.Action]) -> None:
    """Add the flags of a tuning to one person.

    Args:
        folders: the positional arguments, which are not required with `--person`.
    """

    class Person(argparse.Action):
        """Stores the videos, and takes the command without the folders."""

        def __call__(self, _parser: Any, namespace: Any, values: Any, _flag: Any = None) -> None:
            for folder in folders:
                folder.required = False
            setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), *values])

    section = parser.add_argument_group(
        "One person", "with --person there is no SET, and RUN is OUTPUT without its ending unless it is given"
    )
    section.add_argument(
        "--person",
        type=Path,
        nargs="+",
        action=Person,
        metavar="VIDEO",
        help="videos of one person, to whom the model is tuned; half a minute or more, best two to five",
    )
    section.add_argument(
        "--from",
        dest="base",
        metavar="MODEL",
        help="model that the tuning to a person starts from: builtin (default), or a weights file",
    )


def tune_to_person(arguments: argparse.Namespace) -> int:
    """Tune the model, and print whether it helped; returns the exit status."""
    if arguments.output is None:
        raise OptionError("--person needs -o, the weights file to write")
    if arguments.run is not None:
        raise OptionError(
            "--person takes no SET", given=arguments.set, hint="Give one folder at most: that of the run."
        )
    run = arguments.set or arguments.output.with_suffix("")
    base = require(_BUILTIN) if arguments.base in (None, _BUILTIN) else Path(arguments.base)
    options = read_options(arguments, PersonOptions())
    try:
        with FigureReport({"person": options.person_steps}) as figures, cancel_on_interrupt() as cancel:
            outcome = tune_person(
                arguments.person, base, run, arguments.output, options,
                figures.of("person"), figures.progress, cancel,
            )  # fmt: skip
    except Cancelled:
        return print_how_to_resume()
    for file, why in outcome.failures.items():
        print(f"Note: nothing to learn from in {file}: {why}", file=sys.stderr)
    status = print_outcomes(run, {"person": outcome.outcome}, cancel)
    return status or _print_figures(arguments.output, outcome)


def _print_figures(output: Path, outcome: PersonOutcome) -> int:
    """Print the figures before and after, and whether the tuning helped; returns the exit status."""
    (before, before_use), (after, after_use) = outcome.before, outcome.after
    print("Mouths in the part of the videos that was held out, against the real ones:")
    print(f"{'':34}{'before':>8}{'after':>8}")
    for name, old, new, digits in (
        ("L1, of 255", 255 * before.l1, 255 * after.l1, 2),
        ("SSIM", before.ssim, after.ssim, 3),
        ("sharpness", before.sharpness, after.sharpness, 2),
        ("sharpness with another voice", before_use.sharpness, after_use.sharpness, 2),
        ("contrast with another voice", before_use.contrast, after_use.contrast, 2),
    ):
        print(f"{name:34}{old:>8.{digits}f}{new:>8.{digits}f}")
    if outcome.size:
        print("It helped.")
        print_size(output, outcome.size)
        return 0
    print(f"It did not help: keep the original. {output} was not written.")
    return _NOT_HELPED
