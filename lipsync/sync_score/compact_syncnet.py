"""Our own sync expert: small enough to be trained on two CPU cores, and to ship.

Each frame is looked at once, by a network of its own, and only what it found is joined over the five
frames of a window. The official expert looks at all five as one picture of 15 channels, so that a
frame is looked at anew for each of the five windows it is in; here a clip costs a fifth of it, and
the windows of a clip can all be compared with each other in a step of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.sync_score.base import COLUMNS, FRAMES
from lipsync.sync_score.wav2lip_expert import at_size


@dataclass(frozen=True)
class CompactSyncNetConfig:
    """What decides the form of the weights; kept in the header of the weights' file.

    Attributes:
        width: channels of the first look; deeper ones have up to four times as many.
        seen: numbers that describe one frame.
        size: numbers of an embedding.
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
    """A `SyncExpert` that shares its work between overlapping windows."""

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
            nn.GELU(), nn.Conv1d(config.seen, 256, FRAMES), nn.GELU(), nn.Conv1d(256, config.size, 1)
        )
        self.hear = nn.Sequential(
            *(nn.Conv1d(80, 128, 3, 1, 1), nn.BatchNorm1d(128), nn.GELU()),
            *(nn.Conv1d(128, 192, 3, 2, 1), nn.BatchNorm1d(192), nn.GELU()),
            *(nn.Conv1d(192, 256, 3, 2, 1), nn.BatchNorm1d(256), nn.GELU()),
            *(nn.Flatten(), nn.Dropout(0.1), nn.Linear(256 * COLUMNS // 4, 256)),
            *(nn.GELU(), nn.Linear(256, config.size)),
        )

    def look_at(self, pictures: Tensor) -> Tensor:
        """Lower halves (B, 3, T, H, W) RGB in [0, 1] -> what is seen in each frame, (B, T, seen)."""
        frames = at_size(pictures).transpose(1, 2)
        found: Tensor = self.look(frames.flatten(0, 1) - 0.5)
        return found.view(*frames.shape[:2], -1)

    def join_windows(self, seen: Tensor) -> Tensor:
        """What `look_at` gave, (B, T, seen) -> one embedding a window, (B, T - 4, size)."""
        return F.normalize(self.join(seen.mT).mT, dim=-1)

    def embed_faces(self, windows: Tensor) -> Tensor:
        """See `SyncExpert`."""
        return self.join_windows(self.look_at(windows))[:, 0]

    def embed_sound(self, mel: Tensor) -> Tensor:
        """See `SyncExpert`."""
        return F.normalize(self.hear(mel.squeeze(1)), dim=-1)
