"""GFPGAN and RestoreFormer as `Enhancer`s."""

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
from lipsync.enhancers.alignment import FACE_SIZE
from lipsync.enhancers.base import EnhancerSpec
from lipsync.enhancers.cancel_hook import CancelHook
from lipsync.progress import CancelToken
from lipsync.weights import entry

_BATCH_SIZES = {"cpu": 1, "mps": 4, "cuda": 16}
"""By type of device; on a CPU a face takes seconds, whatever the batch."""


@dataclass(frozen=True)
class _Architecture:
    """Loading and running of one kind of network.

    Attributes:
        network: name in `loaders.find_network_class`.
        load: makes the network from a checkpoint.
        number_formats: supported precisions.
        arguments: keyword arguments of the network's forward.
        paper: citation.
    """

    network: str
    load: Callable[[Path], nn.Module]
    number_formats: tuple[str, ...]
    arguments: dict[str, bool]
    paper: str


_GFPGAN = _Architecture(
    "gfpgan",
    loaders.load_gfpgan,
    # Not fp16: the demodulation squares and sums whole layers, which overflows it. The output in bf16 is
    # within 4 of 255 (mean 0.5) of that in fp32.
    ("fp32", "bf16"),
    # With fresh noise for every frame, the default, the skin would flicker.
    {"return_rgb": False, "randomize_noise": False},
    "Wang et al., CVPR 2021, arXiv 2101.04061",
)
_RESTOREFORMER = _Architecture(
    "restoreformer",
    loaders.load_restoreformer,
    # Vector quantisation: rounded features may be nearest to another codebook entry.
    ("fp32",),
    {},
    "Wang et al., CVPR 2022, arXiv 2201.06374",
)
ARCHITECTURES = {"gfpgan": _GFPGAN, "gfpgan_1.3": _GFPGAN, "restoreformer": _RESTOREFORMER}
"""By the weights' name in the catalogue."""


class FaceRestorer:
    """Face restoration by GFPGAN or RestoreFormer; an `Enhancer`.

    Args:
        weights: the checkpoint.
        name: one of `ARCHITECTURES`.
        device, number_format: as in `GeneratorOptions`.
        batch_size: faces per forward pass; 0 chooses by device.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
        OptionError: there is no such device, or it does not support the precision.
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
        self._architecture = architecture = ARCHITECTURES[name]
        formats = architecture.number_formats
        self.device = choose_device(device) if isinstance(device, str) else device
        self.dtype = choose_dtype(number_format, self.device, formats)
        self.spec = EnhancerSpec(name, formats, entry(name).licence, architecture.paper, FACE_SIZE)
        self.network = architecture.load(weights).to(self.device, self.dtype)
        self.batch_size = batch_size or _BATCH_SIZES.get(self.device.type, _BATCH_SIZES["cpu"])
        self._cancel_hook = CancelHook(self.network, "Enhancing")

    @staticmethod
    def check_installed(name: str) -> None:
        """Raise `ToolError` if the packages with the network are missing."""
        loaders.find_network_class(ARCHITECTURES[name].network)

    def enhance(
        self, faces: npt.NDArray[np.uint8], strength: float = 1.0, cancel: CancelToken | None = None
    ) -> npt.NDArray[np.uint8]:
        """See `Enhancer.enhance`."""
        size = self.spec.size
        if faces.shape[1:] != (size, size, 3) or faces.dtype != np.uint8:
            raise ValueError(f"faces must be uint8 (B, {size}, {size}, 3), got {faces.dtype} {faces.shape}")
        if strength == 0:
            return faces.copy()
        restored = np.empty_like(faces)

        def restore(part: slice) -> None:
            restored[part] = self._restore(faces[part], strength, cancel)

        batch = run_in_batches(restore, len(faces), self.batch_size, self.device, "enhance even one face")
        self.batch_size = min(batch, self.batch_size)
        return restored

    @torch.inference_mode()
    def _restore(
        self, faces: npt.NDArray[np.uint8], strength: float, cancel: CancelToken | None
    ) -> npt.NDArray[np.uint8]:
        """One forward pass; arguments and result as for `enhance`."""
        before = torch.from_numpy(np.ascontiguousarray(faces)).to(self.device).permute(0, 3, 1, 2).float()
        # Input and output in [-1, 1], as in gfpgan/utils.py.
        normalized = ((before / 255 - 0.5) / 0.5).contiguous().to(self.dtype)
        with self._cancel_hook.on(cancel):
            output = self.network(normalized, **self._architecture.arguments)[0]
        after = (output.float().clamp_(-1, 1) + 1) / 2 * 255
        mixed = torch.lerp(before, after, strength).round_().to(torch.uint8)
        return np.ascontiguousarray(mixed.permute(0, 2, 3, 1).cpu().numpy())
