"""Embeddings of all windows of a clip, by any sync expert."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lipsync.sync_score.base import WINDOW_FRAMES, SyncExpert
from lipsync.sync_score.compact_syncnet import CompactSyncNet
from lipsync.types import FloatArray


def embed_clip(
    expert: SyncExpert, faces: npt.NDArray[np.uint8], mel: FloatArray, batch: int = 32
) -> tuple[FloatArray, FloatArray]:
    """Embed all windows of a clip of T frames.

    Args:
        faces: (T, H, W, 3) RGB, the lower half of the face crop.
        mel: (T - 4, 80, 16), the mel of each window.
        batch: windows per call of the network.

    Returns:
        Face and audio embeddings, float32 (T - 4, D) each.
    """
    audio = embed_mels(expert, mel, batch)
    return embed_frames(expert, faces, batch), audio


@torch.inference_mode()
def embed_frames(expert: SyncExpert, faces: npt.NDArray[np.uint8], batch: int = 32) -> FloatArray:
    """Embed all face windows of T consecutive frames, (T, H, W, 3) RGB -> float32 (T - 4, D)."""
    frames = torch.from_numpy(np.ascontiguousarray(faces)).to(_device(expert)).permute(3, 0, 1, 2)
    return np.asarray(_embed_windows(expert, frames, batch).cpu().numpy(), np.float32)


@torch.inference_mode()
def embed_mels(expert: SyncExpert, mel: FloatArray, batch: int = 32) -> FloatArray:
    """Embed audio windows, (N, 80, 16) -> float32 (N, D)."""
    windows = torch.from_numpy(np.ascontiguousarray(mel)).unsqueeze(1).to(_device(expert))
    audio = torch.cat([expert.embed_audio(part) for part in torch.split(windows, batch)])
    return np.asarray(audio.cpu().numpy(), np.float32)


def _device(expert: SyncExpert) -> torch.device:
    assert isinstance(expert, nn.Module)
    return next(expert.parameters()).device


def _embed_windows(expert: SyncExpert, frames: Tensor, batch: int) -> Tensor:
    """(3, T, H, W) uint8 -> (T - 4, D)."""
    if isinstance(expert, CompactSyncNet):  # encodes each frame once
        parts = [expert.encode_frames(part[None].float() / 255) for part in torch.split(frames, batch, dim=1)]
        return expert.embed_features(torch.cat(parts, dim=1))[0]
    windows = frames.unfold(1, WINDOW_FRAMES, 1).permute(1, 0, 4, 2, 3)  # (T - 4, 3, 5, H, W), a view
    return torch.cat([expert.embed_faces(part.float() / 255) for part in torch.split(windows, batch)])
