"""What every sync expert promises: pictures and sound in one space, alike where they are in sync."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

FRAMES = 5
"""Video frames of a window, at 25 fps."""
COLUMNS = 16
"""Columns of Wav2Lip's mel in a window, at 80 Hz: 0.2 s, as long as the frames."""
PICTURE = (48, 96)
"""Height and width that the lower half of a face is looked at in, pixels."""


@runtime_checkable
class SyncExpert(Protocol):
    """Says how well lips and voice of a window of five frames belong together.

    Both give vectors of length 1, (B, D); their dot product is the likeness. Gradients flow to the
    pictures, so a generator can be trained against an expert whose own weights are frozen.
    """

    def embed_faces(self, windows: Tensor) -> Tensor:
        """Lower halves of face crops, (B, 3, 5, H, W) RGB in [0, 1] of any size -> (B, D)."""
        ...

    def embed_sound(self, mel: Tensor) -> Tensor:
        """Windows of `lipsync.media.audio.mel.mel_spectrogram`, (B, 1, 80, 16) -> (B, D)."""
        ...
