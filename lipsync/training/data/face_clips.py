"""What training by picture and sound reads: one talking face after the other, whatever lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lipsync.training.data.dataset_format import (
    SIDE,
    Row,
    read_crop_side,
    read_crops,
    read_manifest,
    read_sound,
    scaled,
    with_margin,
)
from lipsync.training.data.lrs_layout import find_file_lists, read_lrs_layout
from lipsync.types import FloatArray, IntArray


class FaceClip(Protocol):
    """One face in one uncut stretch of video at 25 fps, with its sound; T frames."""

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
        """ "train", "held" (measured as training goes) or "check" (kept for the end)."""
        ...

    @property
    def lag(self) -> float:
        """Seconds that the sound comes late, 0 where unknown."""
        ...

    def __len__(self) -> int: ...

    def faces(self, frames: IntArray, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The face box of these frames without any margin, (n, height, width, 3) RGB.

        Args:
            frames: numbers in [0, T).
            size: (height, width) to scale to, the aspect not kept.
        """
        ...

    def sound(self) -> FloatArray:
        """The sound of the whole clip, float32 (n,) at 16 kHz; it begins with frame 0."""
        ...


@dataclass(frozen=True)
class StoredFaces:
    """A clip of a prepared set as a `FaceClip`; `side` is that of the set's face crops."""

    folder: Path
    row: Row
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
    def lag(self) -> float:
        """See `FaceClip`."""
        return self.row.lag

    def __len__(self) -> int:
        return self.row.frames

    def faces(self, frames: IntArray, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """See `FaceClip`."""
        stored = with_margin(self.side)
        inside = slice((stored - self.side) // 2, (stored + self.side) // 2)
        crops = read_crops(self.folder, self.row.name, stored)
        return scaled(crops[frames, inside, inside], size)

    def sound(self) -> FloatArray:
        """See `FaceClip`."""
        return read_sound(self.folder, self.row.name)


def read_face_clips(folder: Path) -> list[FaceClip]:
    """The clips of a prepared set, or of one in the layout of Wav2Lip's preprocess.py.

    Raises:
        InputError: there is neither.
    """
    if not (folder / "manifest.tsv").exists() and find_file_lists(folder):
        return [*read_lrs_layout(folder)]
    side = read_crop_side(folder)
    return [StoredFaces(folder, row, side) for row in read_manifest(folder)]
