"""Interface of lip generators."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

from lipsync.progress import CancelToken
from lipsync.types import AudioClip, Crops, FloatArray, IntArray, Mouths


@dataclass(frozen=True)
class GeneratorSpec:
    """Properties of a generator.

    Attributes:
        name: its name in the registry.
        crop_size: (height, width) in pixels of the face crops it takes and gives; None takes each crop at
            the size that it has in the video, within `crop_sides`.
        fps: frame rate of its training; other rates work, a little worse the further away.
        number_formats: supported precisions, names out of `options.NUMBER_FORMATS`; "fp32" among them.
        licence: terms of use of its weights, for the user.
        paper: citation.
        antialias_crops: shrink larger faces by area averaging, as the training's crops were, and not
            bilinearly as the official program does.
        crop_sides: smallest and largest side in pixels of crops at their own size.
    """

    name: str
    crop_size: tuple[int, int] | None
    fps: int
    number_formats: tuple[str, ...]
    licence: str
    paper: str
    antialias_crops: bool = False
    crop_sides: tuple[int, int] = (1, 1 << 15)

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the crop that the generator takes for a face of that many pixels."""
        if self.crop_size is not None:
            return self.crop_size
        low, high = self.crop_sides
        scale = min(1.0, high / max(height, width))
        return max(low, round(height * scale)), max(low, round(width * scale))


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

    def encode_audio(
        self,
        audio: AudioClip,
        fps: Fraction | float,
        frames: int,
        lead: int = 0,
        cancel: CancelToken | None = None,
    ) -> AudioRows:
        """Compute the audio features of each frame.

        Args:
            audio: mono speech at 16 kHz.
            fps: frames per second of the result.
            frames: number of rows; beyond the end of the audio they hold silence.
            lead: frames by which the audio of each row starts earlier.
            cancel: checked between pieces of the audio; hours of it take half a minute.

        Returns:
            `frames` rows of float32, whose shape is the network's own.

        Raises:
            Cancelled: the token was cancelled.
        """
        ...

    def generate(self, crops: Crops, audio_rows: FloatArray) -> Mouths:
        """Generate the faces of one batch.

        Args:
            crops: (B, H, W, 3) RGB uint8, H and W being `spec.crop_size`; where that is None, a list of
                B crops (h, w, 3), each of its own size.
            audio_rows: (B, ...) float32, rows of `encode_audio`.

        Returns:
            RGB float32 in [0, 1], as large as the crops: (B, 3, H, W), or a list of B (3, h, w).

        Raises:
            ToolError: not even one frame fits into memory.
        """
        ...


@runtime_checkable
class PartialGenerator(LipGenerator, Protocol):
    """A `LipGenerator` that can leave out the upper rows, which most masks hide."""

    def generate_below(self, first_row: int, crops: Crops, audio_rows: FloatArray) -> Mouths:
        """As `generate`, but the rows above `first_row` may be those of the crops."""
        ...
