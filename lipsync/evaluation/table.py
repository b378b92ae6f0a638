"""Table of evaluation results: one row for each set, language and variant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lipsync.evaluation.dataset import Pair
from lipsync.metrics.base import MetricSpec, metric_spec
from lipsync.metrics.lip_base import LipMetricSpec, lip_metric_specs
from lipsync.registries import METRICS


@dataclass(frozen=True)
class Column:
    """Column of a table.

    Attributes:
        key: in files, and of `ClipResult.values`.
        title: in the header.
        what: explanation for the legend.
        unit: "" for a bare number.
        digits: decimals.
        better: direction; "" if neither is better.
        pooled: how the values of clips become that of a row: mean, as in Wav2Lip's script, or median.
            "" if the value belongs to the row as a whole, and clips have none.
    """

    key: str
    title: str
    what: str
    unit: str = ""
    digits: int = 2
    better: Literal["lower", "higher", ""] = ""
    pooled: Literal["mean", "median", ""] = "mean"


_INSIDE = "in the generated region, with the source as ground truth"
_OUTSIDE = "on the pixels that must not change"
_EARLY = "positive if the audio is early"
_SYNC_COLUMNS: tuple[Column, ...] = (
    Column("lse_d", "LSE-D", "lip-sync error by SyncNet: distance between lips and voice", "", 3, "lower"),
    Column("lse_c", "LSE-C", "SyncNet's confidence", "", 3, "higher"),
    Column("lse_offset", "LSE offset", f"by SyncNet; {_EARLY}", "frames", 0, "", "median"),
    Column(
        "sync_distance", "Sync distance", "between lips and voice, by the built-in expert", "", 3, "lower"
    ),
    Column("sync_confidence", "Sync confidence", "by the built-in expert", "", 3, "higher"),
    Column("source_confidence", "Source confidence", "of the source video with its own audio", "", 3),
    Column("offset_ms", "Offset", f"by the built-in expert; {_EARLY}", "ms", 0, "", "median"),
)
_TIME_COLUMN = Column("seconds", "Time", "taken by the run", "s", 1, "lower")
REGIONS = {"outside": _OUTSIDE, "": "", "inside": _INSIDE}
"""Regions of a regional metric, in the order of the table, with their explanations."""


def columns() -> tuple[Column, ...]:
    """All columns in order; those of metrics come from their specs."""
    specs = [metric_spec(name) for name in METRICS]
    return (
        *_SYNC_COLUMNS,
        *map(_lip_column, lip_metric_specs()),
        *(_metric_column(spec) for spec in specs if spec.of_sets),
        *(_metric_column(spec, region) for region in REGIONS for spec in specs if spec.regional),
        *(_metric_column(spec) for spec in specs if not spec.of_sets and not spec.regional),
        _TIME_COLUMN,
    )


def metric_key(name: str, region: str = "") -> str:
    """Key of a metric in a region: "ssim", "ssim_inside"."""
    return f"{name}_{region}" if region else name


def _lip_column(spec: LipMetricSpec) -> Column:
    return Column(spec.name, spec.title, spec.what, spec.unit, spec.digits, spec.better, "mean")


def _metric_column(spec: MetricSpec, region: str = "") -> Column:
    return Column(
        key=metric_key(spec.name, region),
        title=f"{spec.title} {region}" if region else spec.title,
        what=REGIONS[region] or spec.what,
        unit=spec.unit,
        digits=spec.digits,
        better="higher" if spec.higher_is_better else "lower",
        pooled="" if spec.of_sets else "mean",
    )


@dataclass(frozen=True)
class ClipResult:
    """Evaluation of one clip.

    Attributes:
        pair: the video and the voice.
        variant: that made the result.
        result: the evaluated video; None if there is none.
        values: by the keys of `columns`; without those that could not be measured.
        notes: the reasons, and other remarks for the user.
        failure: why there is no result; "" if there is one.
        curve: (time in seconds, sync confidence) over the clip.
        tracks: LSE values of each face track, if there are several, with `start` and `end` in seconds.
    """

    pair: Pair
    variant: str
    result: Path | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failure: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    tracks: tuple[Mapping[str, float], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON form; NaN as null, infinity as text."""
        return {
            "set": self.pair.group,
            "language": self.pair.language,
            "variant": self.variant,
            "name": self.pair.name,
            "video": str(self.pair.video),
            "voice": str(self.pair.voice),
            "result": str(self.result) if self.result else None,
            "figures": {key: json_number(value) for key, value in self.values.items()},
            "notes": list(self.notes),
            "failure": self.failure,
            "curve": [[round(time, 3), json_number(value)] for time, value in self.curve],
            "tracks": [dict(track) for track in self.tracks],
        }


