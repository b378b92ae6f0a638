"""Silent Lip Stability: how still the lips are in pauses of the voice."""

from __future__ import annotations

import numpy as np

from lipsync.metrics.lip_base import MIN_FRAMES, LipMetricSpec, LipObservation


class SilentLipStability:
    """Median absolute deviation of the opening in pauses, % of the eyes' distance.

    Quignon et al., "THEval. Evaluation Framework for Talking Head Video Generation", arXiv 2511.04520: the
    deviations are from the mean opening, and only pauses of at least 0.3 s count. Lips that are parted but
    still are stable; whether they are parted is what `LipLeak` says.
    """

    spec = LipMetricSpec(
        "silent_lip_stability",
        "Silent lip stability",
        "%",
        "lower",
        ideal=0.0,
        bounds=(0.0, 100.0),
        what="movement of the lips while the voice pauses, % of the distance between the eyes",
        paper="arXiv 2511.04520",
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        opening = observed.result.opening[observed.pauses]
        opening = opening[~np.isnan(opening)]
        if len(opening) < MIN_FRAMES:
            return float("nan")
        return float(min(100.0, 100 * np.median(np.abs(opening - opening.mean()))))
