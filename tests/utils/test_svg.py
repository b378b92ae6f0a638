"""Axes and curves of plots."""

from __future__ import annotations

import math

from lipsync.utils.svg import Axes

AXES = Axes(10, 20, 100, 50, left=0, right=10, bottom=-1, top=1)


def test_values_lie_where_the_axes_say() -> None:
    assert (AXES.across(0), AXES.across(5), AXES.across(10)) == (10, 60, 110)
    assert (AXES.down(1), AXES.down(0), AXES.down(-1)) == (20, 45, 70)


def test_what_lies_beyond_is_drawn_on_the_edge() -> None:
    assert (AXES.across(11), AXES.across(-1), AXES.down(3), AXES.down(-3)) == (110, 10, 20, 70)


def test_unknown_values_break_the_curve() -> None:
    points = [(0, 0), (1, 1), (2, math.nan), (3, 0.0), (4, math.nan), (5, -1), (6, 0)]
    assert AXES.curve(points) == "M10.0 45.0L20.0 20.0M40.0 45.0L40.0 45.0M60.0 70.0L70.0 45.0"
    assert AXES.curve([(0, math.nan)]) == ""
