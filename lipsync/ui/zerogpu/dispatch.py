"""Runs a job with its models in a ZeroGPU worker, or locally on any other machine.

On ZeroGPU a decorated function runs in a process of its own that has the GPU; see `gpu_worker`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lipsync.context import ModelProvider
from lipsync.options import SyncOptions
from lipsync.pipeline.sync import sync
from lipsync.progress import CancelToken, Progress
from lipsync.types import SyncResult
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.request import SyncRequest
from lipsync.ui.zerogpu.gpu_worker import GpuRunner, serve_models
from lipsync.ui.zerogpu.remote_models import RemoteModels

_START_SECONDS, _MAX_SECONDS = 15, 120
_FRAME_SECONDS, _ENHANCER_SECONDS, _UPSCALER_SECONDS = 0.03, 0.05, 0.3
"""Generous estimates per frame; reading, blending and encoding on the CPU take most of it."""


@dataclass(frozen=True)
class ZeroGpu:
    """ZeroGPU service of this machine: starts workers, which run on `device`."""

    runner: GpuRunner
    device: str = "cuda"


def find_zero_gpu() -> ZeroGpu | None:
    """Return the ZeroGPU service; None where there is none."""
    if not os.environ.get("SPACES_ZERO_GPU") or importlib.util.find_spec("spaces") is None:
        return None
    import spaces  # type: ignore[import-not-found, unused-ignore]

    return ZeroGpu(spaces.GPU(duration=lambda address, seconds: seconds)(serve_models))


ZERO_GPU = find_zero_gpu()  # at import: ZeroGPU requires a decorated function when the Space starts


def local_options(options: SyncOptions) -> SyncOptions:
    """Return the settings for the page's own process: on ZeroGPU the device becomes the CPU.

    Outside of a worker a GPU seems to exist there, but cannot be used.
    """
    if ZERO_GPU is None:
        return options
    return dataclasses.replace(options, generator=dataclasses.replace(options.generator, device="cpu"))


def estimate_gpu_seconds(request: SyncRequest) -> int:
    """Return how long the GPU is needed, by the number of frames; ZeroGPU serves short calls first."""
    enhance = request.options.enhance
    frame = _FRAME_SECONDS
    frame += _ENHANCER_SECONDS * (enhance.enhancer != "none")
    frame += _UPSCALER_SECONDS * (enhance.upscaler != "none")
    return min(_MAX_SECONDS, round(_START_SECONDS + request.plan().frames * frame))


@contextmanager
def _models(local: ModelProvider, request: SyncRequest, cancel: CancelToken) -> Iterator[ModelProvider]:
    """The models of one job: in a GPU worker on ZeroGPU, else the local ones."""
    if ZERO_GPU is None:
        yield local
        return
    seconds = estimate_gpu_seconds(request)
    with RemoteModels(local, ZERO_GPU.runner, seconds, cancel, ZERO_GPU.device) as remote:
        yield remote


def run_job(
    request: SyncRequest, output: Path, cancel: CancelToken, models: ModelProvider
) -> Iterator[Progress | Done[SyncResult]]:
    """Run one job; yield its progress, and the result last.

    Args:
        output: file to write.
        models: the page's local models.

    Raises:
        LipsyncError: as `lipsync.sync`.
    """
    video, voice = request.files()
    options = local_options(request.options)
    with _models(models, request, cancel) as provider:
        yield from run_in_thread(
            lambda progress: sync(
                video,
                voice,
                options,
                progress,
                cancel,
                output=output,
                models=provider,
                cache=request.cache,
                cues=request.cues,
                redraw=request.redraw,
                **request.speakers,
            ),
            cancel,
        )
