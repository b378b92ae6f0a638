"""Flicker: change around the mouth from frame to frame, against the source."""

from __future__ import annotations

import numpy as np

from lipsync.metrics.lip_base import MIN_FRAMES, LipMetricSpec, LipObservation

_MAX = 10.0


class Flicker:
    """Second difference over time around the mouth, relative to the source's.

    Temporal flickering is measured as differences of frames in VBench (Huang et al., CVPR 2024); the
    second difference leaves out steady motion, and the crop moves with the head. Above 1 the mouth
    flickers, far below it lacks the grain of the video or does not move.
    """

    spec = LipMetricSpec(
        "flicker",
        "Flicker",
        "",
        "",
        ideal=1.0,
        bounds=(0.0, _MAX),
        what="change around the mouth from frame to frame over the source's; 1 is alike, above it flickers",
        paper="arXiv 2311.17982",
        needs_source=True,
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        if observed.source is None:
            return float("nan")
        drawn, real = observed.result.flicker, observed.source.flicker
        known = ~(np.isnan(drawn) | np.isnan(real))
        if known.sum() < MIN_FRAMES or float(real[known].mean()) < 1e-3:
            return float("nan")
        return min(_MAX, float(drawn[known].mean() / real[known].mean()))
