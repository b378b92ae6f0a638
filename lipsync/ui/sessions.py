"""Visitor sessions: a private folder and the running jobs of each visitor.

Sessions share nothing. When a visitor leaves, their run and their files, uploads included, go a little
later, so that a reload, or a connection that was lost for a moment, loses nothing. So do uploads that belong
to nobody, and the folders of servers that no longer run.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.pipeline.run_cache import RunCache
from lipsync.progress import CancelToken
from lipsync.ui.gradio_state import GradioState
from lipsync.ui.jobs import VisitJob
from lipsync.utils.deadlines import Deadlines
from lipsync.utils.disk_errors import write_error
from lipsync.utils.malloc import release_memory
from lipsync.utils.owned_folder import owned_folder, remove_abandoned

if TYPE_CHECKING:
    from lipsync.ui.handlers import RunOutputs

GRACE_SECONDS = 120.0
"""How long a visitor's files are kept after they have left."""
STALE_SECONDS = 86_400.0
"""Inactivity after which a visitor counts as gone."""
ONE_OFF_GRACES = 30
"""How many times as long the files are kept of a visitor who has come back, or of a request that came without
a session: an hour, to fetch its result."""
TEMPORARY_HINT = "Set GRADIO_TEMP_DIR to a folder that can be written and has space."
MAX_HISTORY = 8
"""Results of a visit that are kept."""
RUN, BATCH = "run", "batch"
"""The kinds of jobs that go on while their page is away."""
_CLOSE_SECONDS = 10.0
_OWN = ("visits-", "")


class JobFolder:
    """Folder of one job, a context manager that removes it unless it was kept.

    Attributes:
        path: the folder; empty at first.
    """

    def __init__(self, session_folder: Path, name: str) -> None:
        try:
            session_folder.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=session_folder))
        except OSError as error:
            raise write_error(error, session_folder) from error
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
        uploads: files outside of it that the visitor uploaded, and when they were written.
        last_active: as `time.time`.
        running: kinds of jobs that are waiting or running.
        failed: kinds of jobs whose error is still shown.
        ready: whether a run could start with what is given on the page.
        visit: secret by which the same browser finds the session again after a reload.
        values: what the page's fields held last.
        job: the run; it goes on while the page is away.
        batch: the batch, likewise; and what the fields of its tab held when it began.
        history: results of this visit, the oldest first.
        moment_chosen_for: voice for which the visitor has chosen the time to preview; None before that.
        reading: held while a file is read for the timeline, so that no two events read the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads: dict[Path, int] = {}
        self.running: set[str] = set()
        self.failed: set[str] = set()
        self.ready = False
        self.visit = secrets.token_urlsafe(24)
        self.values: dict[Any, Any] = {}
        self.job: VisitJob[Any] | None = None
        self.batch: tuple[VisitJob[Any], dict[Any, Any]] | None = None
        self.history: list[RunOutputs] = []
        self.moment_chosen_for: str | None = None
        self.reading = threading.Lock()
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

    def remember(self, outputs: RunOutputs) -> None:
        """Add results to the history; the folder of the oldest goes when there are too many."""
        self.history.append(outputs)
        for old in self.history[:-MAX_HISTORY]:
            shutil.rmtree(old.settings.parent, ignore_errors=True)
        del self.history[:-MAX_HISTORY]

    def leave(self) -> None:
        """Cancel what is of no use to a page that may come back; a run and a batch go on."""
        with self._lock:
            for kind, token in self._tokens.items():
                if kind not in (RUN, BATCH):
                    token.cancel()

    def close(self) -> None:
        """Cancel all jobs, and wait for the end of those that write into the folder."""
        self.cancel()
        for job in (self.job, self.batch and self.batch[0]):
            if job is not None:
                job.join(_CLOSE_SECONDS)

    def cancel(self, *kinds: str) -> None:
        """Cancel the jobs of these kinds; without any, all."""
        with self._lock:
            for kind, token in self._tokens.items():
                if not kinds or kind in kinds:
                    token.cancel()

    def job_folder(self, name: str) -> JobFolder:
        """Create a folder for the files of one job; `name` is the kind of job.

        Raises:
            DiskFullError, OutputError: it cannot be made.
        """
        return JobFolder(self.folder, name)

    @property
    def run_cache(self) -> RunCache:
        """What this visitor's runs have computed; never shared, since it shows who is in the videos."""
        return RunCache(self.folder / "cache")


