"""Errors of writing files, with one wording for a full disk."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from lipsync.errors import DiskFullError, OutputError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # no space left, or the quota is used up
FULL_TEXT = r"no space left|errno 28\b|not enough space"
"""Regular expression, to be matched without case, of how ffmpeg, yt-dlp and the system log a full disk."""


def is_disk_full(error: OSError) -> bool:
    """Whether the error means that no space is left."""
    return error.errno in _FULL


def says_disk_full(log: str) -> bool:
    """Whether a program's log says that no space is left."""
    return re.search(FULL_TEXT, log, re.IGNORECASE) is not None


def disk_full(given: object, hint: str = "Free some space or use another disk.") -> DiskFullError:
    """The error for a full disk.

    Args:
        given: the folder, or what a program logged.
        hint: what the user can do next.
    """
    return DiskFullError("The disk is full", given=given, hint=hint)


def write_error(
    error: OSError, path: Path, what: str = "A file cannot be written", hint: str = ""
) -> OutputError:
    """The error for an `OSError` raised while writing `path`.

    Args:
        error: the system's error.
        path: the file or folder that was being written.
        what, hint: parts of the message unless the disk is full.

    Returns:
        A `DiskFullError` if no space is left.
    """
    if is_disk_full(error):
        return disk_full(path if path.is_dir() else path.parent)
    return OutputError(what, given=f"{path} ({error.strerror or error})", hint=hint)
