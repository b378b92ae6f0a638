"""Models that run in a GPU worker; the pipeline stays in the page's process.

    page's process                                         GPU worker
    read, detect, blend, encode                            serve_models()
    RemoteModels ── GpuWorkerClient ── socket, arrays ───► generate, enhance, upscale

The worker starts with the first crop to draw, after face detection, and ends with the job.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lipsync.context import ModelProvider
from lipsync.enhancers import Enhancer, EnhancerSpec, Upscaler, UpscalerSpec
from lipsync.generators import LipGenerator
from lipsync.generators.batched import BatchedGenerator
from lipsync.generators.wrapped import WrappedGenerator
from lipsync.options import EnhanceOptions, GeneratorOptions
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.sync_score import SyncExpert
from lipsync.types import Crops, FloatArray, Frame, Mouths
from lipsync.ui.zerogpu.gpu_worker import GpuRunner, GpuWorkerClient, options_as_json


class RemoteModels:
    """`ModelProvider` whose models run in a GPU worker; a context manager for one job.

    Local copies on the CPU provide the models' specs and encode the audio; only drawing is remote.

    Args:
        local: provides the local copies.
        runner: starts the worker.
        seconds: how long the GPU is needed.
        device: device of the worker.
    """

    def __init__(
        self, local: ModelProvider, runner: GpuRunner, seconds: int, cancel: CancelToken, device: str = "cuda"
    ) -> None:
        self._local, self._device = local, device
        self._worker = GpuWorkerClient(runner, seconds, cancel)

    def __enter__(self) -> RemoteModels:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def generator(self, variant: str, weights: Path | None, options: GeneratorOptions) -> LipGenerator:
        """As `ModelProvider`."""
        import torch

        local = self._local.generator(variant, weights, dataclasses.replace(options, device="cpu"))
        remote_options = dataclasses.replace(options, variant=variant, device=self._device, weights=weights)
        model = {"kind": "generator", **options_as_json(remote_options)}
        size = options.batch_size or BatchedGenerator.default_batch_size(torch.device(self._device))
        return _RemoteGenerator(local, self._worker, model, size)

    def enhancer(
        self,
        options: EnhanceOptions,
        device: str = "cpu",
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> tuple[Enhancer | None, str]:
        """As `ModelProvider`."""
        local, note = self._local.enhancer(options, "cpu", progress, cancel or CancelToken())
        if local is None:
            return None, note
        return _RemoteEnhancer(local, self._worker, self._model("enhancer", options)), note

    def upscaler(
        self,
        options: EnhanceOptions,
        device: str = "cpu",
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> tuple[Upscaler | None, str]:
        """As `ModelProvider`."""
        local, note = self._local.upscaler(options, "cpu", progress, cancel or CancelToken())
        if local is None:
            return None, note
        return _RemoteUpscaler(local, self._worker, self._model("upscaler", options)), note

    def _model(self, kind: str, options: EnhanceOptions) -> dict[str, Any]:
        return {"kind": kind, "device": self._device, **options_as_json(options)}

    def expert(self) -> SyncExpert:
        """As `ModelProvider`; runs locally on the CPU."""
        return self._local.expert()


class _RemoteGenerator(WrappedGenerator):
    """Encodes audio locally and generates mouths in the worker."""

    def __init__(
        self, local: LipGenerator, worker: GpuWorkerClient, model: dict[str, Any], batch_size: int
    ) -> None:
        super().__init__(local)
        self._worker, self._model = worker, model
        self.batch_size = batch_size  # of the worker's device

    @property
    def concurrent_batches(self) -> int:
        return 1

    def generate(self, crops: Crops, audio_rows: FloatArray) -> Mouths:
        if self.spec.crop_size is None:
            return self._worker.run(self._model, *crops, audio_rows)
        [mouths] = self._worker.run(self._model, np.asarray(crops), audio_rows)
        return mouths


class _RemoteEnhancer:
    """Enhances faces in the worker."""

    def __init__(self, local: Enhancer, worker: GpuWorkerClient, model: dict[str, Any]) -> None:
        self._worker, self._model = worker, model
        self.spec: EnhancerSpec = local.spec
        self.batch_size = local.batch_size

    def enhance(
        self, faces: npt.NDArray[np.uint8], strength: float = 1.0, cancel: CancelToken | None = None
    ) -> npt.NDArray[np.uint8]:
        [enhanced] = self._worker.run({**self._model, "strength": strength}, faces)
        return enhanced


class _RemoteUpscaler:
    """Upscales frames in the worker."""

    def __init__(self, local: Upscaler, worker: GpuWorkerClient, model: dict[str, Any]) -> None:
        self._worker, self._model = worker, model
        self.spec: UpscalerSpec = local.spec
        self.tile = local.tile

    def upscale(self, frame: Frame, cancel: CancelToken | None = None) -> Frame:
        [larger] = self._worker.run(self._model, frame)
        return larger
