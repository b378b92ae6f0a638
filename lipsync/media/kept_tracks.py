"""Other tracks of a source that its result keeps: sound, subtitles, chapters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.media.container import open_container
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input
from lipsync.media.output_formats import OutputFormat, output_format
from lipsync.progress import CancelToken

_AUDIO = {
    "mp4": {"aac", "mp2", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp2", "mp3", "ac3", "eac3", "alac"},
}
"""Codecs that a container holds, by its muxer; Matroska holds all."""
_TEXT = {"subrip", "ass", "ssa", "webvtt", "mov_text", "text"}
_IMAGES = {"dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"}
_SHOWN = {"audio": "sound", "subtitle": "subtitle"}


@dataclass(frozen=True)
class KeptTracks:
    """Tracks of a source that go into its result as they are.

    Attributes:
        path, demuxer: the source, and ffmpeg's name of its container.
        streams: ffmpeg's specifier of each track, such as "a:0", and its encoder or "copy".
        shift: seconds by which the tracks start later than in ffmpeg's reading of the file alone.
        chapters: whether there are some.
        warnings: sentences about those that are not kept.
    """

    path: Path
    demuxer: str
    streams: tuple[tuple[str, str], ...]
    shift: float
    chapters: bool
    warnings: tuple[str, ...]


def find_kept_tracks(path: Path, target: Path, start: float) -> KeptTracks:
    """The sound and subtitle tracks and chapters of a video that a result at `target` can hold.

    Args:
        start: time on the file's own clock that is the start of the result, seconds.

    Raises:
        MediaError: the file cannot be read.
    """
    result = output_format(target)
    streams, warnings = list[tuple[str, str]](), list[str]()
    with open_container(path) as container:
        counts = {"a": 0, "s": 0}
        for stream in container.streams:
            if stream.type == "video":
                continue
            context = stream.codec_context
            codec = context.codec.canonical_name if context is not None else ""
            encoder = _encoder(stream.type, codec, result)
            if encoder:
                streams.append((f"{stream.type[0]}:{counts[stream.type[0]]}", encoder))
            else:
                kind = _SHOWN.get(stream.type, stream.type)
                warnings.append(
                    f"Track {stream.index} of the video ({kind}, {codec or 'unknown'}) is not kept: "
                    f"{target.suffix.lower()} does not hold it. An .mkv holds more kinds."
                )
            if stream.type in _SHOWN:
                counts[stream.type[0]] += 1
        shift = (container.start_time or 0) / 1_000_000 - start
        chapters = bool(container.chapters())
        demuxer = container.format.name.split(",")[0]
    return KeptTracks(path, demuxer, tuple(streams), shift, chapters, tuple(warnings))


def _encoder(kind: str, codec: str, result: OutputFormat) -> str:
    """How a track goes into the result: "copy", the encoder of its subtitles, or "" for not at all."""
    if kind == "audio" and codec:
        return "copy" if codec in _AUDIO.get(result.muxer, {codec}) or _is_pcm(codec, result) else ""
    if kind != "subtitle":
        return ""
    if codec in _TEXT:
        native = result.muxer == "matroska" and codec not in ("mov_text", "text")
        return "copy" if native or codec == result.subtitle_codec else result.subtitle_codec
    return "copy" if codec in _IMAGES and result.muxer == "matroska" else ""


def _is_pcm(codec: str, result: OutputFormat) -> bool:
    return codec.startswith("pcm_") and result.muxer == "mov"


def add_kept_tracks(video: Path, kept: KeptTracks, seconds: float, cancel: CancelToken) -> None:
    """Replace a finished result by one with the kept tracks after its own; nothing is encoded anew.

    Args:
        video: in a private folder.
        seconds: its length, at which the tracks end.

    Raises:
        MediaError, OutputError, DiskFullError, Cancelled: as the writer.
    """
    if not kept.streams and not kept.chapters:
        return
    with open_container(video) as container:
        own = [stream.type for stream in container.streams]
        demuxer = container.format.name.split(",")[0]
    made = media_input(video, demuxer)
    source = media_input(kept.path, kept.demuxer, itsoffset=f"{kept.shift:.6f}")
    streams = [made[f"{kind[0]}:{own[:at].count(kind)}"] for at, kind in enumerate(own)]
    settings: dict[str, Any] = {"c": "copy", "map_metadata": 0, "t": f"{seconds:.6f}"}
    counts = {kind: own.count(name) for kind, name in (("a", "audio"), ("s", "subtitle"))}
    for specifier, encoder in kept.streams:
        kind = specifier[0]
        streams.append(source[specifier])
        settings |= {f"c:{kind}:{counts[kind]}": encoder, f"disposition:{kind}:{counts[kind]}": "0"}
        if kind == "s":  # a cue that lasts longer would make the file longer
            settings[f"bsf:s:{counts[kind]}"] = rf"setts=duration=min(DURATION\,{seconds:.6f}/TB-PTS)"
        counts[kind] += 1
    if kept.chapters and not kept.streams:  # an input that is not mapped would not be read
        streams.append(source["s:99?"])
    settings |= {"map_chapters": 1} if kept.chapters else {}
    new = video.with_name(f"tracks{video.suffix}")
    settings |= output_format(video).settings
    graph = ffmpeg.output(*streams, file_url(new), **settings)
    with FFmpegProcess(graph, "-y") as running:
        if running.wait(cancel):
            raise error_from_stderr(running.stderr_tail(), video, writing=True)
    new.replace(video)
