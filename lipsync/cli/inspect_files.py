"""The work of `lipsync inspect`; importing it takes seconds."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from lipsync.cli.outputs import print_json
from lipsync.cli.parser import in_flags
from lipsync.cli.terminal import EXIT_ERROR, ProgressBar, cancel_on_interrupt
from lipsync.errors import InputError, LipsyncError
from lipsync.inspection.options import InspectOptions
from lipsync.inspection.render import render_page, render_text
from lipsync.inspection.report import MediaReport, inspect_media
from lipsync.media import write_image
from lipsync.options import SyncOptions
from lipsync.speech import to_srt, to_vtt
from lipsync.utils.atomic_write import write_text
from lipsync.utils.file_names import fitting_name


def inspect_files(arguments: argparse.Namespace, parts: InspectOptions, run: SyncOptions) -> int:
    """Report on every file, and write what was asked for; returns the exit status."""
    reports, failed = [], False
    with cancel_on_interrupt() as cancel, ProgressBar() as bar:
        for path in arguments.files:
            try:
                report = inspect_media(
                    path,
                    parts,
                    run=run,
                    progress=bar.update,
                    cancel=cancel,
                )
            except LipsyncError as error:
                cancel.check()
                if len(arguments.files) == 1:
                    raise
                text = error.worded(lambda part: in_flags(part, arguments.flags))
                print(f"Error: {path}: {text}", file=sys.stderr)
                failed = True
                continue
            reports.append(report)
            if not arguments.json:
                print(in_flags(render_text(report), arguments.flags), flush=True)
    _write(arguments, reports)
    return EXIT_ERROR if failed else 0


def _write(arguments: argparse.Namespace, reports: list[MediaReport]) -> None:
    if arguments.json:
        values = [report.as_dict() for report in reports]
        print_json(values[0] if len(arguments.files) == 1 else values)
    if arguments.html and reports:
        write_text(arguments.html, render_page(reports))
    if arguments.faces_to:
        for report in reports:
            _write_faces(arguments.faces_to, report)
    for path in (arguments.srt, arguments.vtt):
        if path:
            _write_subtitles(path, reports[0], "vtt" if path is arguments.vtt else "srt")


def _write_faces(folder: Path, report: MediaReport) -> None:
    stem = re.sub(r"[^\w.-]+", "_", report.path.stem)
    for number, person in enumerate(report.faces.people if report.faces else ()):
        name = fitting_name("", stem, f"_{number}_{person.time:.2f}s.jpg")
        write_image(folder / name, person.thumbnail)


def _write_subtitles(path: Path, report: MediaReport, kind: str) -> None:
    if report.transcript is None:
        why = report.missing.get("transcript", "the file has no audio, or the transcript is switched off")
        raise InputError("There is nothing to write subtitles from", given=why)
    write_text(path, to_vtt(report.transcript) if kind == "vtt" else to_srt(report.transcript))
