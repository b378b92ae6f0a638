"""Atomic writes: a file is complete or absent."""

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
    """Temporary path, renamed to `path` when the block ends without an exception.

    It is in the same folder. The block creates a file there, or a folder if there is none at `path`
    yet. On any exception nothing is left behind.

    Args:
        path: the file or folder to write.
        explain: makes the error to raise for an `OSError` of the block or of the rename.
        durable: flush the file to disk first; otherwise a power failure may leave an empty file.

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
    """An unused temporary path in the folder of `path`, with the same suffix."""
    return path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")


def remove_part(part: Path) -> None:
    """Remove a temporary file or folder of `part_of`, ignoring errors."""
    with suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove temporary files of killed processes from a folder.

    No other process may be writing to it.
    """
    for part in folder.glob(".*.part*"):
        remove_part(part)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically; missing folders are created.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    with atomic_write(path.absolute()) as part:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
