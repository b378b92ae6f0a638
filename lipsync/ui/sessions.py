"""What belongs to one visitor: a folder, and a cancel token for each kind of work. Sessions never meet.

A visitor who leaves stops what runs for them at once; their files, uploads included, go a little
later, so that a connection that was lost for a moment loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lipsync.faces import DetectionCache
from lipsync.progress import CancelToken

GRACE_SECONDS = 120.0
"""How long a visitor's files outlive the visit."""
STALE_SECONDS = 86_400.0
"""Who was not heard of for so long has left; folders of an ended server are removed then as well."""
_PREFIX = "visits-"
_FACES_BYTES = 50_000_000


class Session:
    """One visitor's folder and running work.

    Attributes:
        folder: theirs alone; nobody can guess its name.
        uploads: files outside of it that they brought.
        seen: when they were last heard of, as `time.time`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads: set[Path] = set()
        self._tokens: dict[str, CancelToken] = {}
        self.seen = time.time()
        self._lock = threading.Lock()

    def begin(self, kind: str) -> CancelToken:
        """A token for new work of this kind; what still runs of the kind is cancelled."""
        with self._lock:
            if kind in self._tokens:
                self._tokens[kind].cancel()
            self._tokens[kind] = CancelToken()
            return self._tokens[kind]

    def cancel(self, *kinds: str) -> None:
        """Stop work of these kinds, or all of it when none is named."""
        with self._lock:
            for kind, token in self._tokens.items():
                if not kinds or kind in kinds:
                    token.cancel()

    def place(self, name: str = "") -> Path:
        """A new empty folder for the files of one piece of work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    @property
    def faces(self) -> DetectionCache:
        """Where faces were seen in this visitor's pictures; never shared, since it shows who they are."""
        return DetectionCache(self.folder / "faces", limit_bytes=_FACES_BYTES)

    def only(self, name: str, kept: Path) -> None:
        """Remove the folders of earlier work called `name`."""
        for folder in self.folder.glob(f"{name}-*"):
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)


class Sessions:
    """All visitors of one page.

    Args:
        root: folder whose files the page may serve; a private one is made inside.
        kept: files in it that belong to the page itself, such as examples.
        grace: seconds that files outlive a visit.
        timer: what waits for the grace; `threading.Timer` or alike.
    """

    def __init__(
        self,
        root: Path,
        kept: Iterable[str] = (),
        grace: float = GRACE_SECONDS,
        timer: Callable[..., threading.Timer] = threading.Timer,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        self._root, self._kept, self._grace = root, {Path(path).resolve() for path in kept}, grace
        self._timer = timer
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=root, ignore_cleanup_errors=True)
        self._sessions: dict[str, Session] = {}
        self._leaving: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()

    def of(self, visitor: str | None, *uploads: str | None) -> Session:
        """The session of a visitor, made on the first visit; `uploads` are noted as theirs.

        A program that has no name for its visits gets a new session each time.
        """
        key = visitor or secrets.token_hex(16)
        self._forget_stale()
        with self._lock:
            if timer := self._leaving.pop(key, None):
                timer.cancel()
            if key not in self._sessions:
                self._sessions[key] = Session(Path(self._folder.name) / secrets.token_hex(16))
            session = self._sessions[key]
            session.seen = time.time()
            session.uploads |= {Path(path).resolve() for path in uploads if path and self._is_upload(path)}
        return session

    def _is_upload(self, path: str) -> bool:
        resolved = Path(path).resolve()
        ours = resolved.is_relative_to(Path(self._folder.name).resolve())
        return resolved.is_relative_to(self._root.resolve()) and not ours and resolved not in self._kept

    def leave(self, visitor: str | None) -> None:
        """Stop the visitor's work now, and remove their files after the grace."""
        with self._lock:
            if visitor not in self._sessions:
                return
            self._sessions[visitor].cancel()
            timer = self._timer(self._grace, self._remove, [visitor])
            timer.daemon = True
            self._leaving[visitor] = timer
        timer.start()

    def _forget_stale(self) -> None:
        """Let go of those who never said that they left."""
        with self._lock:
            stale = [key for key, one in self._sessions.items() if time.time() - one.seen > STALE_SECONDS]
        for key in stale:
            self.leave(key)

    def _remove(self, key: str) -> None:
        with self._lock:
            if self._leaving.pop(key, None) is None:  # they came back
                return
            session = self._sessions.pop(key)
            shared = {path for other in self._sessions.values() for path in other.uploads}
            for path in session.uploads - shared:  # two visitors may have brought the same file
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    path.parent.rmdir()
        shutil.rmtree(session.folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what a server that was killed has left."""
    for entry in os.scandir(root):
        if entry.name.startswith(_PREFIX) and time.time() - entry.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)
