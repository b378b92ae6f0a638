"""Downloads of weights: several mirrors, resumption, checks of size and SHA-256."""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pooch

from lipsync.errors import Cancelled, DownloadError
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.utils.cancellable import CancellableCalls
from lipsync.utils.disk_errors import is_disk_full
from lipsync.weights.catalogue import WeightsEntry, entry
from lipsync.weights.locations import find, weights_folder

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 16  # bytes between two checks of the cancel token: under a second at 100 kB/s
_TIMEOUT = (10, 30)  # seconds to connect, seconds without a byte
_KEPT = "what was downloaded is kept; the same command goes on from there."
_ABANDONED_SECONDS = 120  # well above _TIMEOUT: a running download touches its file more often


def require(
    name: str,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """The file of the entry called `name`, downloaded into `weights_folder()` if it is missing.

    Raises:
        OptionError: there is no such entry.
        DownloadError: it is missing and cannot be downloaded; the text says how to get it by hand.
        Cancelled: the token was cancelled; the next call resumes the download.
    """
    return find(name) or download(entry(name), weights_folder(), progress=progress, cancel=cancel)


def download(
    wanted: WeightsEntry,
    folder: Path,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Download `wanted` into `folder` from the first mirror that has it.

    Interrupted downloads are resumed, and size and SHA-256 are checked; the file appears under its name
    only when it is complete. Several processes may download the same file at the same time.

    Raises:
        DownloadError: no mirror gave the right file, or the disk is full or not writable.
        Cancelled: the token was cancelled; the next call resumes the download.
    """
    target = folder / wanted.filename
    failures: list[str] = []
    with _disk_errors(wanted, target):
        folder.mkdir(parents=True, exist_ok=True)
        _check_space(wanted, folder)
    for url in wanted.urls:
        try:
            with _disk_errors(wanted, target):
                return _fetch(wanted, url, target, progress, cancel or CancelToken())
        except _MirrorFailed as failure:
            failures.append(f"{url}: {failure}")
    raise _download_error(wanted, target, "; ".join(failures) or "it can only be downloaded by hand")


class _MirrorFailed(Exception):
    """One mirror did not give the file; the next may."""


@contextmanager
def _disk_errors(wanted: WeightsEntry, target: Path) -> Iterator[None]:
    """Turn OSErrors of the disk into a DownloadError; `_resume` handles those of the network."""
    try:
        yield
    except OSError as error:
        denied = f"the folder cannot be written to ({error.strerror})"
        why = "the disk is full" if is_disk_full(error) else denied
        raise _download_error(wanted, target, why) from error


def _download_error(wanted: WeightsEntry, target: Path, why: str) -> DownloadError:
    address = wanted.urls[0] if wanted.urls else wanted.source
    return DownloadError(
        f"The weights '{wanted.name}' could not be downloaded",
        given=why,
        hint=(
            f"To get them by hand, open {address} in a browser and save the file as {target} "
            f"({wanted.bytes:,} bytes, SHA-256 {wanted.sha256})."
        ),
    )


def _check_space(wanted: WeightsEntry, folder: Path) -> None:
    kept = sum(part.stat().st_size for part in folder.glob(f"{wanted.filename}*.part"))
    if shutil.disk_usage(folder).free < wanted.bytes - kept:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fetch(
    wanted: WeightsEntry, url: str, target: Path, progress: ProgressCallback, cancel: CancelToken
) -> Path:
    """One mirror, by pooch: it calls `into`, checks the hash and moves the file into place."""

    def into(url: str, output: str | Path, _: object) -> None:
        part = _adopt_part(target)
        try:
            _resume(wanted, url, part, progress, cancel)
            part.replace(output)
        except Cancelled as cancelled:
            if _size(part):
                cancelled.kept = _KEPT
            raise
        finally:
            if part.exists():  # interrupted: the next call resumes the file of this name
                part.replace(target.with_name(f"{target.name}.part"))

    pooch.get_logger().setLevel("WARNING")  # its lines would break the progress bar
    try:
        pooch.retrieve(url, f"sha256:{wanted.sha256}", target.name, target.parent, downloader=into)
    except ValueError as error:  # raised by pooch for a wrong hash
        raise _MirrorFailed("the file there is another one (wrong SHA-256)") from error
    return target


def _adopt_part(target: Path) -> Path:
    """A private part file; takes over an abandoned one if there is any."""
    own = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    for left in sorted(target.parent.glob(f"{target.name}*.part")):
        try:
            stopped = left.name == f"{target.name}.part"
            if stopped or time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                return left.replace(own)
        except FileNotFoundError:  # another process was faster
            continue
    return own


def _resume(
    wanted: WeightsEntry, url: str, part: Path, progress: ProgressCallback, cancel: CancelToken
) -> None:
    """Download the rest of `part`, reconnecting where the connection was cut."""
    import requests  # imported here and below: not needed where the weights exist

    if _size(part) > wanted.bytes:
        part.unlink()  # left over from another file of this name
    have, before = _size(part), -1
    why = "the connection was cut"
    while before < have < wanted.bytes:  # as long as every attempt makes progress
        before = have
        try:
            _stream(wanted, url, part, have, progress, cancel)
        except requests.exceptions.ChunkedEncodingError:
            why = "the connection was cut"
        except (requests.ConnectionError, requests.Timeout) as error:
            why = f"no connection ({type(error).__name__})"
        except requests.RequestException as error:
            raise _MirrorFailed(f"{type(error).__name__}: {error}") from error
        have = _size(part)
    if have != wanted.bytes:
        raise _MirrorFailed(why)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _stream(
    wanted: WeightsEntry,
    url: str,
    part: Path,
    have: int,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> None:
    import requests

    headers = {"Accept-Encoding": "identity"}  # compressed, sizes and ranges would not be the file's
    if 0 < have < wanted.bytes:
        headers["Range"] = f"bytes={have}-"
    stage = f"Downloading {wanted.filename}, licence: {wanted.licence}"
    cancel.check(stage)
    with CancellableCalls(cancel, stage) as calls, ExitStack() as cleanup:
        # In a thread: a server that does not answer must not hold a cancel.
        response = calls.run(requests.get, url, headers=headers, stream=True, timeout=_TIMEOUT)
        cleanup.callback(response.close)
        continued = response.status_code == requests.codes.partial_content
        have = have if continued else 0
        _check_response(wanted, response, have)
        report = StageProgress(stage, wanted.bytes, progress, cancel, done=have, unit="byte")
        try:
            with part.open("ab" if continued else "wb") as file:
                chunks = response.iter_content(_CHUNK)
                while chunk := calls.run(next, chunks, b""):
                    file.write(chunk)
                    report.advance(len(chunk))
        except Cancelled:
            cleanup.pop_all()  # closing would wait for the read that is going on
            raise


def _check_response(wanted: WeightsEntry, response: requests.Response, have: int) -> None:
    """Refuse answers that cannot be the file, before hundreds of megabytes are downloaded."""
    if not response.ok:
        raise _MirrorFailed(f"the server answered {response.status_code} {response.reason}")
    if "text/html" in response.headers.get("Content-Type", ""):
        raise _MirrorFailed("the address answered with a web page instead of the file")
    length = response.headers.get("Content-Length")
    if length and have + int(length) != wanted.bytes:
        raise _MirrorFailed(f"the file there has {have + int(length):,} bytes, not {wanted.bytes:,}")
