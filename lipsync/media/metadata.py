"""Container and codec metadata of a media file, for reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.media.container import checked_file, open_container
from lipsync.media.video import images

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
        video, audio = (_first(kind) for kind in (container.streams.video, container.streams.audio))
        return FileMetadata(
            container=_CONTAINER_NAMES.get(name, container.format.long_name),
            bytes=size,
            subtitles=len(container.streams.subtitles),
            comment=container.metadata.get("comment", container.metadata.get("COMMENT", "")),
            **_video_fields(video),
            **_audio_fields(audio),
        )


def _first(streams: Any) -> Any:
    return streams[0] if streams else None


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
