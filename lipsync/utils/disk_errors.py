"""Errors of writing files: one wording for a full disk, whoever meets it."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from lipsync.errors import DiskFullError, OutputError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # no space, or none left of a quota
FULL_TEXT = r"no space left|errno 28\b|not enough space"
"""Pattern of what ffmpeg, yt-dlp and the system write to their logs then; upper and lower case mixed."""


def is_disk_full(error: OSError) -> bool:
    """Whether no space was left."""
    return error.errno in _FULL


def says_disk_full(log: str) -> bool:
    """Whether a program's log says that no space was left."""
    return re.search(FULL_TEXT, log, re.IGNORECASE) is not None


def disk_full(given: object, hint: str = "Free some space or use another disk.") -> DiskFullError:
    """The error for it; `given` is the folder, or what a program said."""
    return DiskFullError("The disk is full", given=given, hint=hint)


def write_error(
    error: OSError, path: Path, what: str = "A file cannot be written", hint: str = ""
) -> OutputError:
    """Our error for the system's in writing `path`; `what` and `hint` hold where the disk is not full."""
    if is_disk_full(error):
        return disk_full(path if path.is_dir() else path.parent)
    return OutputError(what, given=f"{path} ({error.strerror or error})", hint=hint)
