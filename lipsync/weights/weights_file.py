"""Checks of a weights file before it is read, and the errors of all readers.

Readers believe what a file says about itself: a named pipe keeps them waiting for ever, and a few
bytes may claim gigabytes. Every reader of weights goes through `check_weights_file` and
`reading_errors`.
"""

from __future__ import annotations

import pickletools
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lipsync.errors import LipsyncError, WeightsError

RETRY_HINT = "Download the file again, or choose another one."
_HEAD_BYTES = 1024
_REFUSED_GLOBALS = ("builtins bytearray", "__builtin__ bytearray", "collections Counter")
"""Names that torch lets a pickle call, that no weights need, and that fill memory out of nothing."""


def check_weights_file(path: Path) -> bytes:
    """Check that `path` is a regular file with content, and return its first 1,024 bytes.

    Raises:
        WeightsError: it is missing, a folder, a pipe or a device, unreadable, empty, a web page or a
            git-lfs pointer.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise WeightsError("A folder was given as weights", given=path, hint="Name the file in it.")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever, and a device may never end
            hint = "Save the weights as a file first."
            raise WeightsError("The weights are a pipe or a device, not a file", given=path, hint=hint)
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise WeightsError("A weights file is missing", given=path, hint="Check the path.") from error
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    _check_head(path, head)
    return head


def _check_head(path: Path, head: bytes) -> None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise WeightsError("A weights file is empty", given=path, hint=RETRY_HINT)
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            "A web page was saved instead of the weights",
            given=path,
            hint="On GitHub and Hugging Face use the link of the download button ('resolve' or 'raw', "
            "not 'blob').",
        )
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(
            "The file is only a git-lfs pointer to the weights",
            given=path,
            hint="Run 'git lfs pull' in that repository, or download the file itself.",
        )


def read_weights_bytes(path: Path) -> bytes:
    """The content of a weights file, for readers that take bytes (ONNX).

    Raises:
        WeightsError: as `check_weights_file`.
    """
    check_weights_file(path)
    with reading_errors(path):
        return path.read_bytes()


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Context that raises a `WeightsError` for whatever a reader of `path` raises.

    Raises:
        WeightsError: the file is damaged, too large for the memory, or cannot be read.
    """
    try:
        yield
    except LipsyncError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
    except MemoryError as error:
        hint = "Close other programs, or choose a smaller model."
        raise WeightsError("There is not enough memory for a weights file", given=path, hint=hint) from error
    # Readers of damaged data raise what they happen to run into: RuntimeError, KeyError, zlib.error,
    # RecursionError, StopIteration, SafetensorError and so on. Nothing else runs in such a block.
    except Exception as error:
        raise damaged(path) from error


def damaged(path: Path, found: str = "") -> WeightsError:
    """The error for a file that does not hold what its format says.

    Args:
        found: what is wrong with it, if known.
    """
    size = f"{path.stat().st_size:,} bytes"
    return WeightsError(
        "A weights file is cut off, damaged, or no weights file at all",
        given=f"{path} ({size}; {found})" if found else f"{path} ({size})",
        hint=RETRY_HINT,
    )


def unreadable(path: Path, error: Exception) -> WeightsError:
    """The error for a file that the system does not let us read."""
    why = getattr(error, "strerror", None) or error
    what = f"A weights file cannot be read ({why})"
    return WeightsError(what, given=path, hint="Check its name and permissions.")


def check_zip(path: Path, archive: zipfile.ZipFile) -> None:
    """Check that the tensors of a PyTorch archive claim no more bytes than the file has.

    torch stores them uncompressed. It maps them from the file, so that a compressed one would be taken
    for other numbers; and a compressed one may unpack to thousands of times its size.

    Raises:
        WeightsError: they are compressed, or claim more.
    """
    parts = [
        part
        for part in archive.infolist()
        if part.filename.endswith("/data.pkl") or "/data/" in part.filename
    ]
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise damaged(path, "its tensors are compressed, which PyTorch never does")
    claimed = sum(part.file_size for part in parts)
    if claimed > path.stat().st_size:
        raise damaged(path, f"its tensors claim {claimed:,} bytes")


def check_pickle(path: Path, file: IO[bytes]) -> None:
    """Check that one pickle in `file`, from the current position on, claims no more than the file has.

    Python's unpickler makes a table as long as the largest number under which a value is remembered, and
    a pickle of a few bytes may name any number.

    Raises:
        WeightsError: it claims more.
        ValueError: it is no pickle, or cut off.
    """
    size = path.stat().st_size
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > size:
            raise damaged(path, f"it claims {argument:,} values")
        if opcode.name == "GLOBAL" and argument in _REFUSED_GLOBALS:
            raise damaged(path, f"it calls {str(argument).replace(' ', '.')}")
