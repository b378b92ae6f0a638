"""Face clips with audio, whatever format the set on disk has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lipsync.training.data.dataset_format import (
    SIDE,
    ManifestRow,
    read_audio,
    read_crop_side,
    read_crops,
    read_manifest,
    resize_images,
    with_margin,
)
from lipsync.training.data.lrs_layout import find_file_lists, read_lrs_layout
from lipsync.types import FloatArray, IntArray


class FaceClip(Protocol):
    """One face in T frames of uncut video at 25 fps, with its audio."""

    @property
    def name(self) -> str:
        """Unique within its set."""
        ...

    @property
    def person(self) -> str:
        """Whose face it is, or the source where the person is not known."""
        ...

    @property
    def split(self) -> str:
        """One of "train", "val", "test" and "dropped"; see `ManifestRow`."""
        ...

    @property
    def audio_delay(self) -> float:
        """Seconds by which the audio is late, 0 where unknown."""
        ...

    def __len__(self) -> int: ...

    def faces(self, frames: IntArray, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The face boxes of these frames without margin, uint8 (N, height, width, 3) RGB.

        Args:
            frames: (N,) frame numbers in [0, T).
            size: (height, width) to scale to, without keeping the aspect ratio.
        """
        ...

    def audio(self) -> FloatArray:
        """The audio of the whole clip, float32 (n,) at 16 kHz, from the start of frame 0."""
        ...


@dataclass(frozen=True)
class PreparedClip:
    """A clip of a prepared set as a `FaceClip`.

    Attributes:
        folder: of the set.
        side: of the set's face crops in pixels, without margin.
    """

    folder: Path
    row: ManifestRow
    side: int = SIDE

    @property
    def name(self) -> str:
        """See `FaceClip`."""
        return self.row.name

    @property
    def person(self) -> str:
        """See `FaceClip`."""
        return self.row.person

    @property
    def split(self) -> str:
        """See `FaceClip`."""
        return self.row.split

    @property
    def audio_delay(self) -> float:
        """See `FaceClip`."""
        return self.row.audio_delay

    def __len__(self) -> int:
        return self.row.frames

    def faces(self, frames: IntArray, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """See `FaceClip`."""
        stored = with_margin(self.side)
        inside = slice((stored - self.side) // 2, (stored + self.side) // 2)
        crops = read_crops(self.folder, self.row.name, stored)
        return resize_images(crops[frames, inside, inside], size)

    def audio(self) -> FloatArray:
        """See `FaceClip`."""
        return read_audio(self.folder, self.row.name)


def read_face_clips(folder: Path) -> list[FaceClip]:
    """The clips of a prepared set, or of one in the layout of Wav2Lip's preprocess.py.

    Raises:
        InputError: there is neither.
    """
    if not (folder / "manifest.tsv").exists() and find_file_lists(folder):
        return [*read_lrs_layout(folder)]
    side = read_crop_side(folder)
    return [PreparedClip(folder, row, side) for row in read_manifest(folder)]
