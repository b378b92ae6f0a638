"""Minimum-cost assignment."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from lipsync.faces.boxes import INFEASIBLE, linear_assignment


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2), (3, 2), (2, 5), (4, 4), (6, 3)])
@pytest.mark.parametrize("impossible", [0.0, 0.4, 0.9, 1.0])
def test_the_assignment_has_minimum_cost(shape: tuple[int, int], impossible: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        cost = np.where(rng.random(shape) < impossible, INFEASIBLE, rng.random(shape))
        rows, columns = linear_sum_assignment(cost)
        expected = [
            (r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if cost[r, c] < INFEASIBLE
        ]
        assert linear_assignment(cost) == expected


def test_scipy_is_not_imported_where_minima_do_not_conflict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)  # importing it fails
    assert linear_assignment(np.array([[0.1]])) == [(0, 0)]
    assert linear_assignment(np.array([[0.3, 0.1], [0.2, 0.3], [INFEASIBLE, INFEASIBLE]])) == [(0, 1), (1, 0)]
    assert linear_assignment(np.array([[0.3], [0.2], [0.4]])) == [(1, 0)]
    assert linear_assignment(np.array([[INFEASIBLE, INFEASIBLE]])) == []
    with pytest.raises(ImportError):
        linear_assignment(np.array([[0.1, 0.2], [0.2, 0.4]]))
