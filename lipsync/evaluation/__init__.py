"""Measuring results: LSE-D, LSE-C and offset, the figures that papers on lip sync report."""

from lipsync.evaluation.lse import LseScore, SyncEmbedder, measure_lse

__all__ = ["LseScore", "SyncEmbedder", "measure_lse"]
