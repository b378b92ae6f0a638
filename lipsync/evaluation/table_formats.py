"""Evaluation tables as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from lipsync.evaluation.table import ClipResult, ResultTable, column_title, columns, format_value, json_number

_MAX_NOTE_LENGTH = 160


def to_markdown(table: ResultTable, clips: Sequence[ClipResult]) -> str:
    """The table, then face tracks, failures and notes."""
    header = table.header()
    text = _markdown(header, table.cells(), len(header) - len(table.columns) - 1)
    if tracks := [(clip, track) for clip in clips for track in clip.tracks]:
        track_columns = [column for column in columns() if any(column.key in track for _, track in tracks)]
        cells = [
            [
                clip.variant,
                clip.pair.name,
                f"{track['start']:.1f}–{track['end']:.1f}",
                *(format_value(track.get(column.key), column) for column in track_columns),
            ]
            for clip, track in tracks
        ]
        text += "\n\nFace tracks:\n\n"
        text += _markdown(["Variant", "Clip", "Seconds", *map(column_title, track_columns)], cells, 2)
    failed = [clip for clip in clips if clip.failure]
    if failed:
        text += "\n\nFailed:\n" + "\n".join(
            f"- {clip.variant}, {clip.pair.name}: {_one_line(clip.failure)}" for clip in failed
        )
    notes = dict.fromkeys(note for clip in clips for note in clip.notes)
    if notes:
        text += "\n\nNotes:\n" + "\n".join(f"- {_one_line(note)}" for note in notes)
    return text


def _markdown(header: Sequence[str], cells: Sequence[Sequence[str]], labels: int) -> str:
    """A padded Markdown table; the first `labels` columns are left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    rule = [
        ("-" * width if index < labels else "-" * (width - 1) + ":") for index, width in enumerate(widths)
    ]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if index < labels else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(header), line(rule), *(line(row) for row in cells)])


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_NOTE_LENGTH else f"{line[: _MAX_NOTE_LENGTH - 1]}…"


def to_csv(clips: Sequence[ClipResult]) -> str:
    """One line for each clip, with all values to six decimals."""
    used = {key for clip in clips for key in clip.values}
    keys = [column.key for column in columns() if column.key in used]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["set", "language", "variant", "name", "video", "voice", "result", *keys, "notes", "failure"]
    )
    for clip in clips:
        fields = clip.as_dict()
        values = [fields["figures"].get(key) for key in keys]
        labels = [fields[name] for name in ("set", "language", "variant", "name", "video", "voice", "result")]
        writer.writerow([*labels, *values, " ".join(clip.notes), clip.failure])
    return out.getvalue()


def to_json(table: ResultTable, clips: Sequence[ClipResult]) -> dict[str, Any]:
    """JSON form of rows, clips and columns."""
    return {
        "rows": [
            {
                "set": row.group,
                "language": row.language,
                "variant": row.variant,
                "clips": row.clips,
                "failed": row.failed,
                "figures": {key: json_number(value) for key, value in row.values.items()},
            }
            for row in table.rows
        ],
        "clips": [clip.as_dict() for clip in clips],
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
