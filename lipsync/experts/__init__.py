"""Sync experts: networks that say how well lips and voice belong together, and what follows from it."""

from lipsync.experts.base import SyncExpert
from lipsync.experts.clip import embed_clip
from lipsync.experts.files import load_expert, save_expert
from lipsync.experts.lean import LeanConfig, LeanExpert
from lipsync.experts.offsets import Sync, likeness_by_offset, parts, summarise
from lipsync.experts.syncnet import SyncNet, load_syncnet
from lipsync.experts.wav2lip import SyncNetColor

__all__ = [
    "LeanConfig",
    "LeanExpert",
    "Sync",
    "SyncExpert",
    "SyncNet",
    "SyncNetColor",
    "embed_clip",
    "likeness_by_offset",
    "load_expert",
    "load_syncnet",
    "parts",
    "save_expert",
    "summarise",
]
