"""Measuring results: LSE-D, LSE-C and offset as papers report them, and the sync score of our own."""

from lipsync.evaluation.lse import LseScore, SyncEmbedder, measure_lse
from lipsync.evaluation.meter import SyncMeter, usual_boxes

__all__ = ["LseScore", "SyncEmbedder", "SyncMeter", "measure_lse", "usual_boxes"]
