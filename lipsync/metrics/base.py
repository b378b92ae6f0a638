"""Interface of metrics that compare frames of a result with those of a reference.

    metric = METRICS.create("ssim")
    for result, reference in pairs:
        metric.update(result, reference)
    metric.compute()

`evaluate` measures every member of `lipsync.registries.METRICS` by what its `spec` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from lipsync.registries import METRICS
from lipsync.types import Frame

Region: TypeAlias = npt.NDArray[np.bool_]
"""bool (H, W): the pixels that count."""


@dataclass(frozen=True)
class MetricSpec:
    """Description of a metric.

    Attributes:
        name: as in the registry.
        title: as in the head of a table.
        unit: "" for a bare number.
        higher_is_better: direction.
        perfect: value for equal frames.
        bounds: lowest and highest value possible.
        regional: it can be restricted to a part of the frame (`where`).
        weights: its network's name in the catalogue of weights; "" if it needs none.
        of_sets: compares all frames of both sides as two sets, so its value belongs to a set of
            clips and not to one; see `lipsync.metrics.fid`.
        by_default: `evaluate` measures it by default.
        digits: decimals in tables.
        what: explanation for the legend of a table.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    perfect: float
    bounds: tuple[float, float]
    regional: bool
    weights: str = ""
    of_sets: bool = False
    by_default: bool = True
    digits: int = 4
    what: str = "on whole frames"


@runtime_checkable
class Metric(Protocol):
    """A metric over pairs of frames, added one by one; it keeps no frame.

    A member of the registry has `spec` as a class attribute, and is created with `device=` if its
    spec names weights.
    """

    @property
    def spec(self) -> MetricSpec:
        """Name, direction, bounds and needs."""
        ...

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Add one pair of frames, RGB uint8 (H, W, 3) of one size.

        Args:
            where: bool (H, W), the pixels that count; None is all.

        Raises:
            ValueError: the frames differ in size, or the metric is not `regional`.
        """
        ...

    def compute(self) -> float:
        """The value over all pairs so far; NaN before the first, or if no pixel counted."""
        ...


def check_pair(spec: MetricSpec, result: Frame, reference: Frame, where: Region | None) -> None:
    """Raise `ValueError` for frames that cannot be compared."""
    if result.shape != reference.shape or result.ndim != 3 or result.dtype != np.uint8:
        raise ValueError(f"frames of one size are needed, got {result.shape} and {reference.shape}")
    if where is not None and not spec.regional:
        raise ValueError(f"{spec.title} is measured on whole frames only")
    if where is not None and (where.shape != result.shape[:2] or where.dtype != np.bool_):
        raise ValueError(f"the region must be bool {result.shape[:2]}, got {where.dtype} {where.shape}")


def metric_spec(name: str) -> MetricSpec:
    """The `spec` of the registry's metric `name`, without creating it.

    Raises:
        OptionError: there is no such metric.
        TypeError: the class has no attribute `spec`.
    """
    spec = getattr(METRICS.load(name), "spec", None)
    if not isinstance(spec, MetricSpec):
        raise TypeError(f"the metric {name!r} has no class attribute spec")
    return spec
