"""LPIPS: learned perceptual image patch similarity of aligned frames."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.errors import ToolError, WeightsError
from lipsync.metrics.base import MetricSpec, Region, check_pair
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.types import Frame
from lipsync.weights import require
from lipsync.weights.checkpoint import load_state_dict

_LAYERS = 5  # of AlexNet, all convolutions


class Lpips:
    """Learned perceptual image patch similarity; 0 for equal frames, lower is better.

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
    2018, version 0.1 with AlexNet. The mean over frames, each at full size.

    Args:
        weights: torchvision's AlexNet; None is the catalogue's `alexnet`.
        device: None is the CPU.
        progress, cancel: of the download.

    Raises:
        ToolError: the package lpips, which holds the linear layers, is not installed.
        WeightsError: AlexNet is missing and cannot be downloaded, or the file holds another network.
    """

    spec = MetricSpec(
        "lpips",
        "LPIPS",
        "",
        higher_is_better=False,
        perfect=0.0,
        bounds=(0.0, np.inf),
        regional=False,
        weights="alexnet",
        by_default=False,  # slow
        what="perceptual difference of whole frames",
    )

    def __init__(
        self,
        weights: Path | None = None,
        device: torch.device | None = None,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> None:
        self._device = device or torch.device("cpu")
        path = weights or require("alexnet", progress=progress, cancel=cancel)
        self._network = _load(path).to(self._device)
        self._sum, self._count = 0.0, 0

    @torch.inference_mode()
    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Add one pair of frames; see `Metric.update`."""
        check_pair(self.spec, result, reference, where)
        self._sum += float(self._network(self._to_input(result), self._to_input(reference)))
        self._count += 1

    def compute(self) -> float:
        """Mean over frames; NaN without any."""
        return self._sum / self._count if self._count else float("nan")

    def _to_input(self, frame: Frame) -> Tensor:
        """(1, 3, H, W) in [-1, 1]."""
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(self._device)
        return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def _load(path: Path) -> nn.Module:
    try:
        import lpips
    except ImportError as error:
        hint = "Run `pip install lpips`, or leave this metric out."
        raise ToolError("LPIPS needs the package lpips", given=str(error), hint=hint) from error
    with warnings.catch_warnings():  # lpips uses torchvision's interface of 2021
        warnings.filterwarnings("ignore", module="torchvision", category=UserWarning)
        # `pnet_rand`: else lpips would download AlexNet itself, without a check of its hash.
        network: nn.Module = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    state = load_state_dict(path)
    for number in range(1, _LAYERS + 1):
        part = network.get_submodule(f"net.slice{number}")
        for name, value in part.state_dict().items():  # "0.weight": its index in AlexNet's `features`
            given = state.get(f"features.{name}")
            if given is None or given.shape != value.shape:
                hint = "Use torchvision's alexnet-owt-7be5be79.pth."
                raise WeightsError("The weights are not AlexNet's", given=path, hint=hint)
            value.copy_(given)
    return network.eval().requires_grad_(False)
