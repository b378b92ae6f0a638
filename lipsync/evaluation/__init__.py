"""Evaluation of results over data sets: pairs of video and voice, several variants, one table."""

from lipsync.metrics.lse import LseScore, measure_lse

__all__ = ["LseScore", "measure_lse"]
