"""Batching of generators, with smaller batches when memory runs out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lipsync.devices import concurrent_batches, run_in_batches
from lipsync.generators.base import GeneratorSpec
from lipsync.types import Crops, FloatArray, Mouths

if TYPE_CHECKING:
    import torch

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

    def generate(self, crops: Crops, audio_rows: FloatArray) -> Mouths:
        """See `LipGenerator.generate`.

        Raises:
            ValueError: the shapes are not those of the network, or do not fit each other.
            ToolError: not even one frame fits into memory.
        """
        return self._in_batches(self._forward, crops, audio_rows)

    def _in_batches(
        self, forward: Callable[[Crops, FloatArray], Mouths], crops: Crops, audio_rows: FloatArray
    ) -> Mouths:
        """What `forward` gives for all, computed in batches; errors as of `generate`."""
        self._check(crops, audio_rows)
        parts: list[Mouths] = []
        size = run_in_batches(
            lambda part: parts.append(forward(crops[part], audio_rows[part])),
            len(crops),
            self.batch_size,
            self.device,
            "generate even one frame",
        )
        self.batch_size = min(size, self.batch_size)  # another thread may have found a smaller one
        if self.spec.crop_size is None:
            return [mouth for part in parts for mouth in part]
        return np.concatenate([np.empty((0, 3, *self.spec.crop_size), np.float32), *parts])

    def _check(self, crops: Crops, audio_rows: FloatArray) -> None:
        size = self.spec.crop_size
        fits = len(crops) == len(audio_rows)
        if size is not None:
            fits &= isinstance(crops, np.ndarray) and crops.shape[1:] == (*size, 3)
        else:
            fits &= all(crop.ndim == 3 and crop.shape[2] == 3 for crop in crops)
        if not fits:
            shapes = sorted({crop.shape for crop in crops})
            raise ValueError(f"{len(crops)} crops {shapes} and audio rows {audio_rows.shape} do not fit")

    @abstractmethod
    def _forward(self, crops: Crops, audio_rows: FloatArray) -> Mouths:
        """One forward pass; arguments and result as for `generate`."""
