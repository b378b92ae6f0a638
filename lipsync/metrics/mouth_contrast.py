"""Mouth contrast: light teeth and a dark throat in an open mouth."""

from __future__ import annotations

import numpy as np

from lipsync.metrics.lip_base import LipMetricSpec, LipObservation

_WIDE = 0.06
"""Opening, in distances between the eyes, from which a mouth shows teeth or dark."""
_MIN_FRAMES = 5


class MouthContrast:
    """Range of L* (CIELAB) inside an open mouth, the median over its frames.

    A network trained on a mean error paints the mean of teeth, tongue and dark, one grey band without edges:
    the range is small. Part of the mouth quality of THEval (arXiv 2511.04520), whose network sees it too.
    """

    spec = LipMetricSpec(
        "mouth_contrast",
        "Mouth contrast",
        "L*",
        "higher",
        ideal=40.0,
        bounds=(0.0, 100.0),
        what="range of lightness inside an open mouth; real video has about 40",
        paper="arXiv 2511.04520",
        digits=0,
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        wide = observed.result.contrast[observed.result.opening >= _WIDE]
        wide = wide[~np.isnan(wide)]
        return float(np.median(wide)) if len(wide) >= _MIN_FRAMES else float("nan")
