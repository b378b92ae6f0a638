"""Closure rate: how often the lips touch where p, b or m is said."""

from __future__ import annotations

import numpy as np

from lipsync.metrics.lip_base import LipMetricSpec, LipObservation
from lipsync.metrics.lips import CLOSED
from lipsync.types import Bools, FloatArray

_REACH = 1
"""Frames by which a closure may be early or late."""
_MIN_SPANS = 3


class ClosureRate:
    """Share of closures of the lips that are drawn.

    Viewers notice first when p, b and m leave the lips apart (Edwards et al., "JALI: An Animator-Centric
    Viseme Model for Expressive Lip Synchronization", SIGGRAPH 2016: bilabials must close the lips). With the
    source's own voice the closures are those of its real mouth; else the words of the transcript say where
    they should be (`lipsync.metrics.bilabials`), where there is a transcript.
    """

    spec = LipMetricSpec(
        "closure_rate",
        "Closures",
        "",
        "higher",
        ideal=1.0,
        bounds=(0.0, 1.0),
        what="share of the closures of the lips (p, b, m) that are drawn",
        paper="doi 10.1145/2897824.2925984",
    )

    def compute(self, observed: LipObservation) -> float:
        """See `LipMetric.compute`."""
        found = [_closes(observed.result.opening, *span) for span in observed.closures or ()]
        known = [one for one in found if one is not None]
        return float(np.mean(known)) if len(known) >= _MIN_SPANS else float("nan")


def real_closures(opening: FloatArray, pauses: Bools) -> list[tuple[int, int]]:
    """First and last frame of each closure of a real mouth that speaks.

    Args:
        opening: float32 (T,), see `LipTrack.opening`.
        pauses: bool (T,); a mouth that rests is no closure.
    """
    closed = np.concatenate([[False], (opening <= CLOSED) & ~pauses, [False]]).astype(np.int8)
    change = np.diff(closed)
    first, last = np.flatnonzero(change == 1).tolist(), (np.flatnonzero(change == -1) - 1).tolist()
    return list(zip(first, last, strict=True))


def _closes(opening: FloatArray, first: int, last: int) -> bool | None:
    """Whether the lips touch in these frames or next to them; None where no mouth was found."""
    part = opening[max(0, first - _REACH) : last + _REACH + 1]
    return None if np.isnan(part).all() else bool(np.nanmin(part) <= CLOSED)
