"""Real-ESRGAN as an `Upscaler`, on overlapping tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lipsync.devices import choose_device, choose_dtype, free_memory, is_out_of_memory
from lipsync.enhancers import loaders
from lipsync.enhancers.base import UpscalerSpec
from lipsync.enhancers.cancel_hook import CancelHook
from lipsync.errors import ToolError
from lipsync.progress import CancelToken
from lipsync.types import FloatArray, Frame
from lipsync.weights import entry

_NUMBER_FORMATS = ("fp32", "bf16", "fp16")
_TILE_SIZES = {"cpu": 256, "mps": 384, "cuda": 512}
_MIN_TILE = 64
_OVERLAP = 32
"""Pixels that neighbouring tiles share. At a tile's edge the network lacks context; there the neighbour
is shown, and in the middle of the overlap the two cross-fade."""


class RealESRGAN:
    """Real-ESRGAN x2; an `Upscaler`.

    Args:
        weights: the checkpoint.
        device, number_format: as in `GeneratorOptions`.
        tile: side of a tile in pixels; 0 chooses by device.
        name: the weights' name in the catalogue, for the licence in the spec.
        batch_size: not used: tiles go through the network one by one.

    Raises:
        WeightsError, OptionError, ToolError: as `FaceRestorer`.
    """

    def __init__(
        self,
        weights: Path,
        *,
        device: str | torch.device = "auto",
        number_format: str = "auto",
        tile: int = 0,
        name: str = "realesrgan_x2",
        batch_size: int = 0,
    ) -> None:
        self.device = choose_device(device) if isinstance(device, str) else device
        self.dtype = choose_dtype(number_format, self.device, _NUMBER_FORMATS)
        self.spec = UpscalerSpec(
            name, _NUMBER_FORMATS, entry(name).licence, "Wang et al., ICCVW 2021, arXiv 2107.10833"
        )
        self.network = loaders.load_realesrgan_x2(weights).to(self.device, self.dtype)
        self.tile = tile or _TILE_SIZES.get(self.device.type, _TILE_SIZES["cpu"])
        self._cancel_hook = CancelHook(self.network, "Enlarging")

    @staticmethod
    def check_installed(name: str) -> None:
        """Raise `ToolError` if the packages with the network are missing."""
        loaders.find_network_class("rrdbnet")

    def upscale(self, frame: Frame, cancel: CancelToken | None = None) -> Frame:
        """See `Upscaler.upscale`."""
        while True:
            tile = self.tile
            try:
                return self._upscale(frame, tile, cancel)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if tile <= _MIN_TILE:
                    raise ToolError(
                        "There is not enough memory to enlarge even a small part of a frame",
                        given=f"device {self.device}",
                        hint="Close other programs, or choose another device (for example 'cpu').",
                    ) from error
            # Outside of the handler: the exception would keep the failed tile's tensors alive.
            free_memory(self.device)
            self.tile = min(self.tile, max(_MIN_TILE, tile // 2))

    def _upscale(self, frame: Frame, tile: int, cancel: CancelToken | None) -> Frame:
        """Join tiles to strips and strips to the frame, each cross-faded with the last."""
        scale = self.spec.scale
        height, width = frame.shape[:2]
        result = np.empty((height * scale, width * scale, 3), np.uint8)
        for top, bottom, above in _tile_spans(height, tile):
            strip = np.empty(((bottom - top) * scale, width * scale, 3), np.uint8)
            for left, right, before in _tile_spans(width, tile):
                enlarged = self._upscale_tile(frame[top:bottom, left:right], cancel)
                weights = _fade_in(enlarged.shape[1], before * scale)
                _blend_into(strip[:, left * scale : right * scale], enlarged, weights)
            weights = _fade_in(len(strip), above * scale)[:, None]
            _blend_into(result[top * scale : bottom * scale], strip, weights)
        return result

    @torch.inference_mode()
    def _upscale_tile(self, tile: Frame, cancel: CancelToken | None) -> FloatArray:
        """One forward pass: (h, w, 3) uint8 -> (2 h, 2 w, 3) float32 in [0, 255]."""
        height, width = tile.shape[:2]
        # The network takes pixels in squares of two by two.
        even = np.pad(tile, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        image = torch.from_numpy(even).to(self.device).permute(2, 0, 1)[None].float() / 255
        with self._cancel_hook.on(cancel):
            output = self.network(image.to(self.dtype).contiguous(memory_format=torch.channels_last))
        rgb: FloatArray = output[0].float().clamp_(0, 1).mul_(255).permute(1, 2, 0).cpu().numpy()
        return rgb[: height * self.spec.scale, : width * self.spec.scale]


def _tile_spans(length: int, tile: int) -> list[tuple[int, int, int]]:
    """Evenly spread tiles along one side: start, stop, overlap with the one before.

    Starts are even, since the network takes pixels in pairs.
    """
    if length <= tile:
        return [(0, length, 0)]
    count = -(-(length - _OVERLAP) // (tile - _OVERLAP))
    starts = [number * (length - tile) // (count - 1) // 2 * 2 for number in range(count)]
    # With its start rounded down to even, the last tile may end one pixel short; it is extended.
    stops = [*(start + tile for start in starts[:-1]), length]
    shared = [0, *(stop - start for stop, start in zip(stops, starts[1:], strict=False))]
    return list(zip(starts, stops, shared, strict=True))


def _fade_in(length: int, shared: int) -> FloatArray:
    """Weights (length, 1): 0 to 1 over the middle half of the first `shared` pixels."""
    weights = np.ones((length, 1), np.float32)
    place = (np.arange(shared, dtype=np.float32)[:, None] + np.float32(0.5)) / np.float32(max(shared, 1))
    weights[:shared] = np.clip(2 * place - np.float32(0.5), 0, 1)
    return weights


def _blend_into(background: Frame, image: Frame | FloatArray, weights: FloatArray) -> None:
    """Blend `image` into `background` (h, w, 3), in place, by weights in [0, 1]."""
    mixed = weights * image + (1 - weights) * background
    background[:] = (mixed + np.float32(0.5)).astype(np.uint8)
