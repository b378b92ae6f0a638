"""Small H.264 and AAC copies of files that a browser cannot play."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.errors import NoAudioError, NoVideoError
from lipsync.media.audio.probe import probe_audio, scan_audio
from lipsync.media.container import open_container
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input, thread_count
from lipsync.media.probe import scan_video
from lipsync.media.video.conversion import conversion_filters
from lipsync.media.video.encoder_settings import SOFTWARE
from lipsync.media.video.images import WHITE
from lipsync.progress import CancelToken
from lipsync.types import VideoInfo
from lipsync.utils.atomic_write import atomic_write

MAX_SIDE = 640
"""Longer side of the copy, pixels."""
MAX_SECONDS = 60.0
"""Time that the copy may take to make; what is done by then is the copy."""
_SAMPLES_OF_ALL_FRAMES = 5e9
"""Pixels of a whole video, of all frames, up to which each frame is decoded: 80 s of 1080p at 30 frames/s.
Of a longer video the key frames alone are decoded, so that hours of it are there at once."""
_QUALITY, _KEY_FRAME_EVERY, _AUDIO_BITS = 28, 12, 96_000


def write_playable_copy(
    source: Path, target: Path, cancel: CancelToken, max_seconds: float = MAX_SECONDS
) -> float:
    """Write a copy of a video or an audio file that browsers can play, for looking and listening only.

    Times in it are those of the source. A long video has fewer frames a second.

    Args:
        source: a video with or without audio, or audio alone.
        target: an MP4 file to write.
        cancel: polled all the time.
        max_seconds: as `MAX_SECONDS`.

    Returns:
        Seconds of the source that the copy lacks at the end, for want of time.

    Raises:
        MediaError: the source cannot be read.
        OutputError: the copy cannot be written.
        Cancelled: the token was cancelled.
    """
    streams, duration = _streams(source)
    with atomic_write(target) as part:
        graph = ffmpeg.output(*streams, file_url(part), **_settings())
        with FFmpegProcess(graph, "-y", feed=True) as running, _stopped_after(running, max_seconds):
            if running.wait(cancel):
                raise error_from_stderr(running.stderr_tail(), target, writing=True)
        with open_container(part) as container:
            written = float((container.duration or 0) / 1_000_000)
    return max(0.0, duration - written)


def _streams(source: Path) -> tuple[list[Any], float]:
    """Video and audio of the copy as ffmpeg-python streams, those that the file has, and its length."""
    streams, duration = [], 0.0
    with contextlib.suppress(NoVideoError):
        info, index = scan_video(source)
        if index is not None:
            many = info.frame_count * info.width * info.height > _SAMPLES_OF_ALL_FRAMES
            settings: dict[str, Any] = {"skip_frame": "nokey"} if many else {}
            if index.decoder:
                settings["c:v"] = index.decoder
            video = media_input(source, index.demuxer, threads=thread_count(), **settings)
            streams.append(_reduced(video[str(index.stream)], info))
            duration = info.duration
    with contextlib.suppress(NoAudioError):
        _, audio = scan_audio(source)
        with open_container(source) as container:
            demuxer = container.format.name.split(",")[0]
        streams.append(media_input(source, demuxer)[str(audio.index)])
        duration = duration or probe_audio(source).duration
    return streams, duration


def _reduced(stream: Any, info: VideoInfo) -> Any:
    """The frames with square pixels, at most `MAX_SIDE` large, as browsers show them."""
    width, height = info.width * float(info.sample_aspect_ratio), float(info.height)
    scale = min(1.0, MAX_SIDE / max(width, height))
    even = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
    stream = stream.filter("scale", *even).filter("setsar", 1)
    return conversion_filters(stream, info, WHITE).filter("format", "yuv420p")


def _settings() -> dict[str, Any]:
    return {
        "f": "mp4",
        "movflags": "+faststart",
        "vcodec": SOFTWARE,
        "preset": "ultrafast",
        "crf": _QUALITY,
        "g": _KEY_FRAME_EVERY,
        "fps_mode": "vfr",
        "acodec": "aac",
        "b:a": _AUDIO_BITS,
        "ac": 2,
    }


@contextmanager
def _stopped_after(running: FFmpegProcess, seconds: float) -> Iterator[None]:
    """Have ffmpeg end its file in order after this time."""

    def stop() -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended already
            assert running.process.stdin
            running.process.stdin.write(b"q")

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
