"""Batching of generators, with smaller batches when memory runs out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch

from lipsync.devices import concurrent_batches, run_in_batches
from lipsync.generators.base import GeneratorSpec
from lipsync.types import FloatArray

_BATCH_SIZES = {"cpu": 4, "mps": 32, "cuda": 128}
"""By type of device. On a CPU larger batches are no faster, and a cancel waits for the batch under way."""


class BatchedGenerator(ABC):
    """Base class of generators: splits `generate` into batches that fit into memory.

    Attributes:
        spec: properties of the generator.
        device: where the network runs.
        batch_size: frames per forward pass; halved, for good, when memory runs out.
    """

    spec: GeneratorSpec
    device: torch.device
    batch_size: int

    @property
    def concurrent_batches(self) -> int:
        """See `LipGenerator.concurrent_batches`."""
        return concurrent_batches(self.device)

    @staticmethod
    def default_batch_size(device: torch.device) -> int:
        """Frames per forward pass that suit `device`."""
        return _BATCH_SIZES.get(device.type, _BATCH_SIZES["cpu"])

    def generate(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        """See `LipGenerator.generate`.

        Raises:
            ValueError: the shapes are not those of the network, or do not fit each other.
            ToolError: not even one frame fits into memory.
        """
        height, width = self.spec.crop_size
        if crops.shape[1:] != (height, width, 3) or len(crops) != len(audio_rows):
            raise ValueError(f"crops {crops.shape} and audio rows {audio_rows.shape} do not fit")
        generated = np.empty((len(crops), 3, height, width), np.float32)

        def generate(part: slice) -> None:
            generated[part] = self._forward(crops[part], audio_rows[part])

        size = run_in_batches(generate, len(crops), self.batch_size, self.device, "generate even one frame")
        self.batch_size = min(size, self.batch_size)  # another thread may have found a smaller one
        return generated

    @abstractmethod
    def _forward(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        """One forward pass; arguments and result as for `generate`."""
