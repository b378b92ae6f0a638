"""Face restoration and upscaling of frames.

Members are listed in `lipsync.registries.ENHANCERS` and `UPSCALERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from lipsync.enhancers.base import Enhancer, EnhancerSpec, Upscaler, UpscalerSpec
from lipsync.enhancers.face_enhancement import FaceEnhancement
from lipsync.errors import DownloadError, ToolError
from lipsync.options import EnhanceOptions
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.registries import ENHANCERS, UPSCALERS
from lipsync.utils.registry import Registry
from lipsync.weights import create_model

if TYPE_CHECKING:
    import torch

__all__ = [
    "ENHANCERS",
    "UPSCALERS",
    "Enhancer",
    "EnhancerSpec",
    "FaceEnhancement",
    "Upscaler",
    "UpscalerSpec",
    "load_enhancer",
    "load_upscaler",
]

Member = TypeVar("Member")


def load_enhancer(
    options: EnhanceOptions,
    device: str | torch.device = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> tuple[Enhancer | None, str]:
    """Load the enhancer named in `options`.

    Args:
        device: a torch device, or its name; "auto" chooses the best there is.

    Returns:
        The enhancer, or None for "none"; and a warning, or "". With `without_enhancer` it is also None
        where the enhancer is unavailable; the warning then says why.

    Raises:
        DownloadError: its weights are not on this machine and cannot be downloaded.
        ToolError: the packages with the network are missing.
        WeightsError: the weights are missing, damaged or of another network.
        Cancelled: the user stopped the download.
    """
    name, weights = options.enhancer, options.enhancer_weights
    what = "Faces are not enhanced"
    return _load(
        ENHANCERS, name, what, options, weights=weights, device=device, progress=progress, cancel=cancel
    )


def load_upscaler(
    options: EnhanceOptions,
    device: str | torch.device = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> tuple[Upscaler | None, str]:
    """Load the upscaler named in `options`; otherwise as `load_enhancer`."""
    name, weights = options.upscaler, options.upscaler_weights
    what = "Frames are not enlarged"
    return _load(
        UPSCALERS, name, what, options, weights=weights, device=device, progress=progress, cancel=cancel
    )


def _load(
    registry: Registry[Member], name: str, without: str, options: EnhanceOptions, **arguments: Any
) -> tuple[Member | None, str]:
    """Load a member of a registry; `without` begins the warning if it is unavailable."""
    if name == "none":
        return None, ""
    try:
        return create_model(registry, name, **arguments), ""
    except (DownloadError, ToolError) as error:
        if options.without_enhancer:
            return None, f"{without}: {error}"
        hint = f"{error.hint} Or go on without it, with 'without_enhancer'."
        raise type(error)(error.what, given=error.given, hint=hint) from error
