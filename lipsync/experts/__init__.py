"""Sync experts: networks that say how well lips and voice belong together, and what follows from it."""

from lipsync.experts.base import SyncExpert
from lipsync.experts.clip import embed_clip, embed_mels, embed_pictures
from lipsync.experts.crops import crop_lower_face
from lipsync.experts.files import load_expert, save_expert
from lipsync.experts.lean import LeanConfig, LeanExpert
from lipsync.experts.offsets import (
    Sync,
    between_offsets,
    likeness_by_offset,
    mean_by_offset,
    parts,
    summarise,
)
from lipsync.experts.syncnet import SyncNet, load_syncnet
from lipsync.experts.wav2lip import SyncNetColor

__all__ = [
    "LeanConfig",
    "LeanExpert",
    "Sync",
    "SyncExpert",
    "SyncNet",
    "SyncNetColor",
    "between_offsets",
    "crop_lower_face",
    "embed_clip",
    "embed_mels",
    "embed_pictures",
    "likeness_by_offset",
    "load_expert",
    "load_syncnet",
    "mean_by_offset",
    "parts",
    "save_expert",
    "summarise",
]
