"""Atomic writes: a file is complete or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lipsync.errors import OutputError
from lipsync.utils.disk_errors import write_error
from lipsync.utils.owned_folder import new_folders, owned_folder


@contextmanager
def atomic_write(
    path: Path, *, explain: Callable[[OSError, Path], OutputError] = write_error, durable: bool = False
) -> Iterator[Path]:
    """Temporary path, renamed to `path` when the block ends without an exception.

    It is on the same disk. The block creates a file there, or a folder if there is none at `path` yet.
    Missing folders are created. On any exception nothing is left behind.

    Args:
        path: the file or folder to write.
        explain: makes the error to raise for an `OSError` of the block or of the rename.
        durable: flush the file to disk first; otherwise a power failure may leave an empty file.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    try:
        with working_path(path) as part:
            yield part
            if durable:
                with part.open("rb+") as file:
                    os.fsync(file.fileno())
            part.replace(path)
    except OSError as error:
        raise explain(error, path) from error


@contextmanager
def working_path(path: Path) -> Iterator[Path]:
    """Unused path with the suffix of `path`, in a folder beside it that is removed at the end.

    Raises:
        OSError: no file of this name can be written there.
    """
    with suppress(FileNotFoundError):
        path.lstat()  # refuses names that the disk cannot hold: too long, or with letters it lacks
    with new_folders(path.parent), owned_folder(path.parent) as folder:
        yield folder / f"new.part{path.suffix}"


def check_place(path: Path, *, explain: Callable[[OSError, Path], OutputError] = write_error) -> None:
    """Check that a file can be written, by writing one beside it; for results that come much later.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        with working_path(path.absolute()) as part:
            part.touch()
    except OSError as error:
        raise explain(error, path) from error


def remove_parts(folder: Path) -> None:
    """Remove temporary files of killed processes, also of earlier versions, from a folder.

    No other process may be writing to it.
    """
    for part in folder.glob(".*.part*"):
        with suppress(OSError):
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically; missing folders are created.

    Names of files that are not UTF-8 are escaped, in the form that JSON reads back.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    with atomic_write(path.absolute()) as part:
        part.write_text(text, "utf-8", errors="backslashreplace")
