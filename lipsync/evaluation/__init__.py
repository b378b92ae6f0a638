"""Measuring results: LSE-D, LSE-C and offset as papers report them, and the sync score of our own."""

from lipsync.evaluation.lse import LseScore, SyncEmbedder, measure_lse
from lipsync.evaluation.meter import SyncMeter, usual_boxes
from lipsync.evaluation.plot import plot_score, score_svg

__all__ = [
    "LseScore",
    "SyncEmbedder",
    "SyncMeter",
    "measure_lse",
    "plot_score",
    "score_svg",
    "usual_boxes",
]
