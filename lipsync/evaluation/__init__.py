"""Evaluation of results over data sets, with several variants, in one table.

`measure_lse` is that of `lipsync.metrics.lse`.
"""

from lipsync.metrics.lse import LseScore, measure_lse

__all__ = ["LseScore", "measure_lse"]