class Sessions:
    """The sessions of all visitors of one page.

    Args:
        root: folder whose files the page may serve; a private one is made inside.
        protected: files in it that belong to the page itself, such as examples.
        grace: seconds that files are kept after a visitor has left.
        gradio: what Gradio keeps of the visitors; None where there is no server.
        deadlines: calls what is to be done later.

    Raises:
        DiskFullError, OutputError: no folder can be made in `root`.
    """

    def __init__(
        self,
        root: Path,
        protected: Iterable[str] = (),
        grace: float = GRACE_SECONDS,
        gradio: GradioState | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._root, self._grace, self._gradio = root, grace, gradio
        try:
            root.mkdir(parents=True, exist_ok=True)
            remove_abandoned(root, *_OWN)
            owned = contextlib.ExitStack()
            self._folder = owned.enter_context(owned_folder(root, *_OWN))
        except OSError as error:
            raise write_error(
                error, root, "The page's temporary folder cannot be used", TEMPORARY_HINT
            ) from error
        weakref.finalize(self, owned.close)  # at the end of the process, too
        self._protected = {Path(path).resolve() for path in protected}
        self._sessions: dict[str, Session] = {}
        self._leaving: dict[str, object] = {}
        self._deadlines = deadlines or Deadlines()
        self._lock = threading.Lock()

    def get(self, visitor: str | None, *uploads: str | None) -> Session:
        """Return a visitor's session, created on the first call, and record `uploads` as theirs.

        A caller without a session hash (None) gets a new session each time.
        """
        key = visitor or secrets.token_hex(16)
        self._end_stale()
        with self._lock:
            if key in self._leaving:  # has come back, or is a late event of one who has gone
                self._end_later(key, ONE_OFF_GRACES * self._grace)
            if key not in self._sessions:
                self._sessions[key] = Session(self._folder / secrets.token_hex(16))
            session = self._sessions[key]
            session.last_active = time.time()
            for path in uploads:
                if path and self._is_upload(path):
                    session.uploads[Path(path).resolve()] = _written(path)
        return session

    def claim(self, visitor: str, uploads: Iterable[str]) -> None:
        """Record `uploads` as a visitor's, whose event has arrived."""
        self.get(visitor, *uploads)

    def join(self, visit: str, visitor: str) -> Session | None:
        """Give a visitor who has come back their session; None where the secret is of no session.

        Args:
            visit: the secret that the browser has kept.
            visitor: the session hash of the new page.
        """
        with self._lock:
            known = (key for key, one in self._sessions.items() if secrets.compare_digest(one.visit, visit))
            key = next(known, None) if visit.isascii() else None
            if key is None:
                return None
            session = self._sessions.pop(key)
            fresh = self._sessions.get(visitor)  # of an event that came first
            session.uploads |= fresh.uploads if fresh else {}
            self._sessions[visitor] = session
            self._leaving.pop(key, None)
            session.last_active = time.time()
        return session

    @contextlib.contextmanager
    def one_off(self, visitor: str | None, *uploads: str | None) -> Iterator[Session]:
        """Open the session of a request that comes without one, in the block; its result is kept an hour."""
        key = visitor or secrets.token_hex(16)
        try:
            yield self.get(key, *uploads)
        finally:
            with self._lock:
                self._end_later(key, ONE_OFF_GRACES * self._grace)
            self._deadlines.schedule(f"state of {key}", self._grace, lambda: self._forget(key))

    def _is_upload(self, path: str) -> bool:
        resolved = Path(path).resolve()
        own = resolved.is_relative_to(self._folder.resolve())
        return resolved.is_relative_to(self._root.resolve()) and not own and resolved not in self._protected

    def end(self, visitor: str | None) -> None:
        """Cancel a visitor's jobs but the run now, and that and their files after the grace period."""
        if visitor is None:
            return
        with self._lock:
            if session := self._sessions.get(visitor):
                session.leave()
            self._end_later(visitor, self._grace)

    def _end_later(self, key: str, seconds: float) -> None:
        self._leaving[key] = this_time = object()
        self._deadlines.schedule(key, seconds, lambda: self._remove(key, this_time))

    def _end_stale(self) -> None:
        """End sessions whose visitor left without a notice from the browser."""
        with self._lock:
            now = time.time()
            stale = [
                key
                for key, one in self._sessions.items()
                if key not in self._leaving and now - one.last_active > STALE_SECONDS
            ]
        for key in stale:
            self.end(key)

    def _remove(self, key: str, this_time: object) -> None:
        with self._lock:
            if self._leaving.get(key) is not this_time:  # put off in the last moment
                return
            del self._leaving[key]
            session = self._sessions.pop(key, None)
            claimed = {path for other in self._sessions.values() for path in other.uploads}
        self._forget(key)
        if session is not None:
            session.close()
            # Two visitors may have uploaded the same file, one so lately that no event has named it yet.
            theirs = {path for path, written in session.uploads.items() if _written(path) == written}
            _remove_files(theirs - claimed)
            shutil.rmtree(session.folder, ignore_errors=True)
            release_memory()
        self._remove_unclaimed(claimed)

    def _forget(self, key: str) -> None:
        if self._gradio is not None:
            self._gradio.forget(key)

    def _remove_unclaimed(self, claimed: set[Path]) -> None:
        """Remove old uploads that no event has named."""
        uploads = self._gradio.uploads if self._gradio else set()
        oldest = time.time() - ONE_OFF_GRACES * self._grace
        for name in list(uploads):
            path = Path(name).resolve()
            if not path.exists():
                uploads.discard(name)
            elif path not in claimed | self._protected and path.stat().st_mtime < oldest:
                _remove_files([path])


def _written(path: str | Path) -> int:
    """When a file was written, in nanoseconds; 0 if it is no longer there."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _remove_files(paths: Iterable[Path]) -> None:
    """Remove files, and the folder of each where that leaves it empty."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()
