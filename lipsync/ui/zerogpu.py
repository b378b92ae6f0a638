"""Hugging Face's ZeroGPU, where a GPU is lent for single calls. Without effect anywhere else.

There, a decorated function runs in a process of its own, so what goes in and comes out is plain,
and a cancel is a file that both sides see.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lipsync
from lipsync.data_types import SyncResult
from lipsync.errors import Cancelled
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken, Progress
from lipsync.ui.work import Done, in_thread

_START_SECONDS, _SECONDS_A_FRAME, _MOST_SECONDS = 15, 0.05, 120
"""A generous guess at what a run takes: finding the face on the CPU is the most of it."""
OnGpu = Callable[..., Iterator[Progress | Done[SyncResult]]]


class StopFile(CancelToken):
    """A cancel token that another process sees: it is thrown when its file is there."""

    def __init__(self, path: Path) -> None:  # no event, which could not go to another process
        self._path = path

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._path.touch()

    @property
    def cancelled(self) -> bool:
        """Whether a cancel was asked for."""
        return self._path.exists()

    def check(self, stage: str = "") -> None:
        """Raise `Cancelled` if a cancel was asked for."""
        if self.cancelled:
            raise Cancelled(stage)


def seconds_needed(video: Path, voice: Path, options: SyncOptions, *_: Any) -> int:
    """For how long a GPU is asked for: by the frames of the result. Short calls come first."""
    frames = lipsync.plan(video, voice, options).frames
    return min(_MOST_SECONDS, round(_START_SECONDS + frames * _SECONDS_A_FRAME))


def _sync(
    video: Path, voice: Path, options: SyncOptions, output: Path, cancel: CancelToken
) -> Iterator[Progress | Done[SyncResult]]:
    yield from in_thread(
        lambda progress: lipsync.sync(video, voice, options, progress, cancel, output=output), cancel
    )


def _lent_gpu() -> OnGpu | None:
    """The same with a GPU that is lent for the call; None where there is no such thing."""
    if not os.environ.get("SPACES_ZERO_GPU") or importlib.util.find_spec("spaces") is None:
        return None
    import spaces  # type: ignore[import-not-found, unused-ignore]

    decorated: OnGpu = spaces.GPU(duration=seconds_needed)(_sync)
    return decorated


_on_lent_gpu = _lent_gpu()


def without_gpu(options: SyncOptions) -> SyncOptions:
    """The settings for work that no GPU is asked for, such as one frame: where GPUs are lent, on the CPU.

    Outside of a lent call a GPU seems to be there and cannot be used.
    """
    if _on_lent_gpu is None:
        return options
    return dataclasses.replace(options, generator=dataclasses.replace(options.generator, device="cpu"))


def sync_in_turn(
    video: Path, voice: Path, options: SyncOptions, output: Path, cancel: CancelToken
) -> Iterator[Progress | Done[SyncResult]]:
    """Run one job; yields its progress, and last the result.

    Raises:
        LipsyncError: as `lipsync.sync`.
    """
    if _on_lent_gpu is None:
        yield from _sync(video, voice, options, output, cancel)
        return
    stop = StopFile(output.with_suffix(".stop"))
    try:
        for news in _on_lent_gpu(video, voice, options, output, stop):
            if cancel.cancelled:
                stop.cancel()
            yield news
    except GeneratorExit:  # the visitor has gone
        stop.cancel()
        raise
