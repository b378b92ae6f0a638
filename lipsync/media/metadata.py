"""Container and codec metadata of a media file, for reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.media.clock import DEFAULT, default_track, video_tracks
from lipsync.media.container import open_container
from lipsync.media.video import images
from lipsync.utils.checked_file import checked_file

_CONTAINER_NAMES = {"mov,mp4,m4a,3gp,3g2,mj2": "MP4 or QuickTime", "matroska,webm": "Matroska or WebM"}


@dataclass(frozen=True)
class FileMetadata:
    """Container and codecs of a media file.

    Attributes:
        container: name of the format as shown to the user.
        bytes: size of the file.
        video_codec, pixel_format: ffmpeg's names; "" without video.
        video_bit_rate, audio_bit_rate: bits per second; 0 where the file does not say.
        audio_codec, audio_layout: ffmpeg's names, for example "aac" and "stereo"; "" without audio.
        video_tracks, audio_tracks: each track in a few words, in the order of the settings `video_track` and
            `audio_track`; empty where there is only one.
        subtitles: number of subtitle tracks.
        comment: the file's comment tag, "" if none; results of this program say there that they are
            AI-generated.
    """

    container: str
    bytes: int
    video_codec: str = ""
    pixel_format: str = ""
    video_bit_rate: int = 0
    audio_codec: str = ""
    audio_layout: str = ""
    audio_bit_rate: int = 0
    subtitles: int = 0
    comment: str = ""
    video_tracks: tuple[str, ...] = ()
    audio_tracks: tuple[str, ...] = ()


def read_metadata(path: Path | str) -> FileMetadata:
    """Container and codecs of a video, audio file or photo, from its header.

    Raises:
        MediaError: it is missing or not media.
    """
    path = checked_file(path)
    size = path.stat().st_size
    if images.count_images(path) == 1:
        return FileMetadata(f"photo ({path.suffix.lstrip('.').lower() or 'no suffix'})", size)
    with open_container(path) as container:
        name = container.format.name
        videos = video_tracks(container)
        audios = [stream for stream in container.streams.audio if stream.codec_context is not None]
        video, audio = (default_track(tracks) if tracks else None for tracks in (videos, audios))
        return FileMetadata(
            container=_CONTAINER_NAMES.get(name, container.format.long_name),
            bytes=size,
            subtitles=len(container.streams.subtitles),
            comment=container.metadata.get("comment", container.metadata.get("COMMENT", "")),
            video_tracks=_described(videos),
            audio_tracks=_described(container.streams.audio),
            **_video_fields(video),
            **_audio_fields(audio),
        )


def _described(streams: Any) -> tuple[str, ...]:
    """Each of several tracks in a few words; none where there is no choice."""
    return tuple(map(_track, streams)) if len(streams) > 1 else ()


def _track(stream: Any) -> str:
    context = stream.codec_context
    layout = getattr(getattr(context, "layout", None), "name", "")
    size = f"{context.width}x{context.height}" if getattr(context, "width", 0) else ""
    language = stream.metadata.get("language", "").replace("und", "")
    mark = "default" if int(stream.disposition) & DEFAULT else ""
    codec = context.codec.canonical_name if context else "no decoder"
    title = stream.metadata.get("title", "")
    return ", ".join(part for part in (codec, size or layout, language, title, mark) if part)


def _video_fields(stream: Any) -> dict[str, Any]:
    if stream is None:
        return {}
    context = stream.codec_context
    return {
        "video_codec": context.name,
        "pixel_format": context.pix_fmt or "",
        "video_bit_rate": stream.bit_rate or 0,
    }


def _audio_fields(stream: Any) -> dict[str, Any]:
    if stream is None:
        return {}
    context = stream.codec_context
    layout = getattr(context, "layout", None)
    return {
        "audio_codec": context.codec.canonical_name,
        "audio_layout": layout.name if layout else "",
        "audio_bit_rate": stream.bit_rate or 0,
    }
