"""Links to YouTube, any other site that yt-dlp supports, or a media file.

    check_url -> download worker (worker.py) -> streams in a private folder -> merged -> moved

Security. Only http(s) URLs on the public internet are opened: see `network_guard.py`. yt-dlp runs in a
process of its own with only one of its request handlers left (requests), whose connections the guard
sees; proxies of the environment are not used, because a proxy would resolve names and connect in our
place. ffmpeg never touches the network: fragmented streams are trimmed to the needed fragments,
others are downloaded whole and cut when they are read.
"""

from __future__ import annotations

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

from lipsync.errors import NoVideoError
from lipsync.options import LinkOptions
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.sources import worker
from lipsync.sources.base import FetchedMedia, LinkInfo
from lipsync.sources.failures import DownloadFailure, explain_failure
from lipsync.sources.javascript import find_runtimes
from lipsync.sources.network_guard import Network, check_url
from lipsync.sources.sample import probe_sample
from lipsync.sources.streams import enclosing_span
from lipsync.types import TimeRange
from lipsync.utils.disk_errors import write_error

STALL_SECONDS = 120
"""A download that does not get on by `_STALL_BYTES` in this time is given up."""
_STALL_BYTES = 2**16
PAGE_SECONDS = 60
"""A page that has not told where its media is after this long is given up: it never stops sending, or
keeps yt-dlp busy with text made for that."""
_NAME_LENGTH = 80
_COOKIES_BYTES = 2**20


def is_link(given: str | Path) -> bool:
    """Whether a text is meant as a link: a scheme, a colon and two slashes."""
    scheme, separator, _ = str(given).strip().partition("://")
    return bool(separator) and scheme.isalnum()


class LinkSource:
    """A link as a `Source`.

    Args:
        url: http(s) URL of a page with one video, or of a media file.
        options: quality and limits.
        audio_only: only the audio is needed; the video is left out where the site separates them.
        allow: networks that may be reached although they are not public. For tests only: no
            setting leads here.

    Raises:
        LinkError: it is not an http(s) URL.
        AddressError: its host is an address that is not public.
    """

    def __init__(
        self,
        url: str,
        options: LinkOptions | None = None,
        *,
        audio_only: bool = False,
        allow: frozenset[Network] = frozenset(),
    ) -> None:
        self.url = check_url(url, allow)
        self.options = options or LinkOptions()
        self._audio_only, self._allow = audio_only, allow

    @staticmethod
    def accepts(given: str) -> bool:
        """Whether it is meant as a link; one that may not be used is rejected when it is opened."""
        return is_link(given)

    def probe(self, cancel: CancelToken) -> LinkInfo:
        """Read the metadata, a picture and the length without downloading the media; takes a few seconds.

        Raises:
            LinkError: one of `failures.MESSAGES`.
            Cancelled: the job was cancelled.
        """
        info = None
        with self._start_worker(None, ()) as process:
            for message in process.messages(cancel):
                if message[0] == "info":
                    info = _link_info(message[1])
                elif message[0] == "sample" and info is not None:
                    return probe_sample(info, message[1])
        if info is not None:  # the worker has ended over its sample
            return info
        raise explain_failure(DownloadFailure("ended"), self.url)

    def fetch(
        self,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...] = (),
    ) -> FetchedMedia:
        """Download the media, or where the site allows it only the span that encloses `ranges`.

        The start of a span is as exact as the durations that the site gives for its fragments, which
        for most is better than a frame.

        Raises:
            LinkError: as `probe`; or it is longer or larger than the options allow.
            OutputError: it cannot be written.
            Cancelled: the job was cancelled. As after an error, nothing is left in `into`.
        """
        progress(Progress("Reading the page", 0, 0))
        try:
            into.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=into, prefix=".link-") as private:
                return self._fetch(Path(private), into, progress, cancel, ranges)
        except OSError as error:
            raise write_error(error, into, "The download cannot be written") from error

    def _fetch(
        self,
        private: Path,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...],
    ) -> FetchedMedia:
        done = None
        with self._start_worker(private, ranges) as process:
            for message in process.messages(cancel, lambda: self._checked_size(private)):
                if message[0] == "progress":
                    stage, written, total, exact = message[1:]
                    self._check_size(total if exact else written)
                    progress(Progress(stage, written, total, unit="byte"))
                elif message[0] == "done":
                    done = message[1:]
        if done is None:
            raise explain_failure(DownloadFailure("ended"), self.url)
        files, start, title = done
        self._checked_size(private)
        merged = self._merge([(private / name, fragmented) for name, fragmented in files], cancel)
        seconds, audio_lead = _duration_and_audio_lead(merged)
        if start is None:
            self._check_duration(seconds)
        return FetchedMedia(
            _move(merged, into, title), 0.0 if start is None else max(0.0, start - audio_lead)
        )

    def _merge(self, files: list[tuple[Path, bool]], cancel: CancelToken) -> Path:
        """One plain file; a single one that is not fragmented stays as the site has it."""
        [(first, fragmented), *others] = files
        if not others and not fragmented:
            return first
        from lipsync.media.remux import remux

        return remux([path for path, _ in files], first.with_name("whole"), cancel)

    def _checked_size(self, folder: Path) -> int:
        """Bytes in the folder; raises where they are more than the options allow."""
        size = 0
        for entry in os.scandir(folder):
            try:
                size += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:  # a fragment that has just been appended to its stream
                continue
        self._check_size(size)
        return size

    def _check_size(self, size: int) -> None:
        if size > self.options.max_megabytes * 10**6:
            detail = f"{size / 1e6:.0f} of at most {self.options.max_megabytes} MB"
            raise explain_failure(DownloadFailure("large", detail), self.url)

    def _check_duration(self, seconds: float) -> None:
        """For media whose duration the site did not give."""
        if seconds > self.options.max_minutes * 60 + 1:
            detail = f"{seconds / 60:.1f} of at most {self.options.max_minutes:g} minutes"
            raise explain_failure(DownloadFailure("long", detail), self.url)

    @contextmanager
    def _start_worker(self, folder: Path | None, ranges: tuple[TimeRange, ...]) -> Iterator[_WorkerProcess]:
        request = worker.DownloadRequest(
            url=self.url,
            folder=folder,
            max_height=self.options.max_height,
            max_seconds=self.options.max_minutes * 60,
            span=enclosing_span(ranges),
            audio_only=self._audio_only,
            cookies=_read_cookies(self.options.cookies),
            runtimes=find_runtimes(),
            allow=self._allow,
        )
        process = _WorkerProcess(request)
        try:
            yield process
        finally:
            process.end()


