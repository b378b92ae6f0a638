"""Wav2Lip's sync expert ("SyncNet_color").

Prajwal et al., ACM MM 2020, arXiv 2008.10010. Module names are those of the official `lipsync_expert.pth`,
so its weights load unchanged: 16 435 072 parameters.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.sync_score.base import LOWER_FACE_SIZE, WINDOW_FRAMES
from lipsync.utils.conv_block import conv_blocks


class SyncNetColor(nn.Module):
    """The official sync expert, a `SyncExpert`."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder = nn.Sequential(
            *conv_blocks(3 * WINDOW_FRAMES, 32, 7, 1, 3),  # 48 x 96
            *conv_blocks(32, 64, 5, (1, 2), 1, residual=2),  # 46 x 47
            *conv_blocks(64, 128, stride=2, residual=3),  # 23 x 24
            *conv_blocks(128, 256, stride=2, residual=2),  # 12 x 12
            *conv_blocks(256, 512, stride=2, residual=2),  # 6 x 6
            *(*conv_blocks(512, 512, stride=2), *conv_blocks(512, 512, padding=0)),  # 3 x 3, 1 x 1
            *conv_blocks(512, 512, 1, padding=0),
        )
        self.audio_encoder = nn.Sequential(  # 80 x 16
            *conv_blocks(1, 32, residual=2),
            *conv_blocks(32, 64, stride=(3, 1), residual=2),  # 27 x 16
            *conv_blocks(64, 128, stride=3, residual=2),  # 9 x 6
            *conv_blocks(128, 256, stride=(3, 2), residual=2),  # 3 x 3
            *(*conv_blocks(256, 512, padding=0), *conv_blocks(512, 512, 1, padding=0)),  # 1 x 1
        )

    def forward(self, mel: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """The official signature: (B, 1, 80, 16) and (B, 15, 48, 96) BGR -> two (B, 512), L2-normalised."""
        audio = self.audio_encoder(mel).flatten(1)
        video = self.face_encoder(faces).flatten(1)
        return F.normalize(audio), F.normalize(video)

    def embed_faces(self, windows: Tensor) -> Tensor:
        """See `SyncExpert`."""
        bgr = resize_to_input(windows.flip(1)).transpose(1, 2).flatten(1, 2)  # frame by frame, BGR within
        return F.normalize(self.face_encoder(bgr).flatten(1))

    def embed_audio(self, mel: Tensor) -> Tensor:
        """See `SyncExpert`."""
        return F.normalize(self.audio_encoder(mel).flatten(1))


def resize_to_input(windows: Tensor) -> Tensor:
    """Resize frames to the input size of experts, (B, 3, T, H, W) -> (B, 3, T, 48, 96)."""
    if windows.shape[-2:] == LOWER_FACE_SIZE:
        return windows
    batch, colors, frames = windows.shape[:3]
    flat = windows.transpose(1, 2).flatten(0, 1)
    shrinks = flat.shape[-2] > LOWER_FACE_SIZE[0]
    small = F.interpolate(flat, LOWER_FACE_SIZE, mode="bilinear", antialias=shrinks, align_corners=False)
    return small.view(batch, frames, colors, *LOWER_FACE_SIZE).transpose(1, 2)
