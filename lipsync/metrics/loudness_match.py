"""Opening against loudness: whether the mouth opens where the voice is loud."""

from __future__ import annotations

from lipsync.metrics.lip_base import LipMetricSpec, LipObservation
from lipsync.metrics.lips import correlation


class LoudnessMatch:
    """Correlation of the opening with the loudness of the voice in dB.

    Chandrasekaran et al., "The Natural Statistics of Audiovisual Speech", PLoS Computational Biology 2009:
    the area of the mouth follows the envelope of the voice. Real speech is far from 1, since many loud
    sounds have a small mouth: a value above real video's means a mouth that is only moved by loudness.
    """

    spec = LipMetricSpec(
        "loudness_match",
        "Opening and loudness",
        "",
        "",
        ideal=0.2,
        bounds=(-1.0, 1.0),
        what="correlation of the opening with the loudness of the voice; real speech has about 0.2",
        paper="doi 10.1371/journal.pcbi.1000436",
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        return correlation(observed.result.opening, observed.level)
