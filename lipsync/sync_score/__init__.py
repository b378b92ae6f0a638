"""Sync experts; offset and sync score of a video from their embeddings."""

from lipsync.sync_score.base import SyncExpert
from lipsync.sync_score.clip_embedding import embed_clip
from lipsync.sync_score.compact_syncnet import CompactSyncNet, CompactSyncNetConfig
from lipsync.sync_score.crops import crop_lower_face
from lipsync.sync_score.loading import load_expert, save_expert
from lipsync.sync_score.meter import SyncMeter, with_default_pads
from lipsync.sync_score.offset import (
    estimate_sync,
    parabolic_peak,
    similarity_by_offset,
    split_into_seconds,
)
from lipsync.sync_score.plot import plot_score
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
