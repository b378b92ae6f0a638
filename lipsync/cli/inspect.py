"""The command line of inspecting: python -m lipsync inspect FILE ..."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from lipsync.cli.terminal import EXIT_ERROR, ProgressBar, add_options, cancel_on_interrupt, read_options
from lipsync.errors import InputError, LipsyncError
from lipsync.inspection.render import as_page_of_several, in_words
from lipsync.inspection.report import InspectOptions, MediaReport, inspect_media
from lipsync.media import write_image
from lipsync.options import DEVICES, FaceOptions, TranscriptOptions
from lipsync.speech import to_srt, to_vtt
from lipsync.utils.atomic_write import write_text


def add_inspect_command(parser: argparse.ArgumentParser) -> None:
    """Add what `inspect` takes."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="video, photo or sound")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write them as a page to look at")
    parser.add_argument("--faces-to", type=Path, metavar="FOLDER", help="write a picture of each person")
    parser.add_argument("--srt", type=Path, metavar="FILE", help="write what is said as subtitles (.srt)")
    parser.add_argument("--vtt", type=Path, metavar="FILE", help="the same as WebVTT (.vtt)")
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where the networks run (default auto)"
    )
    add_options(parser, InspectOptions(), TranscriptOptions(), FaceOptions())
    parser.set_defaults(command=_inspect)


def _inspect(chosen: argparse.Namespace) -> int:
    if len(chosen.files) > 1 and (chosen.srt or chosen.vtt):
        raise InputError("Subtitles are of one file", given=f"{len(chosen.files)} files", hint="Name one.")
    reports, failed = [], False
    with cancel_on_interrupt() as cancel, ProgressBar() as bar:
        for path in chosen.files:
            try:
                report = inspect_media(
                    path,
                    read_options(chosen, InspectOptions()),
                    faces=read_options(chosen, FaceOptions()),
                    transcript=read_options(chosen, TranscriptOptions()),
                    device=chosen.device,
                    progress=bar.update,
                    cancel=cancel,
                )
            except LipsyncError as error:
                cancel.check()
                if len(chosen.files) == 1:
                    raise
                print(f"Error: {error}", file=sys.stderr)
                failed = True
                continue
            reports.append(report)
            if not chosen.json:
                print(in_words(report), flush=True)
    _write(chosen, reports)
    return EXIT_ERROR if failed else 0


def _write(chosen: argparse.Namespace, reports: list[MediaReport]) -> None:
    if chosen.json:
        values = [report.as_dict() for report in reports]
        print(json.dumps(values[0] if len(chosen.files) == 1 else values, indent=2, ensure_ascii=False))
    if chosen.html and reports:
        write_text(chosen.html, as_page_of_several(reports))
    if chosen.faces_to:
        for report in reports:
            _write_faces(chosen.faces_to, report)
    for path in (chosen.srt, chosen.vtt):
        if path:
            _write_subtitles(path, reports[0], "vtt" if path is chosen.vtt else "srt")


def _write_faces(folder: Path, report: MediaReport) -> None:
    stem = re.sub(r"[^\w.-]+", "_", report.path.stem)
    for number, one in enumerate(report.faces.people if report.faces else ()):
        write_image(folder / f"{stem}_{number}_{one.time:.2f}s.jpg", one.picture)


def _write_subtitles(path: Path, report: MediaReport, kind: str) -> None:
    if report.transcript is None:
        why = report.missing.get("transcript", "it has no sound, or was told not to listen")
        raise InputError("There is nothing to write subtitles from", given=why)
    write_text(path, to_vtt(report.transcript) if kind == "vtt" else to_srt(report.transcript))
