"""Evaluation of results over data sets: pairs of videos and voices, several variants, one table."""

from lipsync.metrics.lse import LseScore, measure_lse

__all__ = ["LseScore", "measure_lse"]
