"""Visitor sessions: a private folder and the running jobs of each visitor.

Sessions share nothing. When a visitor leaves, their jobs stop at once; their files, uploads included,
are removed a little later, so that a connection that was lost for a moment loses nothing.
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
"""How long a visitor's files are kept after they have left."""
STALE_SECONDS = 86_400.0
"""Inactivity after which a visitor counts as gone; leftovers of a killed server are removed at that age."""
_PREFIX = "visits-"
_DETECTION_CACHE_BYTES = 50_000_000


class JobFolder:
    """Folder of one job, a context manager that removes it unless it was kept.

    Attributes:
        path: the folder; empty at first.
    """

    def __init__(self, session_folder: Path, name: str) -> None:
        session_folder.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=session_folder))
        self._name, self._kept = name, False

    def __enter__(self) -> JobFolder:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            shutil.rmtree(self.path, ignore_errors=True)

    def keep(self) -> None:
        """Keep the folder until the visitor leaves."""
        self._kept = True

    def replace_older(self) -> None:
        """Keep the folder, and remove those of earlier jobs of the same name."""
        self._kept = True
        for folder in self.path.parent.glob(f"{self._name}-*"):
            if folder != self.path:
                shutil.rmtree(folder, ignore_errors=True)


class Session:
    """One visitor's folder and running jobs.

    Attributes:
        folder: private; its name cannot be guessed.
        uploads: files outside of it that the visitor uploaded.
        last_active: as `time.time`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads: set[Path] = set()
        self._tokens: dict[str, CancelToken] = {}
        self.last_active = time.time()
        self._lock = threading.Lock()

    def start(self, kind: str) -> CancelToken:
        """Return the cancel token of a new job, and cancel the running job of the same kind."""
        with self._lock:
            if kind in self._tokens:
                self._tokens[kind].cancel()
            self._tokens[kind] = CancelToken()
            return self._tokens[kind]

    def cancel(self, *kinds: str) -> None:
        """Cancel the jobs of these kinds; without any, all."""
        with self._lock:
            for kind, token in self._tokens.items():
                if not kinds or kind in kinds:
                    token.cancel()

    def job_folder(self, name: str) -> JobFolder:
        """Create a folder for the files of one job; `name` is the kind of job."""
        return JobFolder(self.folder, name)

    @property
    def detection_cache(self) -> DetectionCache:
        """Cached face detections of this visitor's videos; never shared, since they show who is in them."""
        return DetectionCache(self.folder / "faces", limit_bytes=_DETECTION_CACHE_BYTES)


class Sessions:
    """The sessions of all visitors of one page.

    Args:
        root: folder whose files the page may serve; a private one is made inside.
        protected: files in it that belong to the page itself, such as examples.
        grace: seconds that files are kept after a visitor has left.
        timer: waits for that; `threading.Timer` or a class like it.
    """

    def __init__(
        self,
        root: Path,
        protected: Iterable[str] = (),
        grace: float = GRACE_SECONDS,
        timer: Callable[..., threading.Timer] = threading.Timer,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(root)
        self._root, self._grace, self._timer = root, grace, timer
        self._protected = {Path(path).resolve() for path in protected}
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=root, ignore_cleanup_errors=True)
        self._sessions: dict[str, Session] = {}
        self._removals: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()

    def get(self, visitor: str | None, *uploads: str | None) -> Session:
        """Return a visitor's session, created on the first call, and record `uploads` as theirs.

        An API client without a session hash (None) gets a new session each time.
        """
        key = visitor or secrets.token_hex(16)
        self._end_stale()
        with self._lock:
            if timer := self._removals.pop(key, None):
                timer.cancel()
            if key not in self._sessions:
                self._sessions[key] = Session(Path(self._folder.name) / secrets.token_hex(16))
            session = self._sessions[key]
            session.last_active = time.time()
            session.uploads |= {Path(path).resolve() for path in uploads if path and self._is_upload(path)}
        return session

    def _is_upload(self, path: str) -> bool:
        resolved = Path(path).resolve()
        own = resolved.is_relative_to(Path(self._folder.name).resolve())
        return resolved.is_relative_to(self._root.resolve()) and not own and resolved not in self._protected

    def end(self, visitor: str | None) -> None:
        """Cancel a visitor's jobs now, and remove their files after the grace period."""
        with self._lock:
            if visitor not in self._sessions:
                return
            self._sessions[visitor].cancel()
            timer = self._timer(self._grace, self._remove, [visitor])
            timer.daemon = True
            self._removals[visitor] = timer
        timer.start()

    def _end_stale(self) -> None:
        """End sessions whose visitor left without a notice from the browser."""
        with self._lock:
            now = time.time()
            stale = [key for key, one in self._sessions.items() if now - one.last_active > STALE_SECONDS]
        for key in stale:
            self.end(key)

    def _remove(self, key: str) -> None:
        with self._lock:
            if self._removals.pop(key, None) is None:  # the visitor came back
                return
            session = self._sessions.pop(key)
            shared = {path for other in self._sessions.values() for path in other.uploads}
            for path in session.uploads - shared:  # two visitors may have uploaded the same file
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    path.parent.rmdir()
        shutil.rmtree(session.folder, ignore_errors=True)


def _remove_leftovers(root: Path) -> None:
    """Remove the folders of a server that was killed."""
    for entry in os.scandir(root):
        if entry.name.startswith(_PREFIX) and time.time() - entry.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)
