"""Checkpoints on disk: written whole or not at all, read without trusting them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from lipsync.errors import DiskFullError, OutputError, WeightsError


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write to a neighbour first, then move it into place; what was there stays whole until then.

    Raises:
        DiskFullError: no space is left; the checkpoint before this one is still there.
        OutputError: the folder cannot be written to.
    """
    part = path.with_name(path.name + ".part")
    with explained(path):
        try:
            # Given an open file, torch passes the system's error on; given a name, it hides it.
            with part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave a new name for an empty file
            os.replace(part, path)  # noqa: PTH105 - replaces on every system, in one step
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


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


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns the system's errors in writing `path` into ours, which say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            hint = "Free some space and start again: training goes on from its last checkpoint."
            raise DiskFullError("The disk is full", given=path.parent, hint=hint) from error
        raise OutputError(
            "The training cannot write to its folder",
            given=f"{path} ({error.strerror or error})",
            hint="Make the folder writable and start again: training goes on from its last checkpoint.",
        ) from error
