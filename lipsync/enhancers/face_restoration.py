"""GFPGAN and RestoreFormer as `Enhancer`s: pictures in the program's form, the network's inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lipsync.devices import choose_device, choose_dtype, run_in_batches
from lipsync.enhancers import loaders
from lipsync.enhancers.base import EnhancerSpec
from lipsync.enhancers.cancel_hook import CancelHook
from lipsync.enhancers.network_classes import network_class
from lipsync.progress import CancelToken
from lipsync.weights import entry

# On a CPU a face takes seconds, whatever the batch.
_SIZES = {"cpu": 1, "mps": 4, "cuda": 16}


@dataclass(frozen=True)
class _Kind:
    """One network: its name in `packages`, how it is loaded, run and called, where it is described."""

    network: str
    load: Callable[[Path], nn.Module]
    number_formats: tuple[str, ...]
    arguments: dict[str, bool]
    paper: str


_GFPGAN = _Kind(
    "gfpgan",
    loaders.gfpgan,
    # Not fp16: the demodulation squares and sums whole layers, which overflows it. In bf16 the picture
    # is within 4 (mean 0.5) of 255 of that in fp32.
    ("fp32", "bf16"),
    # With fresh noise for every frame, which is the default, the skin would flicker.
    {"return_rgb": False, "randomize_noise": False},
    "Wang et al., CVPR 2021, arXiv 2101.04061",
)
_RESTOREFORMER = _Kind(
    "restoreformer",
    loaders.restoreformer,
    # Features are replaced by the nearest of a list; rounded, another one is the nearest.
    ("fp32",),
    {},
    "Wang et al., CVPR 2022, arXiv 2201.06374",
)
KINDS = {"gfpgan": _GFPGAN, "gfpgan_1.3": _GFPGAN, "restoreformer": _RESTOREFORMER}


class FaceRestorer:
    """See `Enhancer`.

    Args:
        weights: the checkpoint.
        name: one of `KINDS`, which is the name in the catalogue of weights too.
        device, number_format: as in `GeneratorOptions`.
        batch_size: faces drawn at a time; 0 chooses by device.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
        OptionError: there is no such device, or no such number format for it.
        ToolError: the packages with the network are missing.
    """

    def __init__(
        self,
        weights: Path,
        *,
        name: str = "gfpgan",
        device: str | torch.device = "auto",
        number_format: str = "auto",
        batch_size: int = 0,
    ) -> None:
        self._kind = kind = KINDS[name]
        self.device = choose_device(device) if isinstance(device, str) else device
        self.dtype = choose_dtype(number_format, self.device, kind.number_formats)
        self.spec = EnhancerSpec(name, kind.number_formats, entry(name).licence, kind.paper, loaders.SIZE)
        self.network = kind.load(weights).to(self.device, self.dtype)
        self.batch_size = batch_size or _SIZES.get(self.device.type, _SIZES["cpu"])
        self._leaving = CancelHook(self.network, "Enhancing")

    @staticmethod
    def check_installed(name: str) -> None:
        """Raise `ToolError` where the packages with the network called `name` are missing."""
        network_class(KINDS[name].network)

    def enhance(
        self, faces: npt.NDArray[np.uint8], strength: float = 1.0, cancel: CancelToken | None = None
    ) -> npt.NDArray[np.uint8]:
        """As `Enhancer.enhance`."""
        size = self.spec.size
        if faces.shape[1:] != (size, size, 3) or faces.dtype != np.uint8:
            raise ValueError(f"faces must be uint8 (B, {size}, {size}, 3), got {faces.dtype} {faces.shape}")
        if strength == 0:
            return faces.copy()
        sharper = np.empty_like(faces)

        def work(part: slice) -> None:
            sharper[part] = self._draw(faces[part], strength, cancel)

        size = run_in_batches(work, len(faces), self.batch_size, self.device, "sharpen even one face")
        self.batch_size = min(size, self.batch_size)
        return sharper

    @torch.inference_mode()
    def _draw(
        self, faces: npt.NDArray[np.uint8], strength: float, cancel: CancelToken | None
    ) -> npt.NDArray[np.uint8]:
        before = torch.from_numpy(np.ascontiguousarray(faces)).to(self.device).permute(0, 3, 1, 2).float()
        # Normalised and brought back as gfpgan/utils.py does.
        normal = ((before / 255 - 0.5) / 0.5).contiguous().to(self.dtype)
        with self._leaving.on(cancel):
            drawn = self.network(normal, **self._kind.arguments)[0]
        after = (drawn.float().clamp_(-1, 1) + 1) / 2 * 255
        mixed = torch.lerp(before, after, strength).round_().to(torch.uint8)
        return np.ascontiguousarray(mixed.permute(0, 2, 3, 1).cpu().numpy())
