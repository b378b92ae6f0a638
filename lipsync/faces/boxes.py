"""Box arithmetic: IoU, non-maximum suppression and minimum-cost matching.

Boxes are `x1, y1, x2, y2` in pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

INFEASIBLE = 1e3
"""Cost of a pair that must not be matched."""


def iou(box: Floats, boxes: Floats, pixel: float = 0.0) -> Floats:
    """Intersection over union of a box with others.

    Args:
        box: (4,); boxes: (N, 4).
        pixel: added to every width and height; 1 treats the right and lower edges as inclusive, as
            older detectors do.

    Returns:
        (N,) in [0, 1].
    """
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0]) + pixel
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1]) + pixel
    intersection = np.clip(width, 0, None) * np.clip(height, 0, None)
    area = (box[2] - box[0] + pixel) * (box[3] - box[1] + pixel)
    areas = (boxes[:, 2] - boxes[:, 0] + pixel) * (boxes[:, 3] - boxes[:, 1] + pixel)
    return np.asarray(intersection / np.maximum(area + areas - intersection, 1e-9))


def nms(boxes: Floats, scores: Floats, max_iou: float, pixel: float = 0.0) -> npt.NDArray[np.intp]:
    """Non-maximum suppression.

    Args:
        boxes: (N, 4); scores: (N,).
        max_iou: a box that overlaps a better one by more is dropped.
        pixel: see `iou`.

    Returns:
        (K,) indices of the boxes kept, best score first.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou(boxes[best], boxes[order], pixel) <= max_iou]
    return np.array(kept, dtype=np.intp)


def centre(box: Floats) -> Floats:
    """Centres x, y of boxes: (..., 4) -> (..., 2)."""
    return np.asarray((box[..., :2] + box[..., 2:]) / 2)


def mean_side(box: Floats) -> Floats:
    """Geometric mean of width and height: (..., 4) -> (...), pixels."""
    area = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
    return np.asarray(np.sqrt(np.maximum(area, 1e-6)))


def edge_shift(reference: Floats, box: Floats) -> float:
    """Largest displacement of an edge between two boxes (4,), in sides of `reference`."""
    return float(np.abs(box - reference).max() / mean_side(reference))


def match_boxes(boxes: Floats, others: Floats, max_distance: float = 1.0) -> list[tuple[int, int]]:
    """Minimum-cost one-to-one matching of boxes, by distance and change of scale.

    Boxes of which one is more than twice as large as the other (in side length) never match.

    Args:
        boxes: (N, 4); others: (M, 4).
        max_distance: between the centres, in sides of the smaller box.

    Returns:
        Pairs of indices into `boxes` and `others`, each index at most once.
    """
    if not len(boxes) or not len(others):
        return []
    sides, other_sides = mean_side(boxes), mean_side(others)
    distance = np.linalg.norm(centre(boxes)[:, None] - centre(others)[None], axis=2)
    distance = distance / np.minimum(sides[:, None], other_sides[None])
    growth = np.abs(np.log2(sides[:, None] / other_sides[None]))
    infeasible = (distance > max_distance) | (growth > 1)
    return linear_assignment(np.where(infeasible, INFEASIBLE, distance + growth))


def linear_assignment(cost: Floats) -> list[tuple[int, int]]:
    """Minimum-cost one-to-one assignment of rows to columns.

    Args:
        cost: (N, M); pairs that cost `INFEASIBLE` are never assigned.

    Returns:
        Pairs of row and column by row, each index at most once.
    """
    rows, columns = (np.flatnonzero((cost < INFEASIBLE).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    # Rows and columns without any feasible pair are dropped; what remains is mostly free of conflicts.
    feasible = cost[np.ix_(rows, columns)]
    assigned = _conflict_free_assignment(feasible)
    if assigned is None:
        # Imported here: the import takes a quarter of a second, and few runs need it.
        from scipy.optimize import linear_sum_assignment

        assigned = linear_sum_assignment(feasible)
    pairs = zip(rows[assigned[0]].tolist(), columns[assigned[1]].tolist(), strict=True)
    return [(row, column) for row, column in pairs if cost[row, column] < INFEASIBLE]


def _conflict_free_assignment(cost: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None:
    """Assignment by row or column minima, where no two minima conflict; else None.

    Such an assignment is optimal. Sorted by row, as `linear_sum_assignment` does.
    """
    count, others = cost.shape
    row_wise, column_wise = cost.argmin(axis=1), cost.argmin(axis=0)
    if len(np.unique(row_wise)) == count:
        return np.arange(count), row_wise
    if len(np.unique(column_wise)) == others:
        order = np.argsort(column_wise)
        return column_wise[order], order
    return None
