"""A link to YouTube or any other site that yt-dlp knows, or straight to a file.

    check_url -> a sealed process (worker.py) -> streams in a private folder -> joined -> moved

Security. Nothing but http(s) is opened, and nothing that is not on the open internet: see
`address.py`. yt-dlp runs in a process of its own with only one of its ways to connect left
(requests), which the seal sees; proxies of the environment are not used, because a proxy would
resolve names and connect in our place. ffmpeg never touches the network: streams that come in
pieces are shortened to the pieces needed, others are fetched whole and cut when they are read.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lipsync.errors import DiskFullError, LipsyncError, NoVideoError, OutputError
from lipsync.options import LinkOptions
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.sources import worker
from lipsync.sources.address import Network, check_url
from lipsync.sources.base import Fetched, LinkInfo
from lipsync.sources.failures import Failure, explain_failure
from lipsync.sources.javascript import find_runtimes
from lipsync.sources.streams import span_of
from lipsync.types import TimeRange

STALL_SECONDS = 120
"""A site that has nothing to say for this long is given up."""
_NAME_LENGTH = 80
_COOKIES_BYTES = 2**20


def is_link(given: str | Path) -> bool:
    """Whether this was meant as a link: a word, a colon and two slashes."""
    scheme, separator, _ = str(given).strip().partition("://")
    return bool(separator) and scheme.isalnum()


class LinkSource:
    """A link as a `Source`.

    Args:
        url: the address that was pasted.
        options: quality and limits.
        sound_only: it serves as a voice; the picture is left out where a site keeps them apart.
        allow: networks that may be reached although they are not public. For tests only: no
            setting leads here.

    Raises:
        LinkError: it is no http(s) address.
        AddressError: it is written as an address that is not public.
    """

    def __init__(
        self,
        url: str,
        options: LinkOptions | None = None,
        *,
        sound_only: bool = False,
        allow: frozenset[Network] = frozenset(),
    ) -> None:
        self.url = check_url(url, allow)
        self.options = options or LinkOptions()
        self._sound_only, self._allow = sound_only, allow

    @staticmethod
    def accepts(given: str) -> bool:
        """Whether it looks like a link; one that may not be used is refused when it is opened."""
        return is_link(given)

    def look(self, cancel: CancelToken) -> LinkInfo:
        """What the site says, without downloading; takes a few seconds.

        Raises:
            LinkError: with a text for each of the things that happen; see `failures.WORDS`.
            Cancelled: a cancel was asked for.
        """
        with self._process(None, ()) as process:
            for message in process.messages(cancel, lambda: 0):
                if message[0] == "info":
                    return _link_info(message[1])
        raise explain_failure(Failure("ended"), self.url)

    def fetch(
        self,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...] = (),
    ) -> Fetched:
        """Download it, or where the site allows only the span that holds `ranges`.

        The start of a part is as exact as the lengths that the site gives for its pieces, which
        for most is better than a frame.

        Raises:
            LinkError: as `look`; or it is longer or larger than the options allow.
            OutputError: it cannot be written.
            Cancelled: a cancel was asked for. As after an error, nothing is left in `into`.
        """
        progress(Progress("Asking the site", 0, 0))
        try:
            into.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=into, prefix=".link-") as private:
                return self._fetch(Path(private), into, progress, cancel, ranges)
        except OSError as error:
            raise _disk_error(error, into) from error

    def _fetch(
        self,
        private: Path,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...],
    ) -> Fetched:
        done = None
        with self._process(private, ranges) as process:
            for message in process.messages(cancel, lambda: self._checked_size(private)):
                if message[0] == "progress":
                    stage, written, total, certain = message[1:]
                    self._check_limit(total if certain else written)
                    progress(Progress(stage, written, total))
                elif message[0] == "done":
                    done = message[1:]
        if done is None:
            raise explain_failure(Failure("ended"), self.url)
        files, start, title = done
        self._checked_size(private)
        whole = self._put_together([(private / name, pieces) for name, pieces in files], cancel)
        seconds, lead = _content(whole)
        if start is None:
            self._check_length(seconds)
        return Fetched(_move(whole, into, title), 0.0 if start is None else max(0.0, start - lead))

    def _put_together(self, files: list[tuple[Path, bool]], cancel: CancelToken) -> Path:
        """One plain file; a single one that came in one piece stays as the site has it."""
        [(first, in_pieces), *others] = files
        if not others and not in_pieces:
            return first
        from lipsync.media.remux import remux

        return remux([path for path, _ in files], first.with_name("whole"), cancel)

    def _checked_size(self, folder: Path) -> int:
        """Bytes in the folder; raises when they are more than the options allow."""
        size = 0
        for entry in os.scandir(folder):
            try:
                size += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:  # a piece that has just been appended to its stream
                continue
        self._check_limit(size)
        return size

    def _check_limit(self, size: int) -> None:
        if size > self.options.max_megabytes * 10**6:
            told = f"{size / 1e6:.0f} of at most {self.options.max_megabytes} MB"
            raise explain_failure(Failure("large", told), self.url)

    def _check_length(self, seconds: float) -> None:
        """For what no site has told the length of."""
        if seconds > self.options.max_minutes * 60 + 1:
            told = f"{seconds / 60:.1f} of at most {self.options.max_minutes:g} minutes"
            raise explain_failure(Failure("long", told), self.url)

    @contextmanager
    def _process(self, folder: Path | None, ranges: tuple[TimeRange, ...]) -> Iterator[_Process]:
        order = worker.Order(
            url=self.url,
            folder=folder,
            max_height=self.options.max_height,
            max_seconds=self.options.max_minutes * 60,
            span=span_of(ranges),
            sound_only=self._sound_only,
            cookies=_read_cookies(self.options.cookies),
            runtimes=find_runtimes(),
            allow=self._allow,
        )
        process = _Process(order)
        try:
            yield process
        finally:
            process.end()


class _Process:
    """The sealed process that runs yt-dlp, and the pipe that it talks through."""

    def __init__(self, order: worker.Order) -> None:
        # spawn: a fork would take along threads' locks and open connections, and is no way on Windows
        context = multiprocessing.get_context("spawn")
        self._url = order.url
        self._pipe, far_end = context.Pipe(duplex=False)
        self._process = context.Process(target=worker.run, args=(far_end, order), daemon=True)
        self._process.start()
        far_end.close()

    def messages(self, cancel: CancelToken, size: Callable[[], int]) -> Iterator[list[Any]]:
        """What it tells, until it ends. `size` tells the bytes written so far, or raises."""
        last_sign, last_size = time.monotonic(), -1
        while True:
            cancel.check("Downloading")
            written = size()
            if written != last_size:
                last_sign, last_size = time.monotonic(), written
            message = _receive(self._pipe)
            if message is None:
                return
            if message:
                last_sign = time.monotonic()
                if message[0] == "failed":
                    raise explain_failure(_failure(message[1]), self._url)
                yield message
            elif time.monotonic() - last_sign > STALL_SECONDS:
                raise explain_failure(Failure("stalled"), self._url)

    def end(self) -> None:
        """End it at once if it still runs, with the JavaScript runtime it may have started."""
        if self._process.is_alive():
            self._kill()
        self._process.join()
        self._process.close()
        self._pipe.close()

    def _kill(self) -> None:
        if sys.platform != "win32":
            try:
                if os.getpgid(self._process.pid or 0) == self._process.pid:
                    os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.kill()


def _receive(pipe: Connection) -> list[Any] | None:
    """The next message; an empty list when there is none yet, None when there will be none."""
    try:
        if not pipe.poll(CancelToken.POLL_SECONDS):
            return []
        message: list[Any] = json.loads(pipe.recv_bytes())
    except (EOFError, OSError):
        return None
    return message


def _failure(told: dict[str, Any]) -> Failure:
    return Failure(
        told.get("reason", ""),
        told.get("text", ""),
        tuple(told.get("warnings", ())),
        tuple(told.get("refused", ())),
    )


def _link_info(told: dict[str, Any]) -> LinkInfo:
    heights, warnings = tuple(told.pop("heights")), tuple(told.pop("warnings"))
    return LinkInfo(**told, heights=heights, warnings=warnings)


def _read_cookies(path: Path | None) -> str | None:
    """The text of the cookies file. It is handed over as text, since yt-dlp would write to the file."""
    if path is None:
        return None
    try:
        text = path.read_bytes()[:_COOKIES_BYTES].decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise explain_failure(Failure("cookies", str(error)), str(path)) from error
    if not text.startswith(("# Netscape HTTP Cookie File", "# HTTP Cookie File")):
        raise explain_failure(Failure("cookies"), str(path))
    return text


def _content(path: Path) -> tuple[float, float]:
    """The length in seconds, and by how many of them the sound starts before the picture.

    The pieces of the two may have different lengths, and a part's time is known for the picture.

    Raises:
        MediaError: what the site sent is no media.
    """
    from lipsync.media.probe import probe_audio, scan_video

    try:
        info, frames = scan_video(path)
    except NoVideoError:
        return probe_audio(path).duration, 0.0
    lead = float(int(frames.pts[0]) * frames.time_base - frames.zero) if frames else 0.0
    return info.duration, lead


def _move(path: Path, into: Path, title: str) -> Path:
    """Give a finished file its name: the title in harmless characters, numbered where that is taken."""
    stem = re.sub(r"[^\w .,()+-]", "_", title)[:_NAME_LENGTH].strip(" ._-") or "video"
    number = 1
    while True:
        target = into / f"{stem}{f'_{number}' if number > 1 else ''}{path.suffix}"
        try:
            target.touch(exist_ok=False)  # takes the name, should another do the same right now
        except FileExistsError:
            number += 1
            continue
        return path.replace(target)


def _disk_error(error: OSError, folder: Path) -> LipsyncError:
    if error.errno == errno.ENOSPC:
        return DiskFullError("The disk is full", given=folder, hint="Free some space and try again.")
    return OutputError("The download cannot be written", given=f"{folder} ({error})")
