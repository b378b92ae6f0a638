"""`lipsync inspect`: report what is in media files, and what to expect of a sync."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from lipsync.cli.flags import add_options, read_options
from lipsync.cli.terminal import EXIT_ERROR, ProgressBar, cancel_on_interrupt
from lipsync.errors import InputError, LipsyncError
from lipsync.inspection.render import render_page, render_text
from lipsync.inspection.report import InspectOptions, MediaReport, inspect_media
from lipsync.media import write_image
from lipsync.options import DEVICES, FaceOptions, GeneratorOptions, SyncOptions, TranscriptOptions
from lipsync.speech import to_srt, to_vtt
from lipsync.utils.atomic_write import check_place, write_text
from lipsync.utils.file_names import fitting_name


def add_inspect_command(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `inspect`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="video, photo or audio")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the reports as a web page")
    parser.add_argument("--faces-to", type=Path, metavar="FOLDER", help="write an image of each person")
    parser.add_argument("--srt", type=Path, metavar="FILE", help="write the transcript as subtitles (.srt)")
    parser.add_argument("--vtt", type=Path, metavar="FILE", help="the same as WebVTT (.vtt)")
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where the models run (default auto)"
    )
    add_options(parser, InspectOptions(), TranscriptOptions(), FaceOptions())
    parser.set_defaults(command=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    if len(arguments.files) > 1 and (arguments.srt or arguments.vtt):
        raise InputError(
            "Subtitles are of one file", given=f"{len(arguments.files)} files", hint="Name one file."
        )
    for path in filter(None, (arguments.html, arguments.srt, arguments.vtt)):
        check_place(path)
    run = SyncOptions(
        faces=read_options(arguments, FaceOptions()),
        generator=GeneratorOptions(device=arguments.device),
        transcript=read_options(arguments, TranscriptOptions()),
    )
    reports, failed = [], False
    with cancel_on_interrupt() as cancel, ProgressBar() as bar:
        for path in arguments.files:
            try:
                report = inspect_media(
                    path,
                    read_options(arguments, InspectOptions()),
                    run=run,
                    progress=bar.update,
                    cancel=cancel,
                )
            except LipsyncError as error:
                cancel.check()
                if len(arguments.files) == 1:
                    raise
                print(f"Error: {error}", file=sys.stderr)
                failed = True
                continue
            reports.append(report)
            if not arguments.json:
                print(render_text(report), flush=True)
    _write(arguments, reports)
    return EXIT_ERROR if failed else 0


def _write(arguments: argparse.Namespace, reports: list[MediaReport]) -> None:
    if arguments.json:
        values = [report.as_dict() for report in reports]
        print(json.dumps(values[0] if len(arguments.files) == 1 else values, indent=2, ensure_ascii=False))
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
