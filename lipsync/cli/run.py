"""`lipsync run` and `preview`: a lip-synced video, or one frame."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lipsync
from lipsync.cli.conversation import (
    Conversation,
    Inputs,
    add_segments,
    add_speech,
    check_conversation,
    conversation_inputs,
)
from lipsync.cli.flags import SYNC_GROUPS, add_options, read_options, read_sync_options
from lipsync.cli.outputs import add_json, add_overwrite, check_folder_output, check_outputs, print_json
from lipsync.cli.parser import CommandParser, in_flags
from lipsync.cli.signing import add_signing
from lipsync.cli.terminal import ProgressBar, cancel_on_interrupt, heavy_imports
from lipsync.options import SEQUENCES, LinkOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sources import LocalFile, is_link, open_source
from lipsync.types import SyncResult, TimeRange
from lipsync.utils.atomic_write import check_not_there
from lipsync.utils.checked_file import checked_file
from lipsync.utils.early_import import import_early
from lipsync.utils.owned_folder import remove_abandoned, remove_unlocked, temporary_folder


def add_run_command(parser: CommandParser) -> None:
    """Add the arguments of `run`."""
    _add_inputs(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="file to write, or folder with --codec png (default: a new name next to VIDEO; for a link, in "
        "the current folder)",
    )
    add_json(parser)
    add_overwrite(parser)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep finished frames if the run is interrupted, and continue from them in the next run",
    )
    parser.add_argument(
        "--redraw",
        type=Path,
        metavar="RESULT",
        help="an earlier result of the same video: only its --redraw-parts are drawn, the rest is copied",
    )
    parser.add_argument(
        "--redraw-parts",
        type=TimeRange.parse_list,
        metavar="START-END,…",
        help="with --redraw: times in it (s or [h:]min:s)",
    )
    parser.add_argument("--score-plot", type=Path, metavar="FILE.svg", help="plot the sync score over time")
    add_signing(parser)
    add_speech(parser)
    add_segments(parser)
    add_options(parser, *SYNC_GROUPS, LinkOptions(), brief=True)
    parser.set_defaults(command=_run)


def add_preview_command(parser: CommandParser) -> None:
    """Add the arguments of `preview`."""
    _add_inputs(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="image to write (.png, .jpg)")
    add_json(parser)
    add_overwrite(parser)
    parser.add_argument("--at", type=float, default=0.0, help="time in the result (s)")
    add_speech(parser)
    add_segments(parser)
    add_options(parser, *SYNC_GROUPS, LinkOptions(), brief=True)
    parser.set_defaults(command=_preview)


def _add_inputs(parser: CommandParser) -> None:
    parser.set_defaults(parser=parser)
    parser.add_argument("video", metavar="VIDEO", help="video or photo: a file, or a link to a video")
    parser.add_argument(
        "voice",
        metavar="VOICE",
        nargs="?",
        help="audio, or a video whose audio is used: a file or a link; not needed with --say, or where "
        "the --script has a sound file for each line",
    )
    parser.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="detect faces anew, and do not save detections in the user's cache folder",
    )


def _check_inputs(arguments: argparse.Namespace) -> Conversation:
    """Check what can be checked before torch and other large packages are imported, which takes seconds.

    Raises:
        InputError: a file is missing, or a setting or a flag about who speaks is wrong.
    """
    read_sync_options(arguments)
    if arguments.voice is None and arguments.script is None and arguments.say is None:
        arguments.parser.error("the following arguments are required: VOICE, or --script, or --say")
    for given in (arguments.video, arguments.voice):
        if given is not None and isinstance(open_source(given, LinkOptions()), LocalFile):
            checked_file(given)
    return check_conversation(arguments)


def _check_redraw(arguments: argparse.Namespace) -> None:
    """Check that an earlier result and its parts are given together.

    Raises:
        InputError: the earlier result is missing.
    """
    if (arguments.redraw is None) != (not arguments.redraw_parts):
        arguments.parser.error("--redraw and --redraw-parts are given together")
    if arguments.redraw is not None:
        checked_file(arguments.redraw)


def _cache(arguments: argparse.Namespace) -> Any:
    """The cache of detections; None with `--no-cache`."""
    from lipsync.faces import DetectionCache

    return DetectionCache() if arguments.cache else None


@contextmanager
def _fetched_inputs(
    arguments: argparse.Namespace, progress: ProgressCallback, cancel: CancelToken
) -> Iterator[Inputs]:
    """Fetch video and voice; gives both as files, and the settings for them.

    Links are downloaded into a folder that is removed afterwards. Where only a part was downloaded,
    the ranges in the settings are converted to times of the file.
    """
    options, links = read_sync_options(arguments), read_options(arguments, LinkOptions())
    media = options.media
    with temporary_folder() as folder:
        video = open_source(arguments.video, links).fetch(folder, progress, cancel, media.video_ranges)
        media = dataclasses.replace(media, video_ranges=video.to_file_time(media.video_ranges))
        path = None
        if arguments.voice is not None:
            voice = open_source(arguments.voice, links, audio_only=True).fetch(
                folder, progress, cancel, media.voice_ranges
            )
            media = dataclasses.replace(media, voice_ranges=voice.to_file_time(media.voice_ranges))
            path = voice.path
        yield Inputs(video.path, path, dataclasses.replace(options, media=media), folder)


def _run(arguments: argparse.Namespace) -> int:
    checked = _check_inputs(arguments)
    _check_redraw(arguments)
    check_outputs(arguments, arguments.score_plot)
    options = read_sync_options(arguments)
    # Of a run to be resumed the writer knows whether it is begun.
    output = None if arguments.resume else arguments.output
    if options.media.codec not in SEQUENCES:
        check_outputs(arguments, output)
    import_early("torch")  # while the inputs are fetched, opened and decoded
    with heavy_imports():
        from lipsync.pipeline.arguments import Redraw
        from lipsync.pipeline.job import free_name
        from lipsync.pipeline.provenance import choose_signing

    if output is not None and options.media.codec in SEQUENCES:
        check_folder_output(arguments, output, options.media.codec)
    choose_signing(options.report.provenance, arguments.sign_cert, arguments.sign_key)
    with (
        cancel_on_interrupt() as cancel,
        ProgressBar() as bar,
        _fetched_inputs(arguments, bar.update, cancel) as inputs,
    ):
        output = arguments.output
        if output is None and is_link(arguments.video):  # next to the video is a folder that is removed
            output = free_name(Path.cwd() / inputs.video.name, inputs.options.media.codec)
        voice, speakers, cues = conversation_inputs(arguments, checked, inputs, bar.update, cancel)
        said = lipsync.plan(
            inputs.video, voice, inputs.options, output=output, resume=arguments.resume, **speakers
        ).warnings
        _print_notes(said, arguments.flags)  # before the work that could be in vain
        redraw = Redraw(arguments.redraw, arguments.redraw_parts) if arguments.redraw else None
        result = lipsync.sync(
            inputs.video,
            voice,
            inputs.options,
            bar.update,
            cancel,
            output=output,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            cache=_cache(arguments),
            cues=cues,
            sign_cert=arguments.sign_cert,
            sign_key=arguments.sign_key,
            redraw=redraw,
            **speakers,
        )
    if arguments.score_plot and result.score:
        from lipsync.sync_score import plot_score

        plot_score(result.score, arguments.score_plot)
    _print_notes([one for one in result.warnings if one not in said], arguments.flags)
    if arguments.json:
        print_json(result_values(result))
    else:
        print(in_flags(result_text(result), arguments.flags))
    return 0


def _print_notes(warnings: Iterable[str], flags: Mapping[str, str]) -> None:
    for warning in warnings:
        print(f"Note: {in_flags(warning, flags)}", file=sys.stderr)


def result_text(result: SyncResult) -> str:
    """The result for the terminal."""
    total = result.timings["total"]
    score = "\n" + " ".join(result.score.words) if result.score else ""
    return (
        f"{result.path}\n{result.duration:.2f} s of {result.width}x{result.height} at "
        f"{float(result.fps):g} frames/s, {result.frames_synced} of {result.frames} frames synced by "
        f"{result.variant} in {total:.1f} s ({result.frames / total:.1f} frames/s){score}\n"
        f"{result.provenance}"
    )


def result_values(result: SyncResult) -> dict[str, Any]:
    """The result for JSON."""
    plain = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return plain | {
        "path": str(result.path),
        "score": result.score.as_dict() if result.score else None,
        "subtitles": str(result.subtitles) if result.subtitles else None,
        "fps": str(result.fps),
        "duration": result.duration,
    }


def _preview(arguments: argparse.Namespace) -> int:
    checked = _check_inputs(arguments)
    check_not_there(arguments.output, overwrite=arguments.overwrite)
    import_early("torch")
    with heavy_imports():
        from lipsync.blending import preview_sheet
        from lipsync.media import write_image
        from lipsync.media.video.images import check_image_place
        from lipsync.pipeline.preview import preview
        from lipsync.pipeline.provenance import choose_signing, describe_preview

    check_image_place(arguments.output)
    remove_abandoned(arguments.output.absolute().parent)
    remove_unlocked(arguments.output.absolute().parent)
    with (
        cancel_on_interrupt() as cancel,
        ProgressBar() as bar,
        _fetched_inputs(arguments, bar.update, cancel) as inputs,
    ):
        voice, speakers, _ = conversation_inputs(arguments, checked, inputs, bar.update, cancel)
        drawn = preview(
            inputs.video,
            voice,
            arguments.at,
            inputs.options,
            bar.update,
            cancel,
            cache=_cache(arguments),
            **speakers,
        )
        signing = choose_signing(inputs.options.report.provenance)
        about = describe_preview(inputs.video, drawn.variant, inputs.options)
        write_image(arguments.output, preview_sheet(drawn), signing.marks(about))
    if drawn.box is None:
        print("Note: no usable face at that time; the frame stays unchanged.", file=sys.stderr)
    if arguments.json:
        box = drawn.box and tuple(drawn.box)
        values = {"path": str(arguments.output), "time": drawn.time, "box": box, "variant": drawn.variant}
        print_json(values | {"people": [tuple(person.box) for person in drawn.people]})
    else:
        print(arguments.output)
    return 0
