"""Evaluation of results over data sets, with several variants, in one table.

`measure_lse` is that of `lipsync.metrics.lse`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lipsync.metrics.lse import LseScore, measure_lse

__all__ = ["LseScore", "measure_lse"]


def __getattr__(name: str) -> object:
    """Import them when first used: the command line reads this package's settings without torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lipsync.metrics import lse

    return getattr(lse, name)
