"""Interfaces of face enhancers and upscalers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from lipsync.progress import CancelToken
from lipsync.types import Frame


@dataclass(frozen=True)
class EnhancerSpec:
    """Properties of an enhancer.

    Attributes:
        name: its name in the registry.
        number_formats: supported precisions, names out of `options.NUMBER_FORMATS`; "fp32" among them.
        licence: terms of use of its weights, for the user.
        paper: citation.
        size: side of the aligned faces it takes and gives, pixels.
    """

    name: str
    number_formats: tuple[str, ...]
    licence: str
    paper: str
    size: int = 512


@dataclass(frozen=True)
class UpscalerSpec:
    """Properties of an upscaler.

    Attributes:
        name, number_formats, licence, paper: as in `EnhancerSpec`.
        scale: factor by which width and height grow.
    """

    name: str
    number_formats: tuple[str, ...]
    licence: str
    paper: str
    scale: int = 2


@runtime_checkable
class Enhancer(Protocol):
    """Face restoration on aligned crops; thread-safe.

    Attributes:
        batch_size: recommended number of faces per call; reduced when memory runs out.
    """

    batch_size: int

    @property
    def spec(self) -> EnhancerSpec:
        """Properties of the enhancer."""
        ...

    def enhance(
        self, faces: npt.NDArray[np.uint8], strength: float = 1.0, cancel: CancelToken | None = None
    ) -> npt.NDArray[np.uint8]:
        """Restore faces.

        Args:
            faces: (B, S, S, 3) RGB uint8, S being `spec.size`, aligned by `estimate_alignment`.
            strength: 0 gives the faces unchanged, 1 the network's output, and in between a mix.
            cancel: checked within the network too, which may take seconds for one face.

        Returns:
            (B, S, S, 3) RGB uint8, a new array.

        Raises:
            ValueError: `faces` has another shape or dtype.
            Cancelled: the user stopped the job.
            ToolError: not even one face fits into memory.
        """
        ...


@runtime_checkable
class Upscaler(Protocol):
    """Super-resolution of whole frames, tile by tile; thread-safe.

    Attributes:
        tile: side of the tiles that go through the network, pixels; reduced when memory runs out.
    """

    tile: int

    @property
    def spec(self) -> UpscalerSpec:
        """Properties of the upscaler."""
        ...

    def upscale(self, frame: Frame, cancel: CancelToken | None = None) -> Frame:
        """Enlarge a frame by `spec.scale`.

        Args:
            frame: (H, W, 3) RGB uint8, at least 1 x 1.
            cancel: checked within the network too.

        Returns:
            (scale H, scale W, 3) RGB uint8.

        Raises:
            Cancelled: the user stopped the job.
            ToolError: not even the smallest tile fits into memory.
        """
        ...
