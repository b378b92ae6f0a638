"""Command-line entry point: parser, dispatch to the commands, exit status."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import lipsync
from lipsync.cli.parser import CommandParser, in_flags
from lipsync.cli.process import EXIT_CANCELLED
from lipsync.cli.terminal import EXIT_ERROR, heavy_imports, leave
from lipsync.errors import Cancelled, LipsyncError


@dataclass(frozen=True)
class Command:
    """A command of the program.

    Attributes:
        name: as typed.
        help: one line in `lipsync --help`.
        target: "module:function" below `lipsync.cli`. The function adds the command's arguments to a
            parser and sets its default `command`, which takes the parsed arguments and returns the
            exit status.
    """

    name: str
    help: str
    target: str

    def load(self) -> Callable[[CommandParser], None]:
        """Import the module and return the function."""
        module, _, function = self.target.partition(":")
        add: Callable[[CommandParser], None] = getattr(
            importlib.import_module(f"lipsync.cli.{module}"), function
        )
        return add


COMMANDS = (
    Command("app", "serve the page in your browser", "app:add_app_command"),
    Command("run", "make a lip-synced video", "run:add_run_command"),
    Command(
        "preview", "draw one frame: source with face box and mask, and result", "run:add_preview_command"
    ),
    Command("batch", "make several videos with one voice, or each with its own", "batch:add_batch_command"),
    Command("weights", "list the known models, or download some", "weights:add_weights_command"),
    Command("train", "train your own model: prepare videos, train on them", "train:add_train_commands"),
    Command("evaluate", "measure the lip sync of videos or models", "evaluate:add_evaluate_command"),
    Command("inspect", "report what is in a file, and what to expect of it", "inspect:add_inspect_command"),
    Command(
        "verify",
        "tell how a file is marked as AI-made, by whom it is signed, and if it is whole",
        "signing:add_verify_command",
    ),
    Command("speakers", "tell who in a video speaks when", "speakers:add_speakers_command"),
    Command("doctor", "check this machine for what the program needs", "doctor:add_doctor_command"),
)


def program(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `main` as the whole process."""
    leave(main(arguments))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 1 after an error, 130 after a cancel."""
    flags: dict[str, str] = {}
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        parsed = parser_for(words).parse_args(words)
        flags = parsed.flags
        status: int = parsed.command(parsed)
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return EXIT_CANCELLED
    except Cancelled as cancelled:
        print(f"Cancelled; {cancelled.kept or 'nothing was written.'}", file=sys.stderr)
        return EXIT_CANCELLED
    except LipsyncError as error:
        text = error.worded(lambda part: in_flags(part, flags))
        print(f"Error: {text} {error.kept}".rstrip(), file=sys.stderr)
        return EXIT_ERROR
    return status


def parser_for(words: Sequence[str]) -> CommandParser:
    """Make the argument parser; only the command that `words` begin with has its arguments."""
    parser = CommandParser(prog="lipsync", description=lipsync.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=lipsync.__version__)
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help)
        if words[:1] == [command.name]:  # only this one: the packages of training take seconds to import
            with heavy_imports():
                add_arguments = command.load()
            add_arguments(subparser)
    return parser


if __name__ == "__main__":
    program()
