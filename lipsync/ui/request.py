"""The inputs of a run, as given on the page or over the API."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import InputError, MediaError
from lipsync.faces import DetectionCache
from lipsync.media import open_video
from lipsync.media.subtitle_formats import Cue
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import JobArguments, Redraw, check_arguments
from lipsync.pipeline.job import Job, open_job
from lipsync.pipeline.planning import plan
from lipsync.segments import Segment
from lipsync.types import Plan
from lipsync.ui.languages import strings
from lipsync.ui.script_rows import ScriptRow


@dataclass(frozen=True)
class SyncRequest:
    """Files, settings and segments of a run.

    Attributes:
        video, voice: paths; None or "" while not given.
        options: settings, time ranges included.
        segments: who speaks what and when; empty for one speaker with one voice.
        more_voices: paths of the additional voices that segments name.
        cache: face detections of earlier runs.
        cues: the texts of the segments, as subtitles.
        notes: warnings about the inputs, for the result.
        redraw: parts of an earlier result that alone are drawn.
        rows: segments whose texts are still to be spoken, in place of `segments`,
            by `lipsync.ui.spoken_rows`.
    """

    video: str | None
    voice: str | None
    options: SyncOptions = dataclasses.field(default_factory=SyncOptions)
    segments: tuple[Segment, ...] = ()
    more_voices: tuple[str, ...] = ()
    cache: DetectionCache | None = None
    cues: tuple[Cue, ...] = ()
    notes: tuple[str, ...] = ()
    redraw: Redraw | None = None
    rows: tuple[ScriptRow, ...] = ()
    max_speedup: float = 1.0

    @property
    def is_complete(self) -> bool:
        """Whether there is a video, and a voice or texts to speak instead."""
        return bool(self.video and (self.voice or (self.rows and all(row.is_spoken for row in self.rows))))

    @property
    def is_photo(self) -> bool:
        """Whether the video is a photo; False while there is none."""
        return bool(self.video) and open_video(str(self.video), self.options.media).is_still

    @property
    def speakers(self) -> dict[str, Any]:
        """The keyword arguments `segments` and `more_voices` of `lipsync.sync`, `plan` and `preview`."""
        if self.rows:
            raise RuntimeError("texts of the segments are not spoken yet")
        return {"segments": self.segments, "more_voices": self.more_voices}

    def files(self) -> tuple[Path, Path]:
        """Return the paths of video and voice.

        Raises:
            InputError: one of them is not given.
            MediaError: one of them has been removed.
        """
        if not self.video:
            raise InputError(strings.NO_VIDEO, hint=strings.NO_VIDEO_HINT)
        if not self.voice:
            raise InputError(strings.NO_VOICE, hint=strings.NO_VOICE_HINT)
        paths = Path(self.video), Path(self.voice)
        for path in paths:
            if not path.exists():
                raise MediaError(strings.GONE, given=path.name, hint=strings.GONE_HINT)
        return paths

    def plan(self) -> Plan:
        """Return size, frame rate and length of the result without making it.

        Raises:
            LipsyncError: as `files`, or a file or setting cannot be used.
        """
        return plan(*self.files(), self.options, **self.speakers)

    def open(self) -> Job:
        """Open and check the inputs.

        Raises:
            LipsyncError: as `plan`.
        """
        video, voice = self.files()
        return open_job(
            check_arguments(JobArguments, self.options, video=video, voice=voice, **self.speakers)
        )

    def with_variant(self, variant: str) -> SyncRequest:
        """Return the same request for another model."""
        generator = dataclasses.replace(self.options.generator, variant=variant)
        return dataclasses.replace(self, options=dataclasses.replace(self.options, generator=generator))
