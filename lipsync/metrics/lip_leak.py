"""LipLeak: how often the mouth is open while the voice pauses."""

from __future__ import annotations

import numpy as np

from lipsync.metrics.lip_base import MIN_FRAMES, LipMetricSpec, LipObservation
from lipsync.metrics.lips import OPEN


class LipLeak:
    """Share of frames with an open mouth in pauses of the voice.

    After Bigata et al., "KeySync: A Robust Approach for Leakage-free Lip Synchronization in High Resolution",
    arXiv 2505.00497, who render a talking video with silence: what is open then comes from the source. Give a
    silent file as the voice for exactly that; with a voice its pauses of at least 0.3 s count.
    """

    spec = LipMetricSpec(
        "lip_leak",
        "Open in pauses",
        "",
        "lower",
        ideal=0.0,
        bounds=(0.0, 1.0),
        what="share of frames with an open mouth while the voice pauses (LipLeak, if the voice is silence)",
        paper="arXiv 2505.00497",
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        opening = observed.result.opening[observed.pauses]
        opening = opening[~np.isnan(opening)]
        return float((opening >= OPEN).mean()) if len(opening) >= MIN_FRAMES else float("nan")