@dataclass(frozen=True)
class TableRow:
    """All clips of a set, in a language, by a variant.

    Attributes:
        clips: number of evaluated clips, without the failed ones.
        failed: number of failed clips.
        values: by the keys of `columns`.
    """

    group: str
    language: str
    variant: str
    clips: int
    failed: int
    values: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str, str]:
        """Set, language and variant."""
        return self.group, self.language, self.variant


@dataclass(frozen=True)
class ResultTable:
    """All rows, and the columns in which any of them has a value."""

    rows: tuple[TableRow, ...]
    columns: tuple[Column, ...]

    def header(self) -> list[str]:
        """Titles: the labels in use, the number of clips, the columns."""
        return [*self._labels(), "Clips", *(column_title(column) for column in self.columns)]

    def cells(self) -> list[list[str]]:
        """Text of the cells of every row, under `header`."""
        labels = self._labels()
        return [
            [
                *(
                    value or "–"
                    for label, value in zip(_LABELS, row.key, strict=True)
                    if label in labels
                ),
                f"{row.clips}, {row.failed} failed" if row.failed else str(row.clips),
                *(format_value(row.values.get(column.key), column) for column in self.columns),
            ]
            for row in self.rows
        ]  # fmt: skip

    def _labels(self) -> list[str]:
        return [
            label
            for index, label in enumerate(_LABELS)
            if label == "Variant" or any(row.key[index] for row in self.rows)
        ]


_LABELS = ("Set", "Language", "Variant")


def make_table(
    clips: Iterable[ClipResult], row_values: Mapping[tuple[str, str, str], Mapping[str, float]]
) -> ResultTable:
    """Pool clips into rows, in order of first appearance.

    Args:
        row_values: values of whole rows, such as FID, by set, language and variant.
    """
    groups: dict[tuple[str, str, str], list[ClipResult]] = {}
    for clip in clips:
        groups.setdefault((clip.pair.group, clip.pair.language, clip.variant), []).append(clip)
    rows = tuple(
        TableRow(
            *key,
            clips=sum(not clip.failure for clip in group),
            failed=sum(bool(clip.failure) for clip in group),
            values={**_pool(group), **row_values.get(key, {})},
        )
        for key, group in groups.items()
    )
    used = {key for row in rows for key in row.values}
    return ResultTable(rows, tuple(column for column in columns() if column.key in used))


def _pool(clips: Sequence[ClipResult]) -> dict[str, float]:
    pooled = {}
    for column in columns():
        values = [clip.values[column.key] for clip in clips if column.key in clip.values]
        values = [value for value in values if not math.isnan(value)]
        if values and column.pooled:
            pooled[column.key] = float((np.median if column.pooled == "median" else np.mean)(values))
    return pooled


def clip_cells(clips: Sequence[ClipResult], columns: Sequence[Column]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of a table with one row for each clip, by variant."""
    header = ["Variant", *(column_title(column) for column in columns)]
    cells = [
        [clip.variant, *(format_value(clip.values.get(column.key), column) for column in columns)]
        for clip in clips
    ]
    return header, cells


def format_value(value: float | None, column: Column) -> str:
    """Text of a cell."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.{column.digits}f}".replace("-", "−")


def column_title(column: Column) -> str:
    """Title with unit, and an arrow in the direction of better values."""
    sign = {"lower": " ↓", "higher": " ↑", "": ""}[column.better]
    return f"{column.title}{f' ({column.unit})' if column.unit else ''}{sign}"


def json_number(value: float) -> float | str | None:
    """The value to six decimals; None for NaN, the text "inf" for infinity, which JSON lacks."""
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else round(float(value), 6)
