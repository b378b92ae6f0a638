"""Interface of lip generators."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from lipsync.types import AudioClip, FloatArray, IntArray


@dataclass(frozen=True)
class GeneratorSpec:
    """Properties of a generator.

    Attributes:
        name: its name in the registry.
        crop_size: (height, width) in pixels of the face crops it takes and gives.
        fps: frame rate of its training; other rates work, a little worse the further away.
        number_formats: supported precisions, names out of `options.NUMBER_FORMATS`; "fp32" among them.
        licence: terms of use of its weights, for the user.
        paper: citation.
        antialias_crops: shrink larger faces by area averaging, as the training's crops were, and not
            bilinearly as the official program does.
    """

    name: str
    crop_size: tuple[int, int]
    fps: int
    number_formats: tuple[str, ...]
    licence: str
    paper: str
    antialias_crops: bool = False


class AudioRows(Protocol):
    """Audio features of `encode_audio`, one row per frame of the result.

    Indexed by a slice or by an array of frame numbers, it gives float32 arrays; a NumPy array will do.
    Rows may be computed on demand, so that those of an hour take no more memory than its mel.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, frames: slice | IntArray, /) -> FloatArray: ...


@runtime_checkable
class LipGenerator(Protocol):
    """Generates the mouth for the audio in a face crop; thread-safe.

    Attributes:
        batch_size: recommended number of frames per call; reduced when memory runs out.
    """

    batch_size: int

    @property
    def concurrent_batches(self) -> int:
        """Recommended number of concurrent calls, by threads that share the cores."""
        ...

    @property
    def spec(self) -> GeneratorSpec:
        """Properties of the generator."""
        ...

    def encode_audio(self, audio: AudioClip, fps: Fraction | float, frames: int, lead: int = 0) -> AudioRows:
        """Compute the audio features of each frame.

        Args:
            audio: mono speech at 16 kHz.
            fps: frames per second of the result.
            frames: number of rows; beyond the end of the audio they hold silence.
            lead: frames by which the audio of each row starts earlier.

        Returns:
            `frames` rows of float32, whose shape is the network's own.
        """
        ...

    def generate(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        """Generate the faces of one batch.

        Args:
            crops: (B, H, W, 3) RGB uint8, H and W being `spec.crop_size`.
            audio_rows: (B, ...) float32, rows of `encode_audio`.

        Returns:
            (B, 3, H, W) RGB float32 in [0, 1].

        Raises:
            ToolError: not even one frame fits into memory.
        """
        ...
