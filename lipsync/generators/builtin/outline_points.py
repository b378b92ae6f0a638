"""Places of a mouth outline's 49 points, see `mouth_outline`; without torch."""

from __future__ import annotations

OUTER = slice(0, 20)
INNER = slice(20, 40)
CHIN = slice(40, 49)
POINTS = 49

LEFT_CORNER, RIGHT_CORNER = 20, 30
UPPER_INNER, LOWER_INNER = 35, 25
"""Indices of the corners of the inner lip contour and of its middle points."""
