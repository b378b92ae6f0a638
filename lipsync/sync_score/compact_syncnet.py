"""CompactSyncNet, the shipped sync expert; it can be trained on two CPU cores.

Each frame is encoded once by a 2-D network, and its features are joined over the five frames of a window.
The official expert stacks all five frames as 15 channels, so that it processes every frame in each of the
five windows that hold it; here a clip costs a fifth of that, and one training step can compare all windows
of a clip with each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.sync_score.base import WINDOW_FRAMES, WINDOW_MEL_COLUMNS
from lipsync.sync_score.wav2lip_expert import resize_to_input


@dataclass(frozen=True)
class CompactSyncNetConfig:
    """Architecture of a `CompactSyncNet`; JSON in the header of its weights file.

    Attributes:
        width: channels of the first convolution; deeper ones have up to four times as many.
        seen: features per frame.
        size: dimensions of an embedding.
    """

    width: int = 32
    seen: int = 160
    size: int = 192


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class CompactSyncNet(nn.Module):
    """A `SyncExpert` that encodes each frame once for all windows that hold it.

    Weights files store the module names `look` (frame encoder), `join` (window head) and `hear` (audio
    encoder).
    """

    def __init__(self, config: CompactSyncNetConfig = CompactSyncNetConfig()) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.look = nn.Sequential(
            *(_conv(3, w, 5, 2), _conv(w, 2 * w, 3, 2), _conv(2 * w, 2 * w)),  # 24 x 48, 12 x 24
            *(_conv(2 * w, 3 * w, 3, 2), _conv(3 * w, 3 * w), _conv(3 * w, 4 * w, 3, 2)),  # 6 x 12, 3 x 6
            nn.Flatten(),
            nn.Linear(4 * w * 18, config.seen),
        )
        self.join = nn.Sequential(
            nn.GELU(), nn.Conv1d(config.seen, 256, WINDOW_FRAMES), nn.GELU(), nn.Conv1d(256, config.size, 1)
        )
        self.hear = nn.Sequential(
            *(nn.Conv1d(80, 128, 3, 1, 1), nn.BatchNorm1d(128), nn.GELU()),
            *(nn.Conv1d(128, 192, 3, 2, 1), nn.BatchNorm1d(192), nn.GELU()),
            *(nn.Conv1d(192, 256, 3, 2, 1), nn.BatchNorm1d(256), nn.GELU()),
            *(nn.Flatten(), nn.Dropout(0.1), nn.Linear(256 * WINDOW_MEL_COLUMNS // 4, 256)),
            *(nn.GELU(), nn.Linear(256, config.size)),
        )

    def encode_frames(self, faces: Tensor) -> Tensor:
        """Features of each frame: lower faces (B, 3, T, H, W) RGB in [0, 1] -> (B, T, seen)."""
        frames = resize_to_input(faces).transpose(1, 2)
        features: Tensor = self.look(frames.flatten(0, 1) - 0.5)
        return features.view(*frames.shape[:2], -1)

    def embed_features(self, features: Tensor) -> Tensor:
        """Embeddings of all windows from `encode_frames`: (B, T, seen) -> (B, T - 4, size), L2-normalised."""
        return F.normalize(self.join(features.mT).mT, dim=-1)

    def embed_faces(self, windows: Tensor) -> Tensor:
        """See `SyncExpert`."""
        return self.embed_features(self.encode_frames(windows))[:, 0]

    def embed_audio(self, mel: Tensor) -> Tensor:
        """See `SyncExpert`."""
        return F.normalize(self.hear(mel.squeeze(1)), dim=-1)
