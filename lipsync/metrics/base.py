"""Figures on pictures: what each promises, and the list of them.

metric = METRICS.create("ssim")
for result, reference in pairs:
    metric.update(result, reference)
metric.compute()
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from lipsync.types import Frame

Region: TypeAlias = npt.NDArray[np.bool_]
"""bool (H, W): the pixels that count."""


@dataclass(frozen=True)
class MetricSpec:
    """What a metric is.

    Attributes:
        name: as in the registry.
        title: as in a table.
        unit: "" for a bare number.
        higher_is_better: which way is good.
        perfect: what equal pictures give.
        regional: it can look at a part of the picture (`where`).
        weights: its network's name in the catalogue of weights; "" where it needs none.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    perfect: float
    regional: bool
    weights: str = ""


@runtime_checkable
class Metric(Protocol):
    """Takes pairs of frames one by one, keeps no frame, and tells one figure in the end."""

    @property
    def spec(self) -> MetricSpec:
        """What it is."""
        ...

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Count one pair of frames, RGB uint8 (H, W, 3) of one size.

        Args:
            where: only these pixels count; metrics that are not `regional` raise `ValueError`.
        """
        ...

    def compute(self) -> float:
        """The figure for all pairs so far; NaN before the first, or where no pixel counted."""
        ...


def check_pair(spec: MetricSpec, result: Frame, reference: Frame, where: Region | None) -> None:
    """Raise `ValueError` for frames that cannot be compared."""
    if result.shape != reference.shape or result.ndim != 3 or result.dtype != np.uint8:
        raise ValueError(f"frames of one size are needed, got {result.shape} and {reference.shape}")
    if where is not None and not spec.regional:
        raise ValueError(f"{spec.title} looks at whole pictures only")
    if where is not None and (where.shape != result.shape[:2] or where.dtype != np.bool_):
        raise ValueError(f"the region must be bool {result.shape[:2]}, got {where.dtype} {where.shape}")
