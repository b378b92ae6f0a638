"""Axes and curves of plots in SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Axes:
    """The area of a plot, and the values at its edges; what lies beyond is drawn on the edge.

    Attributes:
        x, y, width, height: the area in units of the drawing, y downwards.
        left, right, bottom, top: values.
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
        """The x of a value."""
        inside = min(max(value, self.left), self.right)
        return self.x + self.width * (inside - self.left) / (self.right - self.left)

    def down(self, value: float) -> float:
        """The y of a value."""
        inside = min(max(value, self.bottom), self.top)
        return self.y + self.height * (self.top - inside) / (self.top - self.bottom)

    def curve(self, points: Iterable[tuple[float, float]]) -> str:
        """A line through points (x value, y value) as data of a path; y of NaN breaks it.

        A point between two of NaN becomes a line of no length, which a round cap shows as a dot.
        """
        runs = []
        for unknown, run in groupby(points, key=lambda point: math.isnan(point[1])):
            if not unknown:
                places = [f"{self.across(x):.1f} {self.down(y):.1f}" for x, y in run]
                runs.append("M" + "L".join(places if len(places) > 1 else places * 2))
        return "".join(runs)
