"""Atomic writes: files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lipsync.errors import OutputError
from lipsync.utils.disk_errors import write_error


@contextmanager
def atomic_write(
    path: Path, *, explain: Callable[[OSError, Path], OutputError] = write_error, durable: bool = False
) -> Iterator[Path]:
    """A neighbour to write to, which takes the place of `path` when the block ends well.

    The block makes a file of it, or a folder where there is none called `path`. On any exception
    nothing is left behind.

    Args:
        explain: our error for the system's in the block or in moving it.
        durable: a file survives a power cut: else that could leave the new name for an empty one.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    part = part_of(path)
    try:
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        remove_part(part)


def part_of(path: Path) -> Path:
    """A free name beside `path`, with its suffix, under which it can be written."""
    return path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")


def remove_part(part: Path) -> None:
    """Remove a file or folder called as `part_of` says; what is not there, or cannot go, is let be."""
    with suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove what killed processes have left half written in a folder that nobody else writes to now."""
    for part in folder.glob(".*.part*"):
        remove_part(part)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; missing folders are made.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    with atomic_write(path.absolute()) as part:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
