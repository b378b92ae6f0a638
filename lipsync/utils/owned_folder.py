"""Private folders that are swept once their process is gone.

A process that is killed cannot clean up. So what it writes before it is complete lies in a folder with a
lock file, which the system unlocks when the process ends, however it ends. Whoever can take the lock of
such a folder knows that nobody needs it any more.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".lock"
_TEMPORARY = ("lipsync-", "")
_UNLOCKED = re.compile(r"\.[0-9a-f]{16}(\.part\.\w+|\.(mp4|mov|mkv|srt|vtt|json|html|csv|png|jpe?g|webp))")
"""Names beside a result that releases without locks gave to what was not complete yet."""
_UNLOCKED_TEMPORARY = re.compile("lipsync-[a-z0-9_]{8}")
_OLD_SECONDS = 86_400.0
_BESIDE = (".", ".part")
_ATTEMPTS = 3


@contextmanager
def owned_folder(parent: Path, prefix: str = _BESIDE[0], suffix: str = _BESIDE[1]) -> Iterator[Path]:
    """New private folder in `parent`, removed at the end of the block.

    Args:
        parent: an existing folder.
        prefix, suffix: of its name; between them are 16 random hexadecimal digits.

    Raises:
        OSError: it cannot be created.
    """
    folder, lock = _create(parent, prefix, suffix)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """New private folder in the system's folder of temporary files; sweeps those of killed processes.

    Raises:
        OSError: it cannot be created.
    """
    parent = Path(tempfile.gettempdir())
    remove_abandoned(parent, *_TEMPORARY)
    _remove_empty(parent)
    with owned_folder(parent, *_TEMPORARY) as folder:
        yield folder


def remove_abandoned(parent: Path, prefix: str = _BESIDE[0], suffix: str = _BESIDE[1]) -> None:
    """Remove the owned folders in `parent` whose process is gone; errors are ignored.

    Folders of other users stay, and so do those on a disk without locks.
    """
    pattern = re.compile(re.escape(prefix) + "[0-9a-f]{16}" + re.escape(suffix))
    with suppress(OSError):
        for entry in list(os.scandir(parent)):
            if pattern.fullmatch(entry.name) and _is_own(entry):
                _remove_if_abandoned(Path(entry.path))


def remove_unlocked(parent: Path) -> None:
    """Remove what releases without locks left in `parent` when they were killed; errors are ignored.

    Only what has a name of theirs, belongs to this user and was not written to for a day: such a release
    may still be running.
    """
    with suppress(OSError):
        for entry in list(os.scandir(parent)):
            if _UNLOCKED.fullmatch(entry.name) and _is_old(entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)


def _remove_empty(parent: Path) -> None:
    """Remove the empty temporary folders of killed processes of releases without locks."""
    with suppress(OSError):
        for entry in list(os.scandir(parent)):
            if _UNLOCKED_TEMPORARY.fullmatch(entry.name) and _is_own(entry) and _is_old(entry):
                with suppress(OSError):  # not empty, and then perhaps somebody's
                    Path(entry.path).rmdir()


def _is_old(entry: os.DirEntry[str]) -> bool:
    """Whether this is a file or folder of this user that was not written to for a day; no link."""
    found = entry.stat(follow_symlinks=False)
    if entry.is_symlink() or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        return False
    return time.time() - found.st_mtime > _OLD_SECONDS


@contextmanager
def new_folders(folder: Path) -> Iterator[None]:
    """Create a folder and its missing parents; those that are empty at the end are removed again.

    Raises:
        OSError: they cannot be created.
    """
    created = [each for each in (folder, *folder.parents) if not each.exists()]  # the innermost first
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for each in created:
            with suppress(OSError):
                each.rmdir()


def _create(parent: Path, prefix: str, suffix: str) -> tuple[Path, FileLock]:
    """A new folder and its lock, taken."""
    for _ in range(_ATTEMPTS):
        folder = parent / f"{prefix}{secrets.token_hex(8)}{suffix}"
        folder.mkdir(mode=0o700)
        lock = FileLock(folder / _LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):
            continue  # another process has swept it between the two lines
        except (OSError, RuntimeError):
            return folder, lock  # a disk without locks, where nothing is swept
        if (folder / _LOCK).exists():
            return folder, lock
        lock.release()
    raise FileNotFoundError(f"{parent}: new folders vanish at once")


def _is_own(entry: os.DirEntry[str]) -> bool:
    """Whether this is a real folder of this user: a link of somebody else's may lead anywhere."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return not hasattr(os, "getuid") or entry.stat(follow_symlinks=False).st_uid == os.getuid()


def _remove_if_abandoned(folder: Path) -> None:
    lock = FileLock(folder / _LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (OSError, RuntimeError):  # in use, or a disk without locks
        return
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)