class _WorkerProcess:
    """The download worker as seen by its parent: the process and its message pipe."""

    def __init__(self, request: worker.DownloadRequest) -> None:
        # spawn: a fork would copy threads' locks and open connections, and Windows has none
        context = multiprocessing.get_context("spawn")
        self._url = request.url
        self._pipe, far_end = context.Pipe(duplex=False)
        self._process = context.Process(target=worker.run, args=(far_end, request), daemon=True)
        self._process.start()
        far_end.close()

    def messages(self, cancel: CancelToken, size: Callable[[], int] = lambda: 0) -> Iterator[list[Any]]:
        """Yield the worker's messages until it ends. `size` returns the bytes written so far, or raises."""
        last_activity, last_size, page_read = time.monotonic(), 0, False
        while True:
            cancel.check("Downloading")
            written = size()
            if written >= last_size + _STALL_BYTES:
                last_activity, last_size = time.monotonic(), written
            message = _receive(self._pipe)
            if message is None:
                return
            if message and message[0] == "failed":
                raise explain_failure(_failure(message[1]), self._url)
            if message:
                yield message
            if message and message[0] != "progress":  # which comes for every byte of a trickle
                last_activity, page_read = time.monotonic(), True
            elif time.monotonic() - last_activity > (STALL_SECONDS if page_read else PAGE_SECONDS):
                raise explain_failure(DownloadFailure("stalled" if page_read else "slow"), self._url)

    def end(self) -> None:
        """Kill the process if it still runs, with the JavaScript runtime it may have started."""
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
    """The next message; an empty list when there is none yet, None when the pipe is closed."""
    try:
        if not pipe.poll(CancelToken.POLL_SECONDS):
            return []
        message: list[Any] = json.loads(pipe.recv_bytes())
    except (EOFError, OSError):
        return None
    return message


def _failure(values: dict[str, Any]) -> DownloadFailure:
    return DownloadFailure(
        values.get("reason", ""),
        values.get("text", ""),
        tuple(values.get("warnings", ())),
        tuple(values.get("refused", ())),
    )


def _link_info(values: dict[str, Any]) -> LinkInfo:
    heights, warnings = tuple(values.pop("heights")), tuple(values.pop("warnings"))
    return LinkInfo(**values, heights=heights, warnings=warnings)


def _read_cookies(path: Path | None) -> str | None:
    """Text of the cookies file, which is passed on as text since yt-dlp would write to the file."""
    if path is None:
        return None
    try:
        text = path.read_bytes()[:_COOKIES_BYTES].decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise explain_failure(DownloadFailure("cookies", str(error)), str(path)) from error
    if not text.startswith(("# Netscape HTTP Cookie File", "# HTTP Cookie File")):
        raise explain_failure(DownloadFailure("cookies"), str(path))
    return text


def _duration_and_audio_lead(path: Path) -> tuple[float, float]:
    """Duration, and by how much the audio starts before the video, in seconds.

    The fragments of the two may differ in duration, and the start of a span is known for the video.

    Raises:
        MediaError: what the site sent is not media.
    """
    from lipsync.media.audio.probe import probe_audio
    from lipsync.media.probe import scan_video

    try:
        info, frames = scan_video(path)
    except NoVideoError:
        return probe_audio(path).duration, 0.0
    lead = float(int(frames.pts[0]) * frames.time_base - frames.start) if frames else 0.0
    return info.duration, lead


def _move(path: Path, into: Path, title: str) -> Path:
    """Move a finished file to its name: the title in safe characters, numbered where that is taken."""
    stem = re.sub(r"[^\w .,()+-]", "_", title)[:_NAME_LENGTH].strip(" ._-") or "video"
    number = 1
    while True:
        target = into / f"{stem}{f'_{number}' if number > 1 else ''}{path.suffix}"
        try:
            target.touch(exist_ok=False)  # reserves the name against another download
        except FileExistsError:
            number += 1
            continue
        return path.replace(target)
