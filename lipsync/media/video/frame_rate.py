"""Frame rate estimation from packet timestamps, for constant and variable rates."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from lipsync.types import IntArray

_NTSC = tuple(Fraction(1000 * rate, 1001) for rate in (24, 30, 48, 60, 120))
STANDARD_RATES = (*_NTSC, *map(Fraction, (5, 6, 8, 10, 12, 15, 16, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120)))
FALLBACK_RATE = Fraction(25)
MAX_RATE = Fraction(240)
MAX_VARIABLE_RATE = Fraction(60)
SLACK = Fraction(6, 25)
"""How late a timestamp may be, in frames, and still count for its slot. Containers round timestamps
(Matroska to 1 ms) and phones jitter. It is less than 1/4, so that reading every second or fourth frame
of a faster file takes the frame that is exactly on time."""


def exact_rate(rate: float) -> Fraction:
    """The fraction behind a rounded rate: 29.97 is 30000/1001, 12.5 is 25/2."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - Fraction(rate)))
    return nearest if abs(nearest - rate) < 1e-3 * 0.9 else Fraction(rate).limit_denominator(1001)


def frame_rate(pts: IntArray, time_base: Fraction, hints: Iterable[Fraction | None]) -> tuple[Fraction, bool]:
    """The constant rate to read a stream at, and whether its own rate is variable.

    The rate is constant if frame k lies in slot k of some rate, within `SLACK`. A stream of variable
    rate is read at the rate that loses no frame: that of its shortest gaps, outliers aside, at most
    `MAX_VARIABLE_RATE`.

    Args:
        pts: int64 (n,) increasing timestamps in ticks.
        time_base: seconds of one tick.
        hints: rates that the container states, most reliable first; None and invalid ones are skipped.

    Returns:
        Frames per second, and True for a variable rate.
    """
    candidates = [hint for hint in hints if hint and hint > 0]
    if len(pts) < 2:
        return next((rate for rate in candidates if rate <= MAX_RATE), FALLBACK_RATE), False
    measured = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    candidates += sorted(STANDARD_RATES, key=lambda rate: abs(rate - measured))[:3]
    candidates = [rate for rate in [*candidates, measured.limit_denominator(1001)] if 0 < rate <= MAX_RATE]
    errors = [_worst_error(pts, time_base, rate) for rate in candidates]
    # First a rate that fits as well as any, up to the rounding of timestamps; then one within the slack.
    # Among equals the container's own rate comes first, then a standard rate.
    for allowed in (min(errors, default=0.0) + float(time_base * measured), float(SLACK)):
        for rate, error in zip(candidates, errors, strict=True):
            if error <= min(allowed, float(SLACK)):
                return rate, False
    return _variable_rate(np.diff(pts) * float(time_base)), True


def _worst_error(pts: IntArray, time_base: Fraction, rate: Fraction) -> float:
    """Largest deviation of the timestamps from a constant rate, in frames.

    An early frame counts half: it has the rest of the slot before its own.
    """
    late = (pts - pts[0]) * float(time_base * rate) - np.arange(len(pts))
    return float(max(late.max(), -late.min() / 2))


def _variable_rate(gaps: npt.NDArray[np.float64]) -> Fraction:
    """The rate of the shortest gaps (5th percentile), seconds; snapped to a standard rate within 3 %."""
    shortest = float(np.percentile(gaps, 5, method="nearest"))
    rate = Fraction(1 / shortest).limit_denominator(1001) if shortest > 0 else MAX_VARIABLE_RATE
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    if abs(nearest - rate) < rate * Fraction(3, 100):
        rate = nearest
    return max(Fraction(1), min(rate, MAX_VARIABLE_RATE))
