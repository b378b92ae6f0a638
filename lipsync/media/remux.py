"""Remuxing: separately downloaded streams into one file, without re-encoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.errors import MediaError
from lipsync.media.container import open_container
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input
from lipsync.progress import CancelToken
from lipsync.utils.checked_file import checked_file

_MP4_CODECS = {"h264", "hevc", "av1", "vp9", "mpeg4", "aac", "mp3", "opus", "ac3", "eac3", "flac", "alac"}
"""Codecs that players support in MP4; files with any other become Matroska."""


def remux(paths: list[Path], target: Path, cancel: CancelToken) -> Path:
    """Copy the first video and the first audio stream of `paths` into one file.

    Timestamps stay in relation to each other: a stream that starts earlier still does. The earliest
    timestamp becomes 0.

    Args:
        paths: one or two files; their content tells which streams they have.
        target: where to write; its suffix is replaced (.mp4, .mkv, .m4a or .mka).
        cancel: polled while ffmpeg runs.

    Returns:
        The file that was written. After an error there is none.

    Raises:
        MediaError: a file cannot be read, or none has a video or audio stream.
        OutputError: the target cannot be written.
        Cancelled: the token was cancelled.
    """
    chosen: dict[str, tuple[Any, str]] = {}
    for path in paths:
        checked_file(path)
        with open_container(path) as container:
            source = media_input(path, container.format.name.split(",")[0])
            for stream in container.streams:
                if stream.type in ("video", "audio"):
                    selected = (source[f"{stream.type[0]}:0"], stream.codec_context.name)
                    chosen.setdefault(stream.type, selected)
    if not chosen:
        raise MediaError("There is neither video nor audio in what was downloaded", given=target.stem)
    codecs = {codec for _, codec in chosen.values()}
    suffixes = (".mp4", ".mkv") if "video" in chosen else (".m4a", ".mka")
    target = target.with_suffix(suffixes[0] if codecs <= _MP4_CODECS else suffixes[1])
    settings = {"c": "copy", "avoid_negative_ts": "make_zero"}
    if target.suffix in (".mp4", ".m4a"):
        settings |= {"f": "mp4", "movflags": "+faststart"}
    graph = ffmpeg.output(*(stream for stream, _ in chosen.values()), file_url(target), **settings)
    try:
        # -copyts: without it ffmpeg shifts every input to start at 0
        with FFmpegProcess(graph, "-copyts", "-y") as running:
            if running.wait(cancel):
                raise error_from_stderr(running.stderr_tail(), target, writing=True)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target
