"""Plan: properties of a result that are known before the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import JobArguments, check_arguments
from lipsync.pipeline.disk_use import disk_use
from lipsync.pipeline.job import channel_warnings, open_job
from lipsync.pipeline.output_limits import output_warnings
from lipsync.segments import Segment
from lipsync.types import Plan


def plan(
    video: str | Path,
    voice: str | Path,
    options: SyncOptions | None = None,
    *,
    segments: Sequence[Segment] = (),
    more_voices: Sequence[str | Path] = (),
    output: str | Path | None = None,
    resume: bool = False,
) -> Plan:
    """Properties of the result that `sync` would make; needs no network and no decoding.

    Args:
        video: as of `sync`.
        voice: as of `sync`.
        options: as of `sync`.
        segments: as of `sync`.
        more_voices: as of `sync`.
        output: the file to write, whose container may not hold all and whose disk may be too full; by
            default of the codec's usual kind.
        resume: as of `sync`; it takes more of the disk.

    Raises:
        LipsyncError: as `sync`, if files, time ranges, segments or settings are invalid.
    """
    given = check_arguments(
        JobArguments, options, video=video, voice=voice, segments=segments, more_voices=more_voices
    )
    job = open_job(given)
    reader = job.video
    target = Path(output or f"result{VIDEO_CODECS[given.options.media.codec].suffixes[0]}")
    scale = 2 if given.options.enhance.upscaler != "none" else 1
    use = disk_use(job, scale, given.options, resume, target)
    return Plan(
        frames=len(job.timeline),
        fps=reader.fps,
        width=reader.width * scale,
        height=reader.height * scale,
        video_seconds=0.0 if reader.is_still else float(reader.frame_count / reader.fps),
        voice_seconds=job.voices[0].duration,
        warnings=(
            *reader.warnings,
            *output_warnings(reader, job.timeline, target, given.options),
            *channel_warnings(job),
            *(use.warnings(target.parent) if output else ()),
        ),
        temporary_bytes=use.temporary,
    )
