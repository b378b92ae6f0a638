"""Interface of sync experts: face and audio windows embedded in one space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

EXPERT_FPS = 25
"""Frame rate that experts were trained at."""
WINDOW_FRAMES = 5
"""Video frames of a window, at 25 fps."""
WINDOW_MEL_COLUMNS = 16
"""Columns of Wav2Lip's mel in a window, at 80 Hz: 0.2 s, as long as the frames."""
LOWER_FACE_SIZE = (48, 96)
"""Height and width of an expert's input, the lower half of a face crop, in pixels."""


@runtime_checkable
class SyncExpert(Protocol):
    """Audio-visual sync network over windows of five frames.

    Both methods return L2-normalised embeddings (B, D); their dot product is the similarity of lips and
    audio. Gradients reach the frames, so a generator can be trained against a frozen expert.
    """

    def embed_faces(self, windows: Tensor) -> Tensor:
        """Embed face windows: lower halves of face crops, RGB in [0, 1].

        Args:
            windows: (B, 3, 5, H, W) of any size.

        Returns:
            (B, D).
        """
        ...

    def embed_audio(self, mel: Tensor) -> Tensor:
        """Embed audio windows.

        Args:
            mel: (B, 1, 80, 16), windows of `lipsync.media.audio.mel.mel_spectrogram`.

        Returns:
            (B, D).
        """
        ...
