"""Subtitle track muxed into a video, without re-encoding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.media.container import open_container
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input
from lipsync.media.languages import language_code
from lipsync.media.output_formats import output_format
from lipsync.media.probe import probe_video
from lipsync.media.subtitle_formats import Cue, format_srt, read_subtitles
from lipsync.progress import CancelToken
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.checked_file import checked_file


def add_subtitles(
    video: Path | str,
    subtitles: Path | str,
    language: str = "",
    *,
    target: Path | str | None = None,
    default: bool = False,
    cancel: CancelToken | None = None,
) -> Path:
    """Add subtitles to a video as its only subtitle track; video and audio are copied.

    Earlier subtitle tracks are dropped. Cues are trimmed at the end of the video.

    Args:
        video: .mp4, .mov or .mkv.
        subtitles: SRT or WebVTT file in UTF-8.
        language: of the text, ISO 639-1 or 639-2, such as "en" or "eng"; "" if unknown.
        target: the file to write, atomically; None replaces `video`.
        default: mark the track as default, so that players show it by default.
        cancel: polled while ffmpeg runs.

    Returns:
        The file that was written.

    Raises:
        MediaError: a file is missing or cannot be read, or has no subtitles in it.
        OutputError: the container has no subtitle tracks, or the file cannot be written.
        Cancelled: the token was cancelled.
    """
    video = checked_file(video)
    target = (Path(target) if target else video).absolute()
    container = output_format(target)
    cues = _trimmed(read_subtitles(subtitles), probe_video(video).duration)
    track = {
        "c:s": container.subtitle_codec,
        "metadata:s:s:0": f"language={language_code(language, container)}",
        "disposition:s:0": "default" if default else "0",
        **container.settings,
    }
    # ffmpeg reads a file that this program wrote, so that nothing in the user's is interpreted.
    with atomic_write(target) as part:
        text = part.with_suffix(".srt")
        text.write_text(format_srt(cues), "utf-8", newline="\n")
        _mux(video, text, part, track, cancel or CancelToken())
    return target


def _trimmed(cues: tuple[Cue, ...], duration: float) -> list[Cue]:
    """Cues trimmed to the video; a longer one would extend the file."""
    return [replace(cue, end=min(cue.end, duration)) for cue in cues if cue.start < duration]


def _mux(video: Path, text: Path, part: Path, track: dict[str, Any], cancel: CancelToken) -> None:
    """Copy the video's streams and the SRT file `text` into `part`."""
    with open_container(video) as container:
        demuxer = container.format.name.split(",")[0]
        kinds = [stream.type for stream in container.streams if stream.type in ("video", "audio")]
    source = media_input(video, demuxer)
    streams = [source[f"{kind[0]}:{kinds[:at].count(kind)}"] for at, kind in enumerate(kinds)]
    # -copyts: otherwise audio that starts before the video would be shifted.
    graph = ffmpeg.output(*streams, media_input(text, "srt"), file_url(part), c="copy", **track)
    cancel.check()
    with FFmpegProcess(graph, "-copyts", "-y") as running:
        if running.wait(cancel):
            raise error_from_stderr(running.stderr_tail(), video, writing=True)
