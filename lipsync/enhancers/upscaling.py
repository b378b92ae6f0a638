"""Real-ESRGAN as an `Upscaler`: a frame goes through the network in tiles that overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lipsync.devices import choose_device, choose_dtype, free_memory, is_out_of_memory
from lipsync.enhancers import loaders
from lipsync.enhancers.base import UpscalerSpec
from lipsync.enhancers.cancel_hook import CancelHook
from lipsync.enhancers.network_classes import network_class
from lipsync.errors import ToolError
from lipsync.progress import CancelToken
from lipsync.types import FloatArray, Frame
from lipsync.weights import entry

_FORMATS = ("fp32", "bf16", "fp16")
_TILES = {"cpu": 256, "mps": 384, "cuda": 512}
_SMALLEST = 64
_OVERLAP = 32
"""Pixels that neighbouring tiles share. What the network draws at a tile's edge lacks the picture
beyond it; there the neighbour shows, and in the middle one fades into the other."""


class RealESRGAN:
    """See `Upscaler`.

    Args:
        weights: the checkpoint.
        device, number_format: as in `GeneratorOptions`.
        tile: side of a tile in pixels; 0 chooses by device.
        name: the catalogue's name of the weights, for the licence in the spec.
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
        self.dtype = choose_dtype(number_format, self.device, _FORMATS)
        self.spec = UpscalerSpec(
            name, _FORMATS, entry(name).licence, "Wang et al., ICCVW 2021, arXiv 2107.10833"
        )
        self.network = loaders.realesrgan_x2(weights).to(self.device, self.dtype)
        self.tile = tile or _TILES.get(self.device.type, _TILES["cpu"])
        self._leaving = CancelHook(self.network, "Enlarging")

    @staticmethod
    def check_installed(name: str) -> None:
        """Raise `ToolError` where the packages with the network are missing."""
        network_class("rrdbnet")

    def upscale(self, frame: Frame, cancel: CancelToken | None = None) -> Frame:
        """As `Upscaler.upscale`."""
        while True:
            tile = self.tile
            try:
                return self._upscale(frame, tile, cancel)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if tile <= _SMALLEST:
                    raise ToolError(
                        "There is not enough memory to enlarge even a small part of a frame",
                        given=f"device {self.device}",
                        hint="Close other programs, or choose another device (for example 'cpu').",
                    ) from error
            # Outside of the handler: the exception would hold on to the failed tile's tensors.
            free_memory(self.device)
            self.tile = min(self.tile, max(_SMALLEST, tile // 2))

    def _upscale(self, frame: Frame, tile: int, cancel: CancelToken | None) -> Frame:
        """Tiles are joined to strips, and strips to the frame; each fades in over the one before."""
        scale = self.spec.scale
        height, width = frame.shape[:2]
        result = np.empty((height * scale, width * scale, 3), np.uint8)
        for top, bottom, above in _spans(height, tile):
            strip = np.empty(((bottom - top) * scale, width * scale, 3), np.uint8)
            for left, right, before in _spans(width, tile):
                drawn = self._draw(frame[top:bottom, left:right], cancel)
                _lay_over(
                    strip[:, left * scale : right * scale], drawn, _fade(drawn.shape[1], before * scale)
                )
            _lay_over(result[top * scale : bottom * scale], strip, _fade(len(strip), above * scale)[:, None])
        return result

    @torch.inference_mode()
    def _draw(self, part: Frame, cancel: CancelToken | None) -> FloatArray:
        """(h, w, 3) uint8 to (2 h, 2 w, 3) float32 in 0..255."""
        height, width = part.shape[:2]
        # The network takes pixels in squares of two by two.
        even = np.pad(part, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = torch.from_numpy(even).to(self.device).permute(2, 0, 1)[None].float() / 255
        with self._leaving.on(cancel):
            drawn = self.network(picture.to(self.dtype).contiguous(memory_format=torch.channels_last))
        rgb: FloatArray = drawn[0].float().clamp_(0, 1).mul_(255).permute(1, 2, 0).cpu().numpy()
        return rgb[: height * self.spec.scale, : width * self.spec.scale]


def _spans(length: int, tile: int) -> list[tuple[int, int, int]]:
    """Tiles along one side: (start, stop, pixels shared with the one before), evenly spread.

    Starts are even, since the network takes pixels in pairs.
    """
    if length <= tile:
        return [(0, length, 0)]
    count = -(-(length - _OVERLAP) // (tile - _OVERLAP))
    starts = [number * (length - tile) // (count - 1) // 2 * 2 for number in range(count)]
    # Its start rounded down to even, the last tile may end one pixel short; it is made longer.
    stops = [*(start + tile for start in starts[:-1]), length]
    shared = [0, *(stop - start for stop, start in zip(stops, starts[1:], strict=False))]
    return list(zip(starts, stops, shared, strict=True))


def _fade(length: int, shared: int) -> FloatArray:
    """Float32 (length, 1): from 0 to 1 across the middle half of the first `shared` pixels, then 1."""
    shown = np.ones((length, 1), np.float32)
    place = (np.arange(shared, dtype=np.float32)[:, None] + np.float32(0.5)) / np.float32(max(shared, 1))
    shown[:shared] = np.clip(2 * place - np.float32(0.5), 0, 1)
    return shown


def _lay_over(under: Frame, drawn: Frame | FloatArray, shown: FloatArray) -> None:
    """Mix `drawn` into `under`, in place, as strongly as `shown` says."""
    mixed = shown * drawn + (1 - shown) * under
    under[:] = (mixed + np.float32(0.5)).astype(np.uint8)
