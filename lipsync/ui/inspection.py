"""Inspection of an uploaded file: the report as files and as HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lipsync.errors import InputError
from lipsync.inspection.render import render_fragment
from lipsync.inspection.report import InspectOptions, MediaReport, inspect_media
from lipsync.options import SyncOptions, TranscriptOptions
from lipsync.progress import CancelToken, Progress
from lipsync.speech import to_srt, to_vtt
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.formatting import strip_folders
from lipsync.ui.labels import in_labels
from lipsync.ui.languages import strings, translated_html
from lipsync.ui.zerogpu.dispatch import local_options
from lipsync.utils.atomic_write import write_text


def inspect_file(
    file: str | None, options: InspectOptions, transcript: TranscriptOptions, cancel: CancelToken
) -> Iterator[Progress | Done[MediaReport]]:
    """Inspect a file; yield the progress, and the report last, which names no folder of this machine.

    Raises:
        InputError: no file was given.
        LipsyncError: the file cannot be inspected.
        Cancelled: the job was cancelled.
    """
    if not file:
        raise InputError(strings.NO_FILE, hint=strings.NO_FILE_HINT)
    path, run = Path(file), replace(local_options(SyncOptions()), transcript=transcript)
    for item in run_in_thread(
        lambda progress: inspect_media(path, options, run=run, progress=progress, cancel=cancel),
        cancel,
    ):
        cancel.check()  # small files are done before anything else checks
        yield Done(_without_folders(item.value)) if isinstance(item, Done) else item


def _without_folders(report: MediaReport) -> MediaReport:
    missing = {part: in_labels(strip_folders(why)) for part, why in report.missing.items()}
    return replace(report, path=Path(report.path.name), missing=missing)


@dataclass(frozen=True)
class ReportFiles:
    """A report as files; the subtitles are None without speech."""

    report: Path
    srt: Path | None
    vtt: Path | None


def write_report(report: MediaReport, folder: Path) -> ReportFiles:
    """Write the report as JSON, and its transcript as subtitles.

    Raises:
        DiskFullError, OutputError: they cannot be written.
    """
    stem = report.path.stem[:80]
    files = ReportFiles(folder / f"{stem}_report.json", None, None)
    write_text(files.report, json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    if report.transcript and report.transcript.segments:
        files = replace(files, srt=folder / f"{stem}.srt", vtt=folder / f"{stem}.vtt")
        write_text(folder / f"{stem}.srt", to_srt(report.transcript))
        write_text(folder / f"{stem}.vtt", to_vtt(report.transcript))
    return files


def report_html(report: MediaReport) -> str:
    """Render the report as HTML: texts from the file are escaped, settings get the page's labels."""
    advice = tuple(replace(one, text=in_labels(one.text)) for one in report.advice)
    body = translated_html(render_fragment(replace(report, advice=advice)))
    return f"<h2>{html.escape(report.path.name)}</h2>{body}"


def input_of(report: MediaReport) -> str:
    """Return the input of the sync tab that takes the file: "video", "photo" or "voice"."""
    if report.video is None:
        return "voice"
    return "photo" if report.video.is_still else "video"
