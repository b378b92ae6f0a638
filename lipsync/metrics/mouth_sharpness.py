"""Mouth sharpness: how sharp the drawn lips are, against the source's."""

from __future__ import annotations

import numpy as np

from lipsync.metrics.lip_base import LipMetricSpec, LipObservation
from lipsync.metrics.mouth_image import at_like_openings

_MAX = 10.0


class MouthSharpness:
    """Variance of the Laplacian over the lips, over the source's at like openings.

    Mouth quality is what agrees best with people in THEval (arXiv 2511.04520, r = 0.77 against 0 for
    LSE-C). It asks a network (MUSIQ) how good the crop looks; here the source itself says how sharp its
    lips are, which needs no network and cancels camera, light and beard. The variance of the Laplacian is
    the focus measure of Pech-Pacheco et al., ICPR 2000. Noise counts as sharpness: look at what exceeds 1.
    """

    spec = LipMetricSpec(
        "mouth_sharpness",
        "Mouth sharpness",
        "",
        "higher",
        ideal=1.0,
        bounds=(0.0, _MAX),
        what="sharpness of the lips over the source's at like openings; 1 is alike",
        paper="arXiv 2511.04520",
        needs_source=True,
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        if observed.source is None:
            return float("nan")
        result, source = observed.result, observed.source
        ratio = at_like_openings(result.sharpness, result.opening, source.sharpness, source.opening)
        return float(np.minimum(ratio, _MAX))
