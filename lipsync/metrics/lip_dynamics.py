"""Lip dynamics: how much the mouth moves, against the source."""

from __future__ import annotations

import numpy as np

from lipsync.metrics.lip_base import MIN_FRAMES, LipMetricSpec, LipObservation

_MAX = 10.0
_STILL = 0.01
"""Standard deviation of the opening of a mouth that does not speak, at most: locators jitter by that much."""


class LipDynamics:
    """Standard deviation of the opening over that of the source.

    After the lip dynamics of THEval (arXiv 2511.04520), which takes the variance of all distances between lip
    points: the opening alone says the same, and is what a viewer sees. Below 1 the mouth mumbles, above it
    exaggerates. Other voices than the source's may rightly move the mouth more or less.
    """

    spec = LipMetricSpec(
        "lip_dynamics",
        "Movement",
        "",
        "",
        ideal=1.0,
        bounds=(0.0, _MAX),
        what="movement of the mouth over the source's; 1 is alike, below it mumbles",
        paper="arXiv 2511.04520",
        needs_source=True,
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        if observed.source is None:
            return float("nan")
        known = ~(np.isnan(observed.result.opening) | np.isnan(observed.source.opening))
        real = float(np.std(observed.source.opening[known])) if known.sum() >= MIN_FRAMES else 0.0
        if real < _STILL:
            return float("nan")
        return min(_MAX, float(np.std(observed.result.opening[known])) / real)
