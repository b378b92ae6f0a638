"""`lipsync batch`: several videos, in this process or on a cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import lipsync
from lipsync.batch.ray_cluster import check_cluster, cluster
from lipsync.cli.cluster import add_cluster
from lipsync.cli.flags import SYNC_GROUPS, add_options, read_options, read_sync_options
from lipsync.cli.outputs import add_json, print_json
from lipsync.cli.parser import CommandParser, in_flags
from lipsync.cli.run import result_text, result_values
from lipsync.cli.signing import add_signing
from lipsync.cli.terminal import EXIT_ERROR, ProgressBar, cancel_on_interrupt, heavy_imports
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.options import ClusterOptions
from lipsync.progress import CancelToken
from lipsync.types import SyncResult
from lipsync.utils.atomic_write import check_place
from lipsync.utils.early_import import import_early

if TYPE_CHECKING:
    from lipsync.batch.items import BatchItem, BatchSettings, Outcome


def add_batch_command(parser: CommandParser) -> None:
    """Add the arguments of `batch`."""
    parser.add_argument("--videos", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--voices", nargs="+", type=Path, required=True, metavar="FILE", help="one, or one per video"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    add_cluster(parser, "--on", "make the videos at the same time on Ray")
    add_json(parser)
    add_signing(parser)
    add_options(parser, *SYNC_GROUPS, brief=True)
    parser.set_defaults(command=_batch)


def _batch(arguments: argparse.Namespace) -> int:
    options, videos = read_sync_options(arguments), arguments.videos
    voices = _one_per_video(arguments.voices, videos)
    if arguments.on is not None:
        check_cluster(arguments.on)
    import_early("torch")
    with heavy_imports():
        from lipsync.batch.items import BatchSettings, plan_items
        from lipsync.pipeline.provenance import choose_signing

    settings = BatchSettings(options, arguments.sign_cert, arguments.sign_key)
    choose_signing(options.report.provenance, settings.sign_cert, settings.sign_key)
    made, failed = dict[int, SyncResult](), dict[int, dict[str, str]]()
    with cancel_on_interrupt() as cancel:
        check_place(arguments.output / "any.mp4")
        pairs = list(zip(videos, voices, strict=True))
        items = plan_items(pairs, arguments.output, options.media.codec)
        make = _make_here(items, settings, cancel)
        if arguments.on is not None:
            make = _make_on_cluster(items, settings, arguments, cancel)
        try:
            for outcome in make:
                if outcome.result is not None:
                    made[outcome.number] = outcome.result
                    if not arguments.json:
                        print(result_text(outcome.result), flush=True)
                elif outcome.error is not None:
                    text = outcome.error.worded(lambda part: in_flags(part, arguments.flags))
                    video = str(videos[outcome.number])
                    failed[outcome.number] = {"video": video, "error": text}
                    print(f"{video}: {text}", file=sys.stderr)
        except Cancelled as cancelled:
            cancelled.kept = f"{len(made)} of {len(videos)} videos were made."
            raise
    if arguments.json:
        results = [result_values(result) for _, result in sorted(made.items())]
        print_json({"made": results, "failed": [error for _, error in sorted(failed.items())]})
    else:
        print(f"{len(made)} of {len(videos)} made.")
    return EXIT_ERROR if failed else 0


def _one_per_video(voices: list[Path], videos: list[Path]) -> list[Path]:
    """The voice of each video.

    Raises:
        InputError: the numbers do not match.
    """
    if len(voices) not in (1, len(videos)):
        raise InputError(
            "The numbers of voices and videos do not match",
            given=f"{len(voices)} voices, {len(videos)} videos",
            hint="Give one voice for all videos, or one per video.",
        )
    return voices * len(videos) if len(voices) == 1 else voices


def _make_here(items: Sequence[BatchItem], settings: BatchSettings, cancel: CancelToken) -> Iterator[Outcome]:
    """Make the videos one after the other; an item that fails does not stop the others."""
    from lipsync.batch.items import Outcome
    from lipsync.pipeline.model_provider import CachedModels

    models = CachedModels()
    for number, item in enumerate(items):
        try:
            with ProgressBar() as bar:
                result = lipsync.sync(
                    *(item.video, item.voice, settings.options, bar.update, cancel),
                    output=item.free_output(settings.options.media.codec),
                    overwrite=False,
                    models=models,
                    sign_cert=settings.sign_cert,
                    sign_key=settings.sign_key,
                )
            yield Outcome(number, result)
        except Cancelled:
            raise
        except LipsyncError as error:
            yield Outcome(number, error=error)


def _make_on_cluster(
    items: Sequence[BatchItem], settings: BatchSettings, arguments: argparse.Namespace, cancel: CancelToken
) -> Iterator[Outcome]:
    """Make the videos on a cluster."""
    from lipsync.batch.run import make_on_cluster

    with ExitStack() as cleanup:
        ray = cleanup.enter_context(cluster(arguments.on))
        bar = cleanup.enter_context(ProgressBar())
        options = read_options(arguments, ClusterOptions())
        yield from make_on_cluster(ray, items, settings, options, bar.update, cancel)
