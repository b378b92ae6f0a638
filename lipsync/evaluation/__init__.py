"""Measuring results: LSE-D, LSE-C and offset as papers report them, and the sync score of our own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lipsync.evaluation.meter import SyncMeter, usual_boxes
from lipsync.evaluation.plot import plot_score, score_svg

if TYPE_CHECKING:
    from lipsync.evaluation.lse import LseScore, SyncEmbedder, measure_lse

__all__ = [
    "LseScore",
    "SyncEmbedder",
    "SyncMeter",
    "measure_lse",
    "plot_score",
    "score_svg",
    "usual_boxes",
]


def __getattr__(name: str) -> object:
    # Imported when first used: its MFCC bring part of SciPy, which every run would wait for.
    if name not in ("LseScore", "SyncEmbedder", "measure_lse"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("lipsync.evaluation.lse"), name)
