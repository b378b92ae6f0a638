"""Sync experts; offset and sync score of a video from their embeddings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lipsync.sync_score.base import SyncExpert
from lipsync.sync_score.crops import crop_lower_face
from lipsync.sync_score.meter import SyncMeter, with_default_pads
from lipsync.sync_score.offset import (
    estimate_sync,
    parabolic_peak,
    similarity_by_offset,
    split_into_seconds,
)
from lipsync.sync_score.plot import plot_score

if TYPE_CHECKING:
    from lipsync.sync_score.clip_embedding import embed_clip
    from lipsync.sync_score.compact_syncnet import CompactSyncNet, CompactSyncNetConfig
    from lipsync.sync_score.loading import load_expert, save_expert
    from lipsync.sync_score.syncnet import SyncNet, load_syncnet
    from lipsync.sync_score.wav2lip_expert import SyncNetColor

__all__ = [
    "CompactSyncNet",
    "CompactSyncNetConfig",
    "SyncExpert",
    "SyncMeter",
    "SyncNet",
    "SyncNetColor",
    "crop_lower_face",
    "embed_clip",
    "estimate_sync",
    "load_expert",
    "load_syncnet",
    "parabolic_peak",
    "plot_score",
    "save_expert",
    "similarity_by_offset",
    "split_into_seconds",
    "with_default_pads",
]

# The networks, and torch with them, are imported when they are first used.
_HOME = {
    "CompactSyncNet": "compact_syncnet",
    "CompactSyncNetConfig": "compact_syncnet",
    "SyncNet": "syncnet",
    "SyncNetColor": "wav2lip_expert",
    "embed_clip": "clip_embedding",
    "load_expert": "loading",
    "load_syncnet": "syncnet",
    "save_expert": "loading",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
