"""Checkpoints on disk: written whole or not at all, read without trusting them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lipsync.errors import OutputError, WeightsError
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.disk_errors import disk_full, is_disk_full, write_error

_GOES_ON = "start again: training goes on from its last checkpoint."


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write to a neighbour first, then move it into place; what was there stays whole until then.

    Raises:
        DiskFullError: no space is left; the checkpoint before this one is still there.
        OutputError: the folder cannot be written to.
    """
    # Given an open file, torch passes the system's error on; given a name, it hides it.
    with atomic_write(path, explain=run_error, durable=True) as part, part.open("wb") as file:
        torch.save(state, file)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote, onto the CPU; never runs code from the file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            "A checkpoint cannot be read", given=path, hint="Delete it to start anew."
        ) from error
    return state


def run_error(error: OSError, path: Path) -> OutputError:
    """Our error for the system's in writing `path` of a run's folder."""
    if is_disk_full(error):
        return disk_full(path.parent, f"Free some space and {_GOES_ON}")
    hint = f"Make the folder writable and {_GOES_ON}"
    return write_error(error, path, "The training cannot write to its folder", hint)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns the system's errors in writing `path` into ours, which say what to do."""
    try:
        yield
    except OSError as error:
        raise run_error(error, path) from error
