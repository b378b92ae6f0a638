"""Face restoration and upscaling of frames.

`lipsync.registries` lists them under ENHANCERS and UPSCALERS.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch

from lipsync.enhancers.base import Enhancer, EnhancerSpec, Upscaler, UpscalerSpec
from lipsync.enhancers.face_enhancement import FaceEnhancement
from lipsync.errors import DownloadError, ToolError
from lipsync.options import EnhanceOptions
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.registries import ENHANCERS, UPSCALERS
from lipsync.utils.registry import Registry
from lipsync.weights import create_model

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
    """The enhancer that `options` name, or None for "none"; and a warning, "" mostly.

    With `without_enhancer` it is also None where it cannot be had; the warning then says why.

    Raises:
        DownloadError: its weights are not on this machine, and cannot be fetched.
        ToolError: the packages that it is built from are missing.
        WeightsError: the file that was given is missing, damaged or of another network.
        Cancelled: the user stopped the download.
    """
    name, weights = options.enhancer, options.enhancer_weights
    what = "Faces are not sharpened"
    return _load(
        ENHANCERS, name, what, options, weights=weights, device=device, progress=progress, cancel=cancel
    )


def load_upscaler(
    options: EnhanceOptions,
    device: str | torch.device = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> tuple[Upscaler | None, str]:
    """The same for the upscaler."""
    name, weights = options.upscaler, options.upscaler_weights
    what = "Frames are not enlarged"
    return _load(
        UPSCALERS, name, what, options, weights=weights, device=device, progress=progress, cancel=cancel
    )


def _load(
    registry: Registry[Member], name: str, without: str, options: EnhanceOptions, **arguments: Any
) -> tuple[Member | None, str]:
    """The member called `name`; `without` says what its lack means, where the user said to go on."""
    if name == "none":
        return None, ""
    try:
        return create_model(registry, name, **arguments), ""
    except (DownloadError, ToolError) as error:
        if options.without_enhancer:
            return None, f"{without}: {error}"
        hint = f"{error.hint} Or go on without it, with the setting 'without_enhancer'."
        raise type(error)(error.what, given=error.given, hint=hint) from error
