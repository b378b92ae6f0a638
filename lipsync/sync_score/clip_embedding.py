"""Embedding pictures and sound of a clip, whatever the expert."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lipsync.sync_score.base import FRAMES, SyncExpert
from lipsync.sync_score.compact_syncnet import CompactSyncNet
from lipsync.types import FloatArray


def embed_clip(
    expert: SyncExpert, faces: npt.NDArray[np.uint8], mel: FloatArray, batch: int = 32
) -> tuple[FloatArray, FloatArray]:
    """All windows of one clip of T frames: of its pictures and of its sound, (T - 4, D) each.

    Args:
        faces: (T, H, W, 3) RGB, the lower half of the face crop.
        mel: (T - 4, 80, 16), the sound of each window.
        batch: windows at a time.
    """
    heard = embed_mels(expert, mel, batch)
    return embed_pictures(expert, faces, batch), heard


@torch.inference_mode()
def embed_pictures(expert: SyncExpert, faces: npt.NDArray[np.uint8], batch: int = 32) -> FloatArray:
    """All windows of T frames in a row, (T, H, W, 3) RGB -> (T - 4, D); see `embed_clip`."""
    pictures = torch.from_numpy(np.ascontiguousarray(faces)).to(_device(expert)).permute(3, 0, 1, 2)
    return np.asarray(_seen(expert, pictures, batch).cpu().numpy(), np.float32)


@torch.inference_mode()
def embed_mels(expert: SyncExpert, mel: FloatArray, batch: int = 32) -> FloatArray:
    """The sound of windows, (N, 80, 16) -> (N, D); see `embed_clip`."""
    sound = torch.from_numpy(np.ascontiguousarray(mel)).unsqueeze(1).to(_device(expert))
    heard = torch.cat([expert.embed_sound(part) for part in torch.split(sound, batch)])
    return np.asarray(heard.cpu().numpy(), np.float32)


def _device(expert: SyncExpert) -> torch.device:
    assert isinstance(expert, nn.Module)
    return next(expert.parameters()).device


def _seen(expert: SyncExpert, pictures: Tensor, batch: int) -> Tensor:
    if isinstance(expert, CompactSyncNet):  # every frame is looked at once
        parts = [expert.look_at(part[None].float() / 255) for part in torch.split(pictures, batch, dim=1)]
        return expert.join_windows(torch.cat(parts, dim=1))[0]
    windows = pictures.unfold(1, FRAMES, 1).permute(1, 0, 4, 2, 3)  # (T - 4, 3, 5, H, W), a view
    return torch.cat([expert.embed_faces(part.float() / 255) for part in torch.split(windows, batch)])
