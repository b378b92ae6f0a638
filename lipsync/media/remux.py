"""Streams that came apart, or in pieces, put into one file as they are, without encoding anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.errors import MediaError
from lipsync.media.container import checked_file, opened
from lipsync.media.ffmpeg import FFmpeg, explain, media_input
from lipsync.progress import CancelToken

_MP4_CODECS = {"h264", "hevc", "av1", "vp9", "mpeg4", "aac", "mp3", "opus", "ac3", "eac3", "flac", "alac"}
"""What players take in MP4; everything else goes into Matroska."""


def remux(paths: list[Path], target: Path, cancel: CancelToken) -> Path:
    """Write the first picture and the first sound of `paths` into one file.

    Times are kept relative to each other: where one stream starts earlier it still does. The
    earliest moment becomes 0.

    Args:
        paths: one or two files; content decides what they are.
        target: where to write; its suffix is chosen here (.mp4, .mkv, .m4a or .mka).

    Returns:
        The file that was written. After an error there is none.

    Raises:
        MediaError: a file cannot be read, or none has a picture or a sound.
        OutputError: the target cannot be written.
        Cancelled: a cancel was asked for.
    """
    chosen: dict[str, tuple[Any, str]] = {}
    for path in paths:
        checked_file(path)
        with opened(path) as container:
            source = media_input(path, container.format.name.split(",")[0])
            for stream in container.streams:
                if stream.type in ("video", "audio"):
                    kept = (source[f"{stream.type[0]}:0"], stream.codec_context.name)
                    chosen.setdefault(stream.type, kept)
    if not chosen:
        raise MediaError("There is neither a picture nor a sound in what was fetched", given=target.stem)
    codecs = {codec for _, codec in chosen.values()}
    suffixes = (".mp4", ".mkv") if "video" in chosen else (".m4a", ".mka")
    target = target.with_suffix(suffixes[0] if codecs <= _MP4_CODECS else suffixes[1])
    settings = {"c": "copy", "avoid_negative_ts": "make_zero"}
    if target.suffix in (".mp4", ".m4a"):
        settings |= {"f": "mp4", "movflags": "+faststart"}
    graph = ffmpeg.output(*(stream for stream, _ in chosen.values()), f"file:{target}", **settings)
    try:
        # -copyts: without it every input would be moved to start at 0 by itself
        with FFmpeg(graph, "-copyts", "-y") as running:
            if running.wait(cancel):
                raise explain(running.complaint(), target, writing=True)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target
