"""The command line: python -m lipsync COMMAND; each is a function below, or a module of its own."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import lipsync
from lipsync.cli.terminal import (
    EXIT_CANCELLED,
    EXIT_ERROR,
    ProgressBar,
    add_options,
    cancel_on_interrupt,
    chosen_options,
    heavy_imports,
    leave,
    read_options,
)
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.options import LinkOptions, SyncOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sources import is_link, open_source
from lipsync.types import SyncResult

_GROUPS = tuple(getattr(SyncOptions(), field.name) for field in dataclasses.fields(SyncOptions))


def program() -> NoReturn:
    """`main` as a process of its own."""
    leave(main())


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
    run.add_argument(
        "--resume",
        action="store_true",
        help="keep what is finished when the run breaks off, and go on from there in the next one",
    )
    run.add_argument("--score-plot", type=Path, metavar="FILE.svg", help="draw the sync score over time")
    _add_segments(run)
    add_options(run, *_GROUPS, LinkOptions())
    run.set_defaults(command=_run)

    preview = commands.add_parser("preview", help="draw one frame: source with box and mask, and result")
    _add_inputs(preview)
    preview.add_argument("-o", "--output", type=Path, required=True, help="picture to write (.png, .jpg)")
    preview.add_argument("--at", type=float, default=0.0, help="time in the result (s)")
    _add_segments(preview)
    add_options(preview, *_GROUPS, LinkOptions())
    preview.set_defaults(command=_preview)

    batch = commands.add_parser("batch", help="make several videos with one voice, or each with its own")
    batch.add_argument("--videos", nargs="+", type=Path, required=True, metavar="FILE")
    batch.add_argument(
        "--voices", nargs="+", type=Path, required=True, metavar="FILE", help="one, or as many as videos"
    )
    batch.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    add_options(batch, *_GROUPS)
    batch.set_defaults(command=_batch)

    weights = commands.add_parser("weights", help="list the known models, or fetch some")
    weights.add_argument("names", nargs="*", metavar="NAME", help="models to fetch; none lists them")
    weights.set_defaults(command=_weights)

    train = commands.add_parser("train", help="train a model of your own: prepare videos, train on them")
    if words[:1] == ["train"]:  # the libraries that training needs take seconds to load
        with heavy_imports():
            from lipsync.cli.train import add_train_commands

        add_train_commands(train)

    evaluate = commands.add_parser("evaluate", help="measure videos: one, or a list by several models")
    if words[:1] == ["evaluate"]:
        with heavy_imports():
            from lipsync.cli.evaluate import add_evaluate_command

        add_evaluate_command(evaluate)

    inspect = commands.add_parser("inspect", help="say what is in files, and what to expect of them")
    if words[:1] == ["inspect"]:
        with heavy_imports():
            from lipsync.cli.inspect import add_inspect_command

        add_inspect_command(inspect)

    doctor = commands.add_parser("doctor", help="look at what this machine has and lacks")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", help="video or photo: a file, or a link to a video")
    parser.add_argument("voice", help="sound, or a video whose sound is used: a file or a link")
    parser.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="look for faces anew, and keep nothing of what is found in the cache folder of the user",
    )


def _add_segments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--segments",
        metavar="TEXT|FILE",
        help="who says what and when, such as '0-4.5 face=0 voice=0-4.5; 5-9 face=1 file=1', or a file "
        "with one a line",
    )
    parser.add_argument(
        "--more-voice",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a further voice that segments may name: the first is file=1",
    )


def _more(chosen: argparse.Namespace) -> dict[str, Any]:
    """What `lipsync.sync` and `lipsync.preview` take beside files and settings."""
    from lipsync.faces import DetectionCache
    from lipsync.segments import parse_segments

    text = chosen.segments or ""
    if text and "=" not in text and Path(text).is_file():
        text = Path(text).read_text("utf-8")
    return {
        "segments": parse_segments(text),
        "more_voices": chosen.more_voice,
        "cache": DetectionCache() if chosen.cache else None,
    }


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
        voice = open_source(chosen.voice, links, audio_only=True).fetch(
            Path(folder), progress, cancel, media.voice_ranges
        )
        media = dataclasses.replace(
            media,
            video_ranges=video.to_file_time(media.video_ranges),
            voice_ranges=voice.to_file_time(media.voice_ranges),
        )
        yield video.path, voice.path, dataclasses.replace(options, media=media)


# --- commands ------------------------------------------------------------------------------------


def _run(chosen: argparse.Namespace) -> int:
    with heavy_imports():
        from lipsync.pipeline.sync import free_name

    with (
        cancel_on_interrupt() as cancel,
        ProgressBar() as bar,
        _at_hand(chosen, bar.update, cancel) as (video, voice, options),
    ):
        output = chosen.output
        if output is None and is_link(chosen.video):  # beside the video would be a folder that is removed
            output = free_name(Path.cwd() / video.name)
        result = lipsync.sync(
            video,
            voice,
            options,
            bar.update,
            cancel,
            output=output,
            resume=chosen.resume,
            **_more(chosen),
        )
    if chosen.score_plot and result.score:
        from lipsync.sync_score import plot_score

        plot_score(result.score, chosen.score_plot)
    for warning in result.warnings:
        print(f"Note: {warning}", file=sys.stderr)
    print(_as_json(result) if chosen.json else _in_words(result))
    return 0


def _in_words(result: SyncResult) -> str:
    total = result.timings["total"]
    score = "\n" + " ".join(result.score.words) if result.score else ""
    return (
        f"{result.path}\n{result.duration:.2f} s of {result.width}x{result.height} at "
        f"{float(result.fps):g} frames/s, {result.frames_synced} of {result.frames} frames synced by "
        f"{result.variant} in {total:.1f} s ({result.frames / total:.1f} frames/s){score}"
    )


def _as_json(result: SyncResult) -> str:
    plain = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    values = plain | {
        "path": str(result.path),
        "score": result.score.as_dict() if result.score else None,
        "subtitles": str(result.subtitles) if result.subtitles else None,
        "fps": str(result.fps),
        "duration": result.duration,
    }
    return json.dumps(values, indent=2)


def _preview(chosen: argparse.Namespace) -> int:
    with heavy_imports():
        from lipsync.blending import preview_sheet
        from lipsync.media import write_image
        from lipsync.pipeline.sync import preview

    with (
        cancel_on_interrupt() as cancel,
        ProgressBar() as bar,
        _at_hand(chosen, bar.update, cancel) as (video, voice, options),
    ):
        drawn = preview(video, voice, chosen.at, options, bar.update, cancel, **_more(chosen))
    write_image(chosen.output, preview_sheet(drawn))
    if drawn.box is None:
        print("Note: there is no face to use at that time; the frame passes through.", file=sys.stderr)
    print(chosen.output)
    return 0


def _batch(chosen: argparse.Namespace) -> int:
    with heavy_imports():
        from lipsync.pipeline.model_provider import CachedModels
        from lipsync.pipeline.sync import free_name

    videos, voices = chosen.videos, chosen.voices
    if len(voices) not in (1, len(videos)):
        raise InputError(
            "Voices and videos do not fit together",
            given=f"{len(voices)} voices, {len(videos)} videos",
            hint="Give one voice for all videos, or as many voices as videos.",
        )
    options, models, failed = _options(chosen), CachedModels(), 0
    chosen.output.mkdir(parents=True, exist_ok=True)
    with cancel_on_interrupt() as cancel:
        for number, video in enumerate(videos):
            voice = voices[number % len(voices)]
            output = free_name(chosen.output / video.name)  # nothing is overwritten
            try:
                with ProgressBar() as bar:
                    result = lipsync.sync(
                        video, voice, options, bar.update, cancel, output=output, models=models
                    )
                print(_in_words(result))
            except Cancelled:
                raise
            except LipsyncError as error:  # the others go on
                failed += 1
                print(f"{video}: {error}", file=sys.stderr)
    print(f"{len(videos) - failed} of {len(videos)} made.")
    return EXIT_ERROR if failed else 0


def _weights(chosen: argparse.Namespace) -> int:
    with heavy_imports():
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
    from lipsync.cli.doctor import examine

    signs = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}
    with heavy_imports():  # each check does its own
        findings = examine()
    for finding in findings:
        print(f"{signs[finding.state]} {finding.name}: {finding.found}")
        if finding.advice:
            print(f"        {finding.advice}")
    return EXIT_ERROR if any(finding.state == "missing" for finding in findings) else 0


if __name__ == "__main__":
    program()
