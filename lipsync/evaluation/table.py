"""Figures of many clips in one table: a row for each set, language and variant."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lipsync.evaluation.dataset import Pair
from lipsync.metrics.base import MetricSpec, metric_spec
from lipsync.registries import METRICS


@dataclass(frozen=True)
class Column:
    """One figure of a clip, and of a row.

    Attributes:
        key: as in files.
        title: as in a table's head.
        what: what it says, one sentence.
        unit: "" for a bare number.
        digits: behind the point.
        better: which way is good; "" where neither is.
        pooled: how clips become a row: the mean over them, as Wav2Lip's script does, or the median.
            "" where the figure is of the row as a whole, and clips have none.
    """

    key: str
    title: str
    what: str
    unit: str = ""
    digits: int = 2
    better: Literal["lower", "higher", ""] = ""
    pooled: Literal["mean", "median", ""] = "mean"


_RIGHT = "of the drawn part, where the source is the right answer"
_UNCHANGED = "of the pixels that must not change"
_EARLY = "positive where the sound comes early"
_SYNC_COLUMNS: tuple[Column, ...] = (
    Column("lse_d", "LSE-D", "lip sync error by SyncNet: distance of lips and voice", "", 3, "lower"),
    Column("lse_c", "LSE-C", "SyncNet's confidence", "", 3, "higher"),
    Column("lse_offset", "LSE offset", f"by SyncNet; {_EARLY}", "frames", 0, "", "median"),
    Column("sync_distance", "Sync distance", "of lips and voice, by our own expert", "", 3, "lower"),
    Column("sync_confidence", "Sync confidence", "of our own expert", "", 3, "higher"),
    Column("source_confidence", "Source's confidence", "of the source video with its own sound", "", 3),
    Column("offset_ms", "Offset", f"by our own expert; {_EARLY}", "ms", 0, "", "median"),
)
_TIME_COLUMN = Column("seconds", "Time", "that the run took", "s", 1, "lower")
REGIONS = {"outside": _UNCHANGED, "": "", "inside": _RIGHT}
"""Where a regional metric is measured, in the order of the table, and what is said of it there."""


def columns() -> tuple[Column, ...]:
    """Every figure, in the order of the table; those of metrics come from their specs."""
    specs = [metric_spec(name) for name in METRICS]
    return (
        *_SYNC_COLUMNS,
        *(_metric_column(spec) for spec in specs if spec.of_sets),
        *(_metric_column(spec, region) for region in REGIONS for spec in specs if spec.regional),
        *(_metric_column(spec) for spec in specs if not spec.of_sets and not spec.regional),
        _TIME_COLUMN,
    )


def metric_key(name: str, region: str = "") -> str:
    """Key of a metric's figure in a region: "ssim", "ssim_inside"."""
    return f"{name}_{region}" if region else name


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


_NOTE_CHARACTERS = 160


