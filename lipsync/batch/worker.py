"""Worker that makes videos in a process of its own, with its networks loaded once.

Only values of this package travel to and from it. It knows nothing of Ray.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import lipsync
from lipsync.batch.items import BatchItem, BatchSettings, FileMark, Outcome
from lipsync.context import RunContext
from lipsync.errors import InputError, LipsyncError, OptionError, ToolError
from lipsync.media.video.resumable_writer import parts_folder
from lipsync.options import SEQUENCES
from lipsync.pipeline.arguments import SyncArguments
from lipsync.pipeline.model_provider import CachedModels
from lipsync.pipeline.overall import Overall, stage_weights
from lipsync.pipeline.shared_parts import PartBoard, PartTask
from lipsync.pipeline.sync import draw_part, run
from lipsync.progress import CancelToken, Progress
from lipsync.types import SyncResult
from lipsync.utils.owned_folder import temporary_folder

UNEXPECTED = "The video could not be made"
"""Of an error that is none of this package's; its text may name files of the machine."""
LIMIT_HINT = (
    "Put the videos and the results where all machines see them under the same path, or raise 'send_limit'."
)


@dataclass(frozen=True)
class Task:
    """An item for a worker.

    Attributes:
        number: index of the item.
        item: its files, as the one who asks sees them.
        marks: of the files that are read.
    """

    number: int
    item: BatchItem
    marks: tuple[FileMark, ...]


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker says of itself.

    Attributes:
        version: of this package.
        host: where it runs.
        needs_token: whether its cluster asks for a token.
        sees_outputs: whether it can write where the results go.
    """

    version: str
    host: str
    needs_token: bool
    sees_outputs: bool


@dataclass(frozen=True)
class Reply:
    """What a worker has made of a task.

    Attributes:
        outcome: None where files are missing.
        missing: files that it does not see; they have to be sent.
        files: the result's files by name, where the worker cannot write them itself.
    """

    outcome: Outcome | None
    missing: tuple[FileMark, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """How far a worker is with its video.

    Attributes:
        share: completed share, 0..1.
        parts: parts of it that nobody draws yet.
    """

    share: float = 0.0
    parts: int = 0


class BatchWorker:
    """Makes one video after the other, or parts of those of other workers.

    All but `make` and `draw` are called from other threads meanwhile.

    Args:
        settings: of the batch.
        marker: a file in the folder of the results, to tell whether this process sees that folder.
        send_limit: bytes of the largest file that is returned.
    """

    def __init__(self, settings: BatchSettings, marker: FileMark, send_limit: int) -> None:
        self._settings, self._send_limit = settings, send_limit
        self._sees_outputs = marker.is_here
        self._models, self._cancel = CachedModels(), CancelToken()
        self._share = 0.0
        self._board: PartBoard | None = None

    def ready(self) -> WorkerInfo:
        """Where this worker runs, and which version."""
        needs_token = os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
        host = socket.gethostname()
        return WorkerInfo(lipsync.__version__, host, needs_token, self._sees_outputs)

    def standing(self) -> Standing:
        """How far the current video is."""
        board = self._board
        return Standing(self._share, board.count if board else 0)

    def claim(self, claim: str) -> PartTask | None:
        """Take a part of the current video for another worker; None where there is none."""
        board = self._board
        return board.claim(claim) if board else None

    def finish(self, claim: str, made: bool) -> None:
        """Tell what became of a part that was claimed."""
        board = self._board
        if board is not None:
            board.finish(claim, made)

    def draw(self, task: PartTask | None) -> bool:
        """Draw a part of another worker's video; whether it is there.

        What keeps it from being drawn is told by the other worker, which then tries by itself.
        """
        if task is None or self._cancel.cancelled:
            return False
        try:
            draw_part(task, RunContext(self._models, self._settings.options, cancel=self._cancel))
        except Exception:  # of any kind, as said
            logging.getLogger(__name__).exception("a part failed")
            return False
        return True

    def cancel(self) -> None:
        """End the current video within about a second, and all that follow at once."""
        self._cancel.cancel()

    def make(self, task: Task, sent: Sequence[FileMark] = (), *contents: bytes) -> Reply:
        """Make a video.

        Args:
            sent: the files that a reply has named as missing.
            contents: of these, in the same order.
        """
        given = {mark.path for mark in sent}
        missing = tuple(mark for mark in task.marks if mark.path not in given and not mark.is_here)
        if missing:
            return Reply(None, missing)
        self._share = 0.0
        try:
            with _received(sent, contents) as received, self._place(task.item) as output:
                video, voice = (received.get(path, path) for path in (task.item.video, task.item.voice))
                result = self._sync(video, voice, output)
                files = {} if self._sees_outputs else self._read(output.parent)
            return Reply(Outcome(task.number, result), files=files)
        except LipsyncError as error:
            return Reply(Outcome(task.number, error=error))
        except Exception as error:  # of any kind: the others are still made
            logging.getLogger(__name__).exception("a video failed")
            told = ToolError(UNEXPECTED, given=f"{type(error).__name__}: {error}")
            return Reply(Outcome(task.number, error=told))

    def _sync(self, video: Path, voice: Path, output: Path) -> SyncResult:
        settings, overall = self._settings, Overall(stage_weights(self._settings.options))

        def follow(progress: Progress) -> None:
            self._share = overall.update(progress).share

        given = SyncArguments(
            video=video,
            voice=voice,
            options=settings.options,
            progress=follow,
            cancel=self._cancel,
            output=output,
            overwrite=False,
            sign_cert=settings.sign_cert,
            sign_key=settings.sign_key,
        )
        if settings.part_seconds and self._sees_outputs:
            self._board = PartBoard(settings.part_seconds)
        try:
            return run(given, given.context(self._models), self._board)
        except LipsyncError as error:
            error.kept = ""
            raise
        finally:
            if self._board is not None:  # the parts of a worker that is lost stay for the next one
                shutil.rmtree(parts_folder(output), ignore_errors=True)
            self._board = None

    @contextmanager
    def _place(self, item: BatchItem) -> Iterator[Path]:
        """Where the result is written: at its place, or where this process can, to be sent."""
        if self._sees_outputs:
            yield item.free_output(self._settings.options.media.codec)
            return
        if self._settings.options.media.codec in SEQUENCES:
            what = "A worker cannot send an image sequence, and does not see the folder of the results"
            raise OptionError(what, given=item.output, hint="Share the folder, or choose another 'codec'.")
        with temporary_folder() as folder:
            results = folder / "results"
            results.mkdir()
            yield results / item.output.name

    def _read(self, folder: Path) -> dict[str, bytes]:
        """The finished files.

        Raises:
            InputError: one is too large to be sent.
        """
        files = sorted(path for path in folder.iterdir() if path.is_file())
        for path in files:
            check_size(path, path.stat().st_size, self._send_limit)
        return {path.name: path.read_bytes() for path in files}


def check_size(path: Path, size: int, limit: int) -> None:
    """Check that a file may be sent to another machine.

    Raises:
        InputError: it is larger than `limit` bytes.
    """
    if size > limit:
        given = f"{path.name}, {size / 1e6:.0f} MB of at most {limit / 1e6:.0f}"
        what = "A worker does not see a file that is too large to be sent"
        raise InputError(what, given=given, hint=LIMIT_HINT)


@contextmanager
def _received(sent: Sequence[FileMark], contents: Sequence[bytes]) -> Iterator[dict[Path, Path]]:
    """The files that were sent, under their own names; by their paths where they come from."""
    if not sent:
        yield {}
        return
    with temporary_folder() as folder:
        places: dict[Path, Path] = {}
        for number, (mark, content) in enumerate(zip(sent, contents, strict=True)):
            places[mark.path] = folder / str(number) / mark.path.name
            places[mark.path].parent.mkdir()
            places[mark.path].write_bytes(content)
        yield places
