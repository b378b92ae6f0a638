"""What the page's buttons do: plain functions of the inputs, usable without a browser."""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lipsync
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.progress import CancelToken, Progress

_POLL_SECONDS = 0.2


def run_job(
    video: str | None,
    voice: str | None,
    settings: dict[str, Any],
    cancel: CancelToken,
) -> Iterator[Progress | lipsync.SyncResult]:
    """Run one job in a thread; yields its progress, and at last the result.

    The result lies in a folder that is removed when the iterator is exhausted or closed, so
    whoever iterates takes what it needs before it asks for more.

    Raises:
        LipsyncError: what went wrong, in words.
    """
    if not video:
        raise InputError("There is no video yet", hint="Drop a video or a photo on the left.")
    if not voice:
        raise InputError("There is no voice yet", hint="Drop or record a sound on the left.")
    reports: queue.Queue[Progress] = queue.Queue()
    with (
        tempfile.TemporaryDirectory(prefix="lipsync-", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(1, thread_name_prefix="lipsync job") as pool,
    ):
        output = Path(folder) / f"{Path(video).stem}_synced.mp4"
        try:
            options = lipsync.SyncOptions.from_flat(**settings)
            job = pool.submit(lipsync.sync, video, voice, options, reports.put, cancel, output=output)
            while not job.done():
                yield from _latest(reports)
            yield job.result()
        finally:
            cancel.cancel()  # the visitor may have gone; no-op for a finished job


def _latest(reports: queue.Queue[Progress]) -> Iterator[Progress]:
    """Wait a little for a report, and yield the newest of those that came."""
    try:
        newest = reports.get(timeout=_POLL_SECONDS)
    except queue.Empty:
        return
    while not reports.empty():
        newest = reports.get()
    yield newest


def describe_progress(progress: Progress) -> str:
    """One line for the status: stage, how far, time left."""
    parts = [progress.stage]
    if progress.total:
        parts.append(f"{progress.done} of {progress.total}")
    if progress.seconds_left is not None:
        parts.append(f"about {progress.seconds_left:.0f} s left")
    return " · ".join(parts)


def describe_error(error: LipsyncError) -> str:
    """What happened, what was given and what to do next, as Markdown."""
    if isinstance(error, Cancelled):
        return "**Stopped.** Nothing was kept."
    return f"**{error.what}**" + (f": {error.given}" if error.given else "") + f". {error.hint}"


def describe_result(result: lipsync.SyncResult) -> str:
    """What was made and what to know about it, as Markdown."""
    total = result.timings["total"]
    lines = [
        f"**Done in {total:.1f} s.** {result.duration:.2f} s of {result.width}×{result.height} at "
        f"{float(result.fps):g} frames/s, lips by *{result.variant}*."
    ]
    lines += [f"- {warning}" for warning in result.warnings]
    return "\n".join(lines)
