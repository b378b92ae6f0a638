"""What training by picture and sound reads: one talking face after the other, whatever lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.data_types import FloatArray, IntArray
from lipsync.training.store import MARGIN, SIDE, Row, decoded, read_manifest


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
    """A clip of a prepared set as a `FaceClip`."""

    folder: Path
    row: Row

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
        crops, _ = decoded(self.folder, self.row.name)
        assert crops is not None
        inner = crops[frames, MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]
        return scaled(inner, size)

    def sound(self) -> FloatArray:
        """See `FaceClip`."""
        return decoded(self.folder, self.row.name, pictures=False)[1]


def scaled(pictures: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Pictures (n, h, w, 3) in another size (height, width); shrunk by averaging, enlarged bilinearly."""
    height, width = size
    if pictures.shape[1:3] == size:
        return np.ascontiguousarray(pictures)
    shrinks = height * width < pictures.shape[1] * pictures.shape[2]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    out = np.empty((len(pictures), height, width, 3), np.uint8)
    for picture, place in zip(pictures, out, strict=True):
        cv2.resize(picture, (width, height), dst=place, interpolation=how)
    return out


def read_face_clips(folder: Path) -> list[FaceClip]:
    """The clips of a prepared set.

    Raises:
        InputError: there is no set.
    """
    return [StoredFaces(folder, row) for row in read_manifest(folder)]
