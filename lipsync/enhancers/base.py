"""What every enhancer and upscaler promises, whatever network is inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from lipsync.progress import CancelToken
from lipsync.types import Frame


@dataclass(frozen=True)
class EnhancerSpec:
    """What a caller has to know about an enhancer before it is used.

    Attributes:
        name: its name in the registry.
        number_formats: names out of `options.NUMBER_FORMATS` it runs in; "fp32" among them.
        licence: what its weights may be used for, in words.
        paper: where it is described.
        size: side in pixels of the aligned faces it takes and gives.
    """

    name: str
    number_formats: tuple[str, ...]
    licence: str
    paper: str
    size: int = 512


@dataclass(frozen=True)
class UpscalerSpec:
    """What a caller has to know about an upscaler before it is used.

    Attributes:
        name, number_formats, licence, paper: as `EnhancerSpec`.
        scale: how many times as wide and high its pictures get.
    """

    name: str
    number_formats: tuple[str, ...]
    licence: str
    paper: str
    scale: int = 2


@runtime_checkable
class Enhancer(Protocol):
    """Makes aligned faces sharper. May be called from several threads.

    Attributes:
        batch_size: faces that are best given at a time; gets smaller when memory runs out.
    """

    batch_size: int

    @property
    def spec(self) -> EnhancerSpec:
        """What it takes and gives."""
        ...

    def enhance(
        self, faces: npt.NDArray[np.uint8], strength: float = 1.0, cancel: CancelToken | None = None
    ) -> npt.NDArray[np.uint8]:
        """The faces, sharper.

        Args:
            faces: (B, S, S, 3) uint8 RGB, S being `spec.size`, placed as `alignment` does.
            strength: 0 gives the faces back as they are, 1 what the network draws; mixed in between.
            cancel: looked at within the network too, which may take seconds for one face.

        Returns:
            The same shape and dtype, a new array.

        Raises:
            Cancelled: the user stopped the job.
            ToolError: not even one face fits into memory.
        """
        ...


@runtime_checkable
class Upscaler(Protocol):
    """Enlarges whole frames, a tile at a time. May be called from several threads.

    Attributes:
        tile: side in pixels of what the network sees at a time; gets smaller when memory runs out.
    """

    tile: int

    @property
    def spec(self) -> UpscalerSpec:
        """What it does."""
        ...

    def upscale(self, frame: Frame, cancel: CancelToken | None = None) -> Frame:
        """The frame, `spec.scale` times as wide and high.

        Args:
            frame: (H, W, 3) uint8 RGB, at least 1 x 1.
            cancel: looked at within the network too.

        Raises:
            Cancelled: the user stopped the job.
            ToolError: not even the smallest tile fits into memory.
        """
        ...
