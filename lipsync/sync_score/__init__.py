"""Sync experts: networks that say how well lips and voice belong together, and what follows from it."""

from lipsync.sync_score.base import SyncExpert
from lipsync.sync_score.clip_embedding import embed_clip, embed_mels, embed_pictures
from lipsync.sync_score.compact_syncnet import CompactSyncNet, CompactSyncNetConfig
from lipsync.sync_score.crops import crop_lower_face
from lipsync.sync_score.loading import load_expert, save_expert
from lipsync.sync_score.meter import SyncMeter, usual_boxes
from lipsync.sync_score.offset import (
    Sync,
    between_offsets,
    mean_by_offset,
    parts,
    similarity_by_offset,
    summarise,
)
from lipsync.sync_score.plot import plot_score, score_svg
from lipsync.sync_score.syncnet import SyncNet, load_syncnet
from lipsync.sync_score.wav2lip_expert import SyncNetColor

__all__ = [
    "CompactSyncNet",
    "CompactSyncNetConfig",
    "Sync",
    "SyncExpert",
    "SyncMeter",
    "SyncNet",
    "SyncNetColor",
    "between_offsets",
    "crop_lower_face",
    "embed_clip",
    "embed_mels",
    "embed_pictures",
    "load_expert",
    "load_syncnet",
    "mean_by_offset",
    "parts",
    "plot_score",
    "save_expert",
    "score_svg",
    "similarity_by_offset",
    "summarise",
    "usual_boxes",
]
