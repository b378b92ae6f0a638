"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lipsync.errors import DiskFullError, OutputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A neighbour to write to, which takes the place of `path` when the block ends well.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    part = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        yield part
        os.replace(part, path)  # noqa: PTH105 - replaces on every system, in one step
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFullError("The disk is full", given=path.parent, hint="Free some space.") from error
        raise OutputError("A file cannot be written", given=f"{path} ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; missing folders are made.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    with atomic_write(path.absolute()) as part:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
