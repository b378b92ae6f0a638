"""Interface of metrics of lips over time.

    frames -> LipMeter -> LipObservation -> every member of LIP_METRICS -> a number

Unlike the metrics of `lipsync.metrics.base`, which compare frames of one time, these look at how a mouth
moves with a voice, so that they need no ground truth: the usual case is a voice of somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from lipsync.registries import LIP_METRICS
from lipsync.types import Bools, FloatArray

MIN_FRAMES = 10
"""Frames that a figure needs at least."""


@dataclass(frozen=True, repr=False)
class LipSeries:
    """Values of one mouth in T frames; NaN where no mouth was found.

    Attributes:
        opening: gap of the lips in distances between the eyes, see `LipTrack.opening`.
        sharpness: of the lips, see `lip_sharpness`.
        contrast: range of lightness between the lips, see `lightness_range`; NaN for a closed mouth.
        flicker: second difference over time of the mouth's box, grey levels; NaN at cuts and ends.
    """

    opening: FloatArray
    sharpness: FloatArray
    contrast: FloatArray
    flicker: FloatArray

    def __len__(self) -> int:
        return len(self.opening)

    def __repr__(self) -> str:
        return f"LipSeries({len(self)} frames)"


@dataclass(frozen=True, repr=False)
class LipObservation:
    """A result, what lies behind it, and the voice, frame by frame.

    Attributes:
        result: the mouth of the result, T frames.
        source: the mouth of the source in the frame behind each of them; None without a source.
        level: float32 (T,), loudness of the voice, dB of full scale.
        pauses: bool (T,), frames in pauses of the voice.
        closures: first and last frame of the spans in which the lips should touch; None where unknown.
        seam: float32 (T,), see `lipsync.metrics.seam`; NaN without a source.
        own_voice: the voice is that of the source, whose mouth is then the true one.
    """

    result: LipSeries
    source: LipSeries | None
    level: FloatArray
    pauses: Bools
    closures: Sequence[tuple[int, int]] | None
    seam: FloatArray
    own_voice: bool = False

    def __repr__(self) -> str:
        return f"LipObservation({len(self.result)} frames, {'own' if self.own_voice else 'other'} voice)"


@dataclass(frozen=True)
class LipMetricSpec:
    """Description of a metric of lips.

    Attributes:
        name: as in the registry.
        title: as in the head of a table.
        unit: "" for a bare number.
        better: direction; "" where `ideal` is best.
        ideal: value of real video compared with itself, or the best value there can be.
        bounds: lowest and highest value possible.
        what: explanation for the legend of a table.
        paper: where it is from.
        needs_source: it compares with the source.
        digits: decimals in tables.
    """

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher", ""]
    ideal: float
    bounds: tuple[float, float]
    what: str
    paper: str
    needs_source: bool = False
    digits: int = 2


@runtime_checkable
class LipMetric(Protocol):
    """A metric of lips; a member of the registry has `spec` as a class attribute."""

    @property
    def spec(self) -> LipMetricSpec:
        """Name, direction, bounds and needs."""
        ...

    def compute(self, observed: LipObservation) -> float:
        """The value; NaN where too little was observed."""
        ...


def lip_metric_specs() -> tuple[LipMetricSpec, ...]:
    """The specs of all members of the registry, in its order.

    Raises:
        TypeError: a class has no attribute `spec`.
    """
    specs = []
    for name in LIP_METRICS:
        spec = getattr(LIP_METRICS.load(name), "spec", None)
        if not isinstance(spec, LipMetricSpec):
            raise TypeError(f"the metric {name!r} has no class attribute spec")
        specs.append(spec)
    return tuple(specs)


def measure_lips(observed: LipObservation) -> dict[str, float]:
    """All metrics of lips by name, without those that cannot be computed."""
    values = {name: LIP_METRICS.create(name).compute(observed) for name in LIP_METRICS}
    return {name: value for name, value in values.items() if not np.isnan(value)}
