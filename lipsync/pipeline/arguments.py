"""Arguments of `sync`, `preview` and `plan`, declared and checked like settings."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lipsync.context import ModelProvider, RunContext
from lipsync.faces import DetectionCache
from lipsync.media.subtitle_formats import Cue
from lipsync.options import OptionGroup, SyncOptions, option
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.segments import Segment
from lipsync.types import TimeRange


@dataclass(frozen=True)
class JobArguments(OptionGroup):
    """Inputs and settings of a job; text counts as a path, a list as a tuple.

    Raises:
        OptionError: an argument is of the wrong kind; names it.
    """

    video: Path = option(MISSING, "video or photo")
    voice: Path = option(MISSING, "audio, or a video whose audio is used")
    options: SyncOptions = field(default_factory=SyncOptions, metadata=option(None, "settings").metadata)
    segments: tuple[Segment, ...] = option((), "who speaks when")
    more_voices: tuple[Path, ...] = option((), "further voices for the segments")


@dataclass(frozen=True)
class RunArguments(JobArguments):
    """Arguments that `sync` and `preview` share."""

    progress: ProgressCallback = option(ignore_progress, "called with a Progress")
    cancel: CancelToken | None = option(None, "ends the run")
    cache: DetectionCache | None = option(None, "cache of detections")

    def context(self, models: ModelProvider) -> RunContext:
        """The context of the run."""
        return RunContext(models, self.options, self.progress, self.cancel or CancelToken())


@dataclass(frozen=True)
class PreviewArguments(RunArguments):
    """Arguments of `preview`."""

    at: float = option(0.0, "time in the result", unit="s")


@dataclass(frozen=True)
class Redraw:
    """Parts of an earlier result that are drawn anew; the rest is copied from it.

    What is copied is not encoded again. Whole groups of pictures are drawn, so a part may begin and end up to
    two seconds outside of its times.

    Attributes:
        result: of the same video in the same length and size, as this program writes them (H.264 or H.265).
        parts: times in it.
    """

    result: Path
    parts: tuple[TimeRange, ...]


@dataclass(frozen=True)
class SyncArguments(RunArguments):
    """Arguments of `sync`."""

    output: Path | None = option(None, "file to write")
    cues: tuple[Cue, ...] = option((), "subtitles of the result")
    resume: bool = option(False, "continue an interrupted run, and keep the finished part of this one")
    overwrite: bool = option(True, "replace a file that is there already")
    redraw: Redraw | None = option(None, "parts of an earlier result to draw anew")
    sign_cert: Path | None = option(None, "certificate chain to sign the result with")
    sign_key: Path | None = option(None, "key of that certificate")

    @property
    def overwrites(self) -> bool:
        """Whether the result may replace a file; under a name of the program's own choice it never does."""
        return self.overwrite and self.output is not None


Arguments = TypeVar("Arguments", bound=JobArguments)


def check_arguments(kind: type[Arguments], options: SyncOptions | None, **given: Any) -> Arguments:
    """The arguments by name, in their declared types; without `options` those are the defaults.

    Raises:
        OptionError: an argument is of the wrong kind; names it.
    """
    return kind(options=SyncOptions() if options is None else options, **given)
