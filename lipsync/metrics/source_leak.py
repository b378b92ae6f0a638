"""Source leak: how much the mouth of the source shows under another voice."""

from __future__ import annotations

from lipsync.metrics.lip_base import LipMetricSpec, LipObservation
from lipsync.metrics.lips import correlation


class SourceLeak:
    """Correlation of the opening with the source's, under another voice.

    The leakage that KeySync (arXiv 2505.00497) describes, measured while somebody speaks: a mouth that
    follows the new voice has nothing in common with the old one. Two people who speak correlate by chance:
    believe it over many clips. Not measured with the source's own voice, where the two should be alike.
    """

    spec = LipMetricSpec(
        "source_leak",
        "Source shows through",
        "",
        "lower",
        ideal=0.0,
        bounds=(-1.0, 1.0),
        what="correlation of the opening with the source's, under another voice",
        paper="arXiv 2505.00497",
        needs_source=True,
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        if observed.source is None or observed.own_voice:
            return float("nan")
        return correlation(observed.result.opening, observed.source.opening)