@dataclass(frozen=True)
class ClipResult:
    """What was found of one clip.

    Attributes:
        pair: what was asked for.
        variant: who made it.
        result: the video that was judged; None where there is none.
        figures: by the keys of `columns`; those that could not be had are absent.
        notes: why, and other things worth knowing, in words.
        failure: why there is no result; "" where there is one.
        curve: (time in seconds, sync score) over the clip.
        tracks: LSE of each face in each shot, where there are several: figures, and `start` and `end`
            in seconds.
    """

    pair: Pair
    variant: str
    result: Path | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failure: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    tracks: tuple[Mapping[str, float], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: paths as text, figures that no JSON can hold as null or text."""
        return {
            "set": self.pair.group,
            "language": self.pair.language,
            "variant": self.variant,
            "name": self.pair.name,
            "video": str(self.pair.video),
            "voice": str(self.pair.voice),
            "result": str(self.result) if self.result else None,
            "figures": {key: plain_number(value) for key, value in self.figures.items()},
            "notes": list(self.notes),
            "failure": self.failure,
            "curve": [[round(time, 3), plain_number(value)] for time, value in self.curve],
            "tracks": [dict(track) for track in self.tracks],
        }


@dataclass(frozen=True)
class Row:
    """One row: all clips of a set, in a language, by a variant.

    Attributes:
        clips: how many were judged; `failed` more were not.
    """

    group: str
    language: str
    variant: str
    clips: int
    failed: int
    figures: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the other rows."""
        return self.group, self.language, self.variant


@dataclass(frozen=True)
class Table:
    """All rows, and the columns that any of them has a figure in."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def head(self) -> list[str]:
        """Titles of the columns; of those that say which row it is, only the ones that are needed."""
        return [*self._labels(), "Clips", *(_title(column) for column in self.columns)]

    def lines(self) -> list[list[str]]:
        """The cells of every row, as text."""
        wanted = self._labels()
        return [
            [
                *(
                    value or "–"
                    for label, value in zip(_LABELS, row.key, strict=True)
                    if label in wanted
                ),
                f"{row.clips}, {row.failed} failed" if row.failed else str(row.clips),
                *(show(row.figures.get(column.key), column) for column in self.columns),
            ]
            for row in self.rows
        ]  # fmt: skip

    def _labels(self) -> list[str]:
        return [
            label
            for place, label in enumerate(_LABELS)
            if label == "Variant" or any(row.key[place] for row in self.rows)
        ]


_LABELS = ("Set", "Language", "Variant")


def make_table(
    judged: Iterable[ClipResult], whole: Mapping[tuple[str, str, str], Mapping[str, float]]
) -> Table:
    """Pool clips into rows, in the order in which the rows first appear.

    Args:
        whole: further figures by the row's key (set, language, variant), such as FID, which is of
            all of its clips together.
    """
    groups: dict[tuple[str, str, str], list[ClipResult]] = {}
    for clip in judged:
        groups.setdefault((clip.pair.group, clip.pair.language, clip.variant), []).append(clip)
    rows = tuple(
        Row(
            *key,
            clips=sum(not clip.failure for clip in clips),
            failed=sum(bool(clip.failure) for clip in clips),
            figures={**_pool(clips), **whole.get(key, {})},
        )
        for key, clips in groups.items()
    )
    found = {key for row in rows for key in row.figures}
    return Table(rows, tuple(column for column in columns() if column.key in found))


def _pool(clips: Sequence[ClipResult]) -> dict[str, float]:
    pooled = {}
    for column in columns():
        values = [clip.figures[column.key] for clip in clips if column.key in clip.figures]
        values = [value for value in values if not math.isnan(value)]
        if values and column.pooled:
            pooled[column.key] = float((np.median if column.pooled == "median" else np.mean)(values))
    return pooled


def as_cells(clips: Sequence[ClipResult], columns: Sequence[Column]) -> tuple[list[str], list[list[str]]]:
    """Head and lines of a table of single clips, a line a variant."""
    head = ["Variant", *(_title(column) for column in columns)]
    lines = [
        [clip.variant, *(show(clip.figures.get(column.key), column) for column in columns)] for clip in clips
    ]
    return head, lines


# --- as text -------------------------------------------------------------------------------------


def show(value: float | None, column: Column) -> str:
    """A figure as it stands in a cell."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.{column.digits}f}".replace("-", "−")


def _title(column: Column) -> str:
    sign = {"lower": " ↓", "higher": " ↑", "": ""}[column.better]
    return f"{column.title}{f' ({column.unit})' if column.unit else ''}{sign}"


def plain_number(value: float) -> float | str | None:
    """What JSON can hold: null for NaN, the text "inf" for infinity."""
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else round(float(value), 6)


def as_markdown(table: Table, judged: Sequence[ClipResult]) -> str:
    """The table, then what failed and what the columns mean."""
    head = table.head()
    text = _markdown(head, table.lines(), len(head) - len(table.columns) - 1)
    if tracks := [(clip, track) for clip in judged for track in clip.tracks]:
        keys = [column for column in columns() if any(column.key in track for _, track in tracks)]
        lines = [
            [
                clip.variant,
                clip.pair.name,
                f"{track['start']:.1f}–{track['end']:.1f}",
                *(show(track.get(column.key), column) for column in keys),
            ]
            for clip, track in tracks
        ]
        text += "\n\nFace by face:\n\n"
        text += _markdown(["Variant", "Clip", "Seconds", *map(_title, keys)], lines, 2)
    failed = [clip for clip in judged if clip.failure]
    if failed:
        text += "\n\nFailed:\n" + "\n".join(
            f"- {clip.variant}, {clip.pair.name}: {_one_line(clip.failure)}" for clip in failed
        )
    noted = dict.fromkeys(note for clip in judged for note in clip.notes)
    if noted:
        text += "\n\nNotes:\n" + "\n".join(f"- {_one_line(note)}" for note in noted)
    return text


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]], labels: int) -> str:
    """A table whose first `labels` columns are words, and lean left."""
    widths = [max(map(len, cells)) for cells in zip(head, *lines, strict=True)]
    rule = [("-" * width if at < labels else "-" * (width - 1) + ":") for at, width in enumerate(widths)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if at < labels else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(head), line(rule), *(line(cells) for cells in lines)])


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _NOTE_CHARACTERS else f"{line[: _NOTE_CHARACTERS - 1]}…"


def as_csv(judged: Sequence[ClipResult]) -> str:
    """One line a clip and variant, with every figure in full."""
    found = {key for clip in judged for key in clip.figures}
    keys = [column.key for column in columns() if column.key in found]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["set", "language", "variant", "name", "video", "voice", "result", *keys, "notes", "failure"]
    )
    for clip in judged:
        values = clip.as_dict()
        figures = [values["figures"].get(key) for key in keys]
        start = [values[name] for name in ("set", "language", "variant", "name", "video", "voice", "result")]
        writer.writerow([*start, *figures, " ".join(clip.notes), clip.failure])
    return out.getvalue()


def as_json(table: Table, judged: Sequence[ClipResult]) -> dict[str, Any]:
    """Rows, clips, and what the figures are."""
    return {
        "rows": [
            {
                "set": row.group,
                "language": row.language,
                "variant": row.variant,
                "clips": row.clips,
                "failed": row.failed,
                "figures": {key: plain_number(value) for key, value in row.figures.items()},
            }
            for row in table.rows
        ],
        "clips": [clip.as_dict() for clip in judged],
        "columns": {
            column.key: {
                "title": column.title,
                "what": column.what,
                "unit": column.unit,
                "better": column.better,
            }
            for column in table.columns
        },
    }
