"""Atomic writes: a file is complete or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lipsync.errors import OutputError
from lipsync.utils.disk_errors import write_error
from lipsync.utils.file_names import numbered_name
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
    if os.path.exists(path) and not (path.is_file() or path.is_dir()):  # noqa: PTH110 - False in a loop of links
        raise OSError(None, "it is a pipe or a device, which the file would replace")
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


def check_not_there(path: Path, *, overwrite: bool = False) -> None:
    """Check that nothing is at `path` that writing there would replace, unless it may.

    Raises:
        OutputError: there is something.
    """
    if not overwrite and os.path.lexists(path):
        hint = "Choose another name, or replace it ('overwrite')."
        raise OutputError("There is a file of this name already", given=path, hint=hint)


def move_into_place(part: Path, path: Path, *, overwrite: bool) -> Path:
    """Move a finished file to its name, and return that name.

    Without `overwrite` a file that has appeared there during the work stays, and the new one gets a number.

    Raises:
        OSError: it cannot be moved.
    """
    number = 2
    free = path
    while not overwrite:
        try:
            os.link(part, free)  # fails where another process has just taken the name
            part.unlink()
            return free
        except FileExistsError:
            free, number = path.with_name(numbered_name(path.stem, number, path.suffix)), number + 1
        except OSError:  # a file system without hard links
            if not os.path.lexists(free):
                break
            free, number = path.with_name(numbered_name(path.stem, number, path.suffix)), number + 1
    part.replace(free)
    return free


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


def write_text(path: Path, text: str, *, overwrite: bool = True) -> Path:
    """Write a text file in UTF-8 atomically, and return its name; missing folders are created.

    Names of files that are not UTF-8 are escaped, in the form that JSON reads back. Without `overwrite`, see
    `move_into_place`.

    Raises:
        DiskFullError, OutputError: it cannot be written.
    """
    try:
        with working_path(path.absolute()) as part:
            part.write_text(text, "utf-8", errors="backslashreplace")
            return move_into_place(part, path, overwrite=overwrite)
    except OSError as error:
        raise write_error(error, path) from error


def move_folder_into_place(part: Path, path: Path, *, overwrite: bool) -> Path:
    """Move a finished folder to its name, and return that name; as `move_into_place`.

    A folder that is replaced goes into the one that holds `part`, and back if the move fails. An empty one
    counts as none.

    Raises:
        OSError: it cannot be moved.
    """
    free, number, old = path, 2, part.with_name("replaced")
    while True:
        with suppress(OSError):
            free.rmdir()
        if not os.path.lexists(free):
            break
        if overwrite:
            free.replace(old)
            break
        free, number = path.with_name(numbered_name(path.name, number, "")), number + 1
    try:
        part.replace(free)
    except OSError:
        if os.path.lexists(old):
            old.replace(free)
        raise
    return free
