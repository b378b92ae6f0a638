"""Values that the endpoints take and return, from and to those of the program."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from lipsync.errors import InputError, OptionError
from lipsync.options import PRESETS, SyncOptions
from lipsync.segments import parse_segments
from lipsync.types import SyncResult
from lipsync.ui import handlers
from lipsync.ui.formatting import progress_text
from lipsync.ui.jobs import Report, Waiting
from lipsync.ui.languages import strings
from lipsync.ui.request import SyncRequest
from lipsync.ui.settings_file import read_settings
from lipsync.utils.option_group import converted
from lipsync.utils.suggestions import known_hint


def check_agreed(agreed: bool) -> None:
    """Raise an `InputError` unless the caller says that the people agreed."""
    if converted("agreed", bool | None, agreed) is not True:  # "false" as text is no consent
        raise InputError(strings.API_CONSENT_MISSING, hint=strings.CONSENT_HINT)


def progress_report(item: Waiting | Report, progress: gr.Progress) -> dict[str, Any]:
    """A report of progress for callers, who also get it as Gradio's progress.

    `seconds_left` is for the stage; None before there is an estimate. `of` says which of several videos,
    `ahead` how many jobs are before this one.
    """
    if isinstance(item, Waiting):
        return {
            "stage": strings.STATUS_WAITING,
            "done": 0,
            "total": 0,
            "seconds_left": item.seconds,
            "ahead": item.ahead,
        }
    label, now = item
    if now.total:
        progress((now.done, now.total), desc=progress_text(label, now))
    report = {"stage": now.stage, "done": now.done, "total": now.total, "seconds_left": now.seconds_left}
    return {**report, "of": label} if label else report


def sync_options(
    video_ranges: str, voice_ranges: str, settings: dict[str, Any] | None, preset: str
) -> SyncOptions:
    """The settings of a call; those of the preset come first."""
    ranges = {"video_ranges": video_ranges, "voice_ranges": voice_ranges}
    given = {} if settings is None else settings
    if preset and preset not in PRESETS:
        raise OptionError("There is no such preset", given=repr(preset), hint=known_hint([preset], PRESETS))
    if isinstance(given, dict):  # another kind is refused below
        given = {**PRESETS.get(preset, {}), **given, **{name: text for name, text in ranges.items() if text}}
    return SyncOptions.from_flat(**read_settings(given))


def sync_request(
    video: str, voice: str, options: SyncOptions, segments: str, more_voices: list[str] | None
) -> SyncRequest:
    """The inputs of a call, with its segments."""
    parsed = parse_segments(converted("segments", str, segments), allow_files=False)
    return SyncRequest(video, voice, options, parsed, tuple(more_voices or ()))


def sync_report(outputs: handlers.RunOutputs, result: SyncResult) -> dict[str, Any]:
    """What is told of one result."""
    return {
        "seconds": result.duration,
        "frames": result.frames,
        "frames_synced": result.frames_synced,
        "fps": float(result.fps),
        "width": result.width,
        "height": result.height,
        "variant": result.variant,
        "warnings": list(result.warnings),
        "score": result.score.as_dict() if result.score else None,
        "settings": json.loads(outputs.settings.read_text("utf-8")),
    }


def comparison_report(
    outputs: handlers.RunOutputs,
) -> tuple[str | None, str | None, str | None, dict[str, Any]]:
    """Both videos, the one side by side, and what is told of them."""
    first, *others = map(str, outputs.downloads)
    report = {"results": [sync_report(outputs, result) for result in outputs.results]}
    side_by_side = str(outputs.side_by_side) if outputs.side_by_side else None
    return first, others[0] if others else None, side_by_side, {**report, "failed": outputs.failed}
