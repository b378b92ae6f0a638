"""The command line: python -m lipsync run | preview | weights | train | doctor."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lipsync
from lipsync.data_types import SyncResult
from lipsync.errors import Cancelled, LipsyncError
from lipsync.options import LinkOptions, SyncOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sources import is_link, open_source
from lipsync.terminal import (
    EXIT_CANCELLED,
    EXIT_ERROR,
    ProgressBar,
    add_options,
    cancel_on_interrupt,
    chosen_options,
    read_options,
)

_GROUPS = tuple(getattr(SyncOptions(), field.name) for field in dataclasses.fields(SyncOptions))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        chosen = _parser(words).parse_args(words)
        status: int = chosen.command(chosen)
    except Cancelled:
        print("Cancelled; nothing was written.", file=sys.stderr)
        return EXIT_CANCELLED
    except LipsyncError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_ERROR
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lipsync", description=lipsync.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=lipsync.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="make a lip-synced video")
    _add_inputs(run)
    run.add_argument(
        "-o",
        "--output",
        type=Path,
        help="file to write (default: a new name beside VIDEO, for a link in this folder)",
    )
    run.add_argument("--json", action="store_true", help="print the result as JSON")
    add_options(run, *_GROUPS, LinkOptions())
    run.set_defaults(command=_run)

    preview = commands.add_parser("preview", help="draw one frame: source with box and mask, and result")
    _add_inputs(preview)
    preview.add_argument("-o", "--output", type=Path, required=True, help="picture to write (.png, .jpg)")
    preview.add_argument("--at", type=float, default=0.0, help="time in the result (s)")
    add_options(preview, *_GROUPS, LinkOptions())
    preview.set_defaults(command=_preview)

    weights = commands.add_parser("weights", help="list the known models, or fetch some")
    weights.add_argument("names", nargs="*", metavar="NAME", help="models to fetch; none lists them")
    weights.set_defaults(command=_weights)

    train = commands.add_parser("train", help="train a model of your own: prepare videos, train on them")
    if words[:1] == ["train"]:  # the libraries that training needs take seconds to load
        from lipsync.train_commands import add_train_commands

        add_train_commands(train)

    doctor = commands.add_parser("doctor", help="look at what this machine has and lacks")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", help="video or photo: a file, or a link to a video")
    parser.add_argument("voice", help="sound, or a video whose sound is used: a file or a link")


def _options(chosen: argparse.Namespace) -> SyncOptions:
    return SyncOptions.from_flat(**chosen_options(chosen, *_GROUPS))


@contextmanager
def _at_hand(
    chosen: argparse.Namespace, progress: ProgressCallback, cancel: CancelToken
) -> Iterator[tuple[Path, Path, SyncOptions]]:
    """Picture and voice as files, and the settings for them.

    Links are fetched into a folder that is removed afterwards. Where only a part of one was
    fetched, the ranges are moved along.
    """
    options, links = _options(chosen), read_options(chosen, LinkOptions())
    media = options.media
    with tempfile.TemporaryDirectory(prefix="lipsync-") as folder:
        video = open_source(chosen.video, links).fetch(Path(folder), progress, cancel, media.video_ranges)
        voice = open_source(chosen.voice, links, sound_only=True).fetch(
            Path(folder), progress, cancel, media.voice_ranges
        )
        media = dataclasses.replace(
            media,
            video_ranges=video.shift(media.video_ranges),
            voice_ranges=voice.shift(media.voice_ranges),
        )
        yield video.path, voice.path, dataclasses.replace(options, media=media)


# --- commands ------------------------------------------------------------------------------------


def _run(chosen: argparse.Namespace) -> int:
    from lipsync.pipeline import free_name

    with (
        cancel_on_interrupt() as cancel,
        ProgressBar() as bar,
        _at_hand(chosen, bar.update, cancel) as (video, voice, options),
    ):
        output = chosen.output
        if output is None and is_link(chosen.video):  # beside the video would be a folder that is removed
            output = free_name(Path.cwd() / video.name)
        result = lipsync.sync(video, voice, options, bar.update, cancel, output=output)
    for warning in result.warnings:
        print(f"Note: {warning}", file=sys.stderr)
    print(_as_json(result) if chosen.json else _in_words(result))
    return 0


def _in_words(result: SyncResult) -> str:
    total = result.timings["total"]
    return (
        f"{result.path}\n{result.duration:.2f} s of {result.width}x{result.height} at "
        f"{float(result.fps):g} frames/s, {result.frames_synced} of {result.frames} frames synced by "
        f"{result.variant} in {total:.1f} s ({result.frames / total:.1f} frames/s)"
    )


def _as_json(result: SyncResult) -> str:
    values = dataclasses.asdict(result) | {
        "path": str(result.path),
        "fps": str(result.fps),
        "duration": result.duration,
    }
    return json.dumps(values, indent=2)


def _preview(chosen: argparse.Namespace) -> int:
    from lipsync.blending import preview_sheet
    from lipsync.media import write_picture

    with (
        cancel_on_interrupt() as cancel,
        ProgressBar() as bar,
        _at_hand(chosen, bar.update, cancel) as (video, voice, options),
    ):
        drawn = lipsync.preview(video, voice, chosen.at, options, bar.update, cancel)
    write_picture(chosen.output, preview_sheet(drawn))
    if drawn.box is None:
        print("Note: there is no face to use at that time; the frame passes through.", file=sys.stderr)
    print(chosen.output)
    return 0


def _weights(chosen: argparse.Namespace) -> int:
    from lipsync.weights import CATALOGUE, find, require

    for name in chosen.names:
        with cancel_on_interrupt() as cancel, ProgressBar() as bar:
            print(require(name, progress=bar.update, cancel=cancel))
    if not chosen.names:
        for entry in CATALOGUE.values():
            here = find(entry.name)
            print(f"{entry.name}: {entry.what}")
            print(f"    {here or f'not here, {entry.bytes / 1e6:.0f} MB, from {entry.source}'}")
            print(f"    licence: {entry.licence}")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from lipsync.doctor import examine

    signs = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}
    findings = examine()
    for finding in findings:
        print(f"{signs[finding.state]} {finding.name}: {finding.found}")
        if finding.advice:
            print(f"        {finding.advice}")
    return EXIT_ERROR if any(finding.state == "missing" for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
