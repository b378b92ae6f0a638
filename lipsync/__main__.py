"""Entry point of `python -m lipsync` and of the installed command `lipsync`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from lipsync.cli.process import exit_on_interrupt, prepare_streams


def program(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command as the whole process; without `arguments` those of `sys.argv`."""
    prepare_streams()
    with exit_on_interrupt():
        from lipsync.cli.main import program as run
    run(arguments)


if __name__ == "__main__":
    program()
