"""Axes and curves of SVG plots."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Axes:
    """Plot area with the values at its edges; values outside are clipped to the edge.

    Attributes:
        x, y, width, height: the area in SVG units, y downwards.
        left, right, bottom, top: values at the edges.
    """

    x: float
    y: float
    width: float
    height: float
    left: float
    right: float
    bottom: float
    top: float

    def across(self, value: float) -> float:
        """SVG x of a value on the horizontal axis."""
        inside = min(max(value, self.left), self.right)
        return self.x + self.width * (inside - self.left) / (self.right - self.left)

    def down(self, value: float) -> float:
        """SVG y of a value on the vertical axis."""
        inside = min(max(value, self.bottom), self.top)
        return self.y + self.height * (self.top - inside) / (self.top - self.bottom)

    def curve(self, points: Iterable[tuple[float, float]]) -> str:
        """Path data of a line through points (x value, y value); a y of NaN breaks it.

        An isolated point becomes a line of zero length, which a round cap shows as a dot.
        """
        runs = []
        for unknown, run in groupby(points, key=lambda point: math.isnan(point[1])):
            if not unknown:
                places = [f"{self.across(x):.1f} {self.down(y):.1f}" for x, y in run]
                runs.append("M" + "L".join(places if len(places) > 1 else places * 2))
        return "".join(runs)
