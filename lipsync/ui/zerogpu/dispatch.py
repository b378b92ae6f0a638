"""Hugging Face's ZeroGPU, where a GPU is lent for single calls. Without effect anywhere else.

There, a decorated function runs in a process of its own that has the GPU; see `lent`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lipsync.context import ModelProvider
from lipsync.options import SyncOptions
from lipsync.pipeline.job import plan
from lipsync.pipeline.sync import sync
from lipsync.progress import CancelToken, Progress
from lipsync.types import SyncResult
from lipsync.ui.background import Done, in_thread
from lipsync.ui.zerogpu.remote_models import Lend, RemoteModels, serve

_START_SECONDS, _MOST_SECONDS = 15, 120
_SECONDS_A_FRAME, _TO_ENHANCE, _TO_ENLARGE = 0.03, 0.05, 0.3
"""A generous guess at what drawing takes: reading, blending and writing on the CPU is the most of it."""


def seconds_needed(video: Path, voice: Path, options: SyncOptions) -> int:
    """For how long a GPU is asked for: by the frames of the result. Short calls come first."""
    frame = _SECONDS_A_FRAME
    frame += _TO_ENHANCE * (options.enhance.enhancer != "none")
    frame += _TO_ENLARGE * (options.enhance.upscaler != "none")
    return min(_MOST_SECONDS, round(_START_SECONDS + plan(video, voice, options).frames * frame))


def _lender() -> Lend | None:
    """What lends a GPU; None where there is no such thing."""
    if not os.environ.get("SPACES_ZERO_GPU") or importlib.util.find_spec("spaces") is None:
        return None
    import spaces  # type: ignore[import-not-found, unused-ignore]

    lend: Lend = spaces.GPU(duration=lambda address, seconds: seconds)(serve)
    return lend


_lend = _lender()  # at once: the lender wants to know at start-up that there is something to lend to


def without_gpu(options: SyncOptions) -> SyncOptions:
    """The settings for what runs in the page's own process: where GPUs are lent, on the CPU.

    Outside of a lent call a GPU seems to be there and cannot be used.
    """
    if _lend is None:
        return options
    return dataclasses.replace(options, generator=dataclasses.replace(options.generator, device="cpu"))


@contextmanager
def _networks(
    kept: ModelProvider, video: Path, voice: Path, options: SyncOptions, cancel: CancelToken
) -> Iterator[ModelProvider]:
    if _lend is None:
        yield kept
        return
    with RemoteModels(kept, _lend, seconds_needed(video, voice, options), cancel) as lent:
        yield lent


def sync_in_turn(
    video: Path,
    voice: Path,
    options: SyncOptions,
    output: Path,
    cancel: CancelToken,
    kept: ModelProvider,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Progress | Done[SyncResult]]:
    """Run one job; yields its progress, and last the result.

    Args:
        kept: the networks of this page.
        more: further arguments of `lipsync.sync`, such as segments.

    Raises:
        LipsyncError: as `lipsync.sync`.
    """
    here = without_gpu(options)
    with _networks(kept, video, voice, options, cancel) as models:
        yield from in_thread(
            lambda progress: sync(video, voice, here, progress, cancel, output=output, models=models, **more),
            cancel,
        )
