"""Arithmetic on boxes: overlap, non-maximum suppression, size. Boxes are `x1, y1, x2, y2`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

NEVER = 1e3
"""The cost of what cannot belong together."""


def iou(one: Floats, many: Floats, pixel: float = 0.0) -> Floats:
    """Intersection over union of `one` (4,) with each of `many` (N, 4); (N,) in 0..1.

    Args:
        pixel: added to every width and height; 1 counts the last pixel in, as older detectors do.
    """
    width = np.minimum(one[2], many[:, 2]) - np.maximum(one[0], many[:, 0]) + pixel
    height = np.minimum(one[3], many[:, 3]) - np.maximum(one[1], many[:, 1]) + pixel
    common = np.clip(width, 0, None) * np.clip(height, 0, None)
    area = (one[2] - one[0] + pixel) * (one[3] - one[1] + pixel)
    areas = (many[:, 2] - many[:, 0] + pixel) * (many[:, 3] - many[:, 1] + pixel)
    return np.asarray(common / np.maximum(area + areas - common, 1e-9))


def nms(boxes: Floats, scores: Floats, most: float, pixel: float = 0.0) -> npt.NDArray[np.intp]:
    """Non-maximum suppression: drop every box that overlaps a better one by more than `most`.

    Args:
        boxes: (N, 4); scores: (N,).
        most: intersection over union that two kept boxes may have.

    Returns:
        Indices of the boxes kept, best score first.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou(boxes[best], boxes[order], pixel) <= most]
    return np.array(kept, dtype=np.intp)


def centre(box: Floats) -> Floats:
    """(..., 4) -> (..., 2): x, y of the middle."""
    return np.asarray((box[..., :2] + box[..., 2:]) / 2)


def side(box: Floats) -> Floats:
    """(..., 4) -> (...): side of the square of equal area, the size that distances are measured in."""
    area = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
    return np.asarray(np.sqrt(np.maximum(area, 1e-6)))


def shift(one: Floats, other: Floats) -> float:
    """How far `other` (4,) moved or grew against `one`: largest move of an edge, in sizes of `one`."""
    return float(np.abs(other - one).max() / side(one))


def match(these: Floats, those: Floats, reach: float = 1.0) -> list[tuple[int, int]]:
    """Which of `those` (M, 4) continues which of `these` (N, 4), by place and size, best on the whole.

    Two boxes can belong together when their middles are at most `reach` sizes apart and neither
    is twice as large as the other (in side length).

    Returns:
        Pairs of indices, each index at most once.
    """
    if not len(these) or not len(those):
        return []
    sizes, others = side(these), side(those)
    apart = np.linalg.norm(centre(these)[:, None] - centre(those)[None], axis=2)
    apart = apart / np.minimum(sizes[:, None], others[None])
    growth = np.abs(np.log2(sizes[:, None] / others[None]))
    return assign(np.where((apart > reach) | (growth > 1), NEVER, apart + growth))


def assign(cost: Floats) -> list[tuple[int, int]]:
    """Pairs of row and column of `cost` (N, M), each at most once, of the lowest cost on the whole.

    Pairs that cost `NEVER` are left out.
    """
    rows, columns = (np.flatnonzero((cost < NEVER).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    # Who can belong to nobody is left out, and then each mostly has a nearest one of its own.
    possible = cost[np.ix_(rows, columns)]
    chosen = _nearest(possible)
    if chosen is None:
        # Here, since it takes a quarter of a second, which few runs need to wait.
        from scipy.optimize import linear_sum_assignment

        chosen = linear_sum_assignment(possible)
    pairs = zip(rows[chosen[0]].tolist(), columns[chosen[1]].tolist(), strict=True)
    return [(row, column) for row, column in pairs if cost[row, column] < NEVER]


def _nearest(cost: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None:
    """The cheapest column of each row, or the other way round, if no two have the same one: then no
    pairs cost less. As `linear_sum_assignment` gives them, by row; else None."""
    count, others = cost.shape
    row_wise, column_wise = cost.argmin(axis=1), cost.argmin(axis=0)
    if len(np.unique(row_wise)) == count:
        return np.arange(count), row_wise
    if len(np.unique(column_wise)) == others:
        order = np.argsort(column_wise)
        return column_wise[order], order
    return None
