"""Drawing in batches that fit into memory, whatever the network."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch

from lipsync.devices import concurrent_batches, run_in_batches
from lipsync.generators.base import GeneratorSpec
from lipsync.types import FloatArray

# On a CPU larger batches are no faster, and a cancel has to wait for the batch under way.
_SIZES = {"cpu": 4, "mps": 32, "cuda": 128}


class BatchedGenerator(ABC):
    """Splits what it is asked to draw; a batch that does not fit is drawn in halves.

    Attributes:
        spec, device: of the network inside.
        batch_size: frames drawn at a time; halved, for good, when memory runs out.
    """

    spec: GeneratorSpec
    device: torch.device
    batch_size: int

    @property
    def concurrent_batches(self) -> int:
        """Batches to draw at the same time, see `LipGenerator`."""
        return concurrent_batches(self.device)

    @staticmethod
    def default_batch_size(device: torch.device) -> int:
        """Frames at a time that suit `device`."""
        return _SIZES.get(device.type, _SIZES["cpu"])

    def generate(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        """Draw mouths; (B, H, W, 3) uint8 RGB and (B, ...) float32 -> (B, 3, H, W) RGB in [0, 1].

        Raises:
            ToolError: not even one frame fits into memory.
        """
        height, width = self.spec.crop_size
        if crops.shape[1:] != (height, width, 3) or len(crops) != len(audio_rows):
            raise ValueError(f"crops {crops.shape} and audio rows {audio_rows.shape} do not fit")
        drawn = np.empty((len(crops), 3, height, width), np.float32)

        def draw(part: slice) -> None:
            drawn[part] = self._draw(crops[part], audio_rows[part])

        size = run_in_batches(draw, len(crops), self.batch_size, self.device, "draw even one frame")
        self.batch_size = min(size, self.batch_size)  # another thread may have found a smaller one
        return drawn

    @abstractmethod
    def _draw(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        """Run the network once; arguments and result as for `generate`."""
