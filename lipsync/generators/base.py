"""What every lip generator promises, whatever network is inside."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from lipsync.types import AudioClip, FloatArray, IntArray


@dataclass(frozen=True)
class GeneratorSpec:
    """What a caller has to know about a generator before it is used.

    Attributes:
        name: its name in the registry.
        crop_size: (height, width) in pixels of the face crops it takes and of the mouths it draws.
        fps: frames per second it was trained at; others work, further away a little worse.
        number_formats: names out of `options.NUMBER_FORMATS` it runs in; "fp32" among them.
        licence: what its weights may be used for, in words.
        paper: where it is described.
        averaged_crops: a larger face is to be shrunk by averaging (the crops of the training were),
            not by picking pixels bilinearly, as the official program does.
    """

    name: str
    crop_size: tuple[int, int]
    fps: int
    number_formats: tuple[str, ...]
    licence: str
    paper: str
    antialias_crops: bool = False


class AudioRows(Protocol):
    """What `encode_audio` gives: one row per frame of the result.

    Some rows at a time are taken as an array, by a slice or by an array of frame numbers; a numpy
    array will do. A row may be made only when it is taken, so that the rows of an hour need no
    more memory than its mel.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, frames: slice | IntArray, /) -> FloatArray: ...


@runtime_checkable
class LipGenerator(Protocol):
    """Draws the mouth that fits the sound into a face.

    Attributes:
        batch_size: frames that are best given at a time; gets smaller when memory runs out.
    """

    batch_size: int

    @property
    def concurrent_batches(self) -> int:
        """Batches that are best drawn at the same time, by as many threads that share the cores."""
        ...

    @property
    def spec(self) -> GeneratorSpec:
        """What it takes and gives."""
        ...

    def encode_audio(self, voice: AudioClip, fps: Fraction | float, frames: int, lead: int = 0) -> AudioRows:
        """The sound that belongs to each of `frames` frames.

        Args:
            voice: mono at 16 kHz.
            fps: frames per second of the result.
            frames: how many rows; beyond the end of the voice they hold silence.
            lead: frames by which each row's sound starts earlier.

        Returns:
            `frames` rows of float32; what is in a row is the network's own business.
        """
        ...

    def generate(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        """Draw the mouths of one batch.

        Args:
            crops: (B, H, W, 3) uint8 RGB, H and W being `spec.crop_size`.
            audio_rows: (B, ...) float32, a slice of what `encode_audio` gave.

        Returns:
            (B, 3, H, W) float32 RGB in [0, 1].
        """
        ...
