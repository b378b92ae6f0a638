"""A fake sync expert, and media for it: frames as bright as their audio is loud."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.media import YuvFrame
from lipsync.media.video.yuv import YuvColorSpace
from lipsync.types import AudioClip, FloatArray

COLORS = YuvColorSpace(0.299, 0.114, full_range=True)
BOX = (10.0, 10.0, 110.0, 110.0)
FRAME_SAMPLES = 640


class LevelExpert(nn.Module):
    """Embeds the brightness (of green) and the loudness of each of five frames."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.windows_seen = 0

    def embed_faces(self, windows: Tensor) -> Tensor:
        """(B, 3, 5, H, W) -> (B, 10)."""
        self.windows_seen += len(windows)
        return _as_unit_vectors(windows[:, 1].mean((2, 3)))

    def embed_audio(self, mel: Tensor) -> Tensor:
        """(B, 1, 80, 16) -> (B, 10)."""
        # A level is 26 dB, of which there are 100 in the mel's range of 8.
        loud = F.adaptive_avg_pool1d(mel.squeeze(1).mean(1, keepdim=True), 5)[:, 0]
        return _as_unit_vectors((loud + 1.5) / 2.1)


def _as_unit_vectors(levels: Tensor) -> Tensor:
    angles = 5 * levels
    return F.normalize(torch.cat([angles.cos(), angles.sin()], dim=1), dim=1)


def make_levels(count: int, seed: int = 1) -> FloatArray:
    """Smoothly changing brightness and loudness per frame, 0..1."""
    random = np.random.default_rng(seed).random(count + 2)
    return np.convolve(random, np.ones(3) / 3, "valid").astype(np.float32)


def make_frames(levels: FloatArray) -> list[YuvFrame]:
    """One grey frame of 120x120 a level."""
    frames = (np.full((120, 120, 3), round(255 * float(level)), np.uint8) for level in levels)
    return [YuvFrame.from_rgb(frame, COLORS) for frame in frames]


def make_voice(levels: FloatArray) -> AudioClip:
    """Noise, 40 ms a level."""
    noise = np.random.default_rng(2).normal(size=(len(levels), FRAME_SAMPLES))
    return AudioClip((0.1 * noise * np.exp(3 * (levels[:, None] - 1))).astype(np.float32).ravel())
