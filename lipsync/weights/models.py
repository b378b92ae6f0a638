"""Networks of a registry, created with their weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.utils.registry import Registry
from lipsync.weights.catalogue import CATALOGUE
from lipsync.weights.download import require

if TYPE_CHECKING:
    import torch

Model = TypeVar("Model")


def create_model(
    registry: Registry[Model],
    name: str,
    *,
    weights: Path | None = None,
    device: str | torch.device = "auto",
    number_format: str = "auto",
    batch_size: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Model:
    """Create the network called `name`, with its own weights unless others are given.

    Its class is called with the path of the weights (None for a member without a catalogue entry), `name`,
    `device`, `number_format` and `batch_size`. If the class has a static method `check_installed(name)`, it
    is called before weights are downloaded.

    Args:
        registry: such as `lipsync.registries.GENERATORS`.
        name: name of the member.
        weights: checkpoint to use instead of the member's own.
        device: "auto", "cpu", "cuda", "mps" or a torch device.
        number_format: "auto", "fp32", "bf16" or "fp16".
        batch_size: items a batch; 0 chooses by device.

    Raises:
        OptionError: there is no member of that name, no such device, or no such number format for it.
        DownloadError: its weights are not on this machine and cannot be downloaded.
        WeightsError: the file is missing, damaged or of another network.
        ToolError: the packages that it is built from are missing.
        Cancelled: the token was cancelled during the download.
    """
    model = registry.load(name)
    check_installed = getattr(model, "check_installed", None)
    if check_installed is not None:
        check_installed(name)
    path = weights or model_weights(name, progress=progress, cancel=cancel)
    return model(path, name=name, device=device, number_format=number_format, batch_size=batch_size)


def model_weights(
    name: str, *, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
) -> Path | None:
    """The weights of a registry member, downloaded if missing; None if the catalogue has none.

    Raises:
        DownloadError, Cancelled: as `require`.
    """
    return require(name, progress=progress, cancel=cancel) if name in CATALOGUE else None
