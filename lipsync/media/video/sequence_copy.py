"""H.264 copy of an image sequence and its sound, to watch."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input
from lipsync.media.probe import probe_video
from lipsync.media.provenance import METADATA_MARKS, mark_and_move
from lipsync.media.video import color_tags
from lipsync.media.video.conversion import conversion_filters, converted_info
from lipsync.media.video.encoder_settings import SOFTWARE, video_settings
from lipsync.media.video.image_sequence import SOUND_NAME, frames_of, sequence_input
from lipsync.media.video.images import WHITE
from lipsync.media.video.writer import COMMENT, result_error
from lipsync.progress import CancelToken
from lipsync.utils.atomic_write import working_path

_QUALITY = 20


def write_sequence_copy(folder: Path, target: Path, fps: Fraction, cancel: CancelToken) -> Path:
    """Write a sequence as one MP4 of 8 bits in standard range, marked as AI-made by metadata.

    Args:
        fps: frames per second, which images do not say.
        cancel: polled all the time.

    Raises:
        MediaError: an image cannot be read.
        OutputError, DiskFullError: the copy cannot be written.
        Cancelled: the token was cancelled.
    """
    with working_path(target) as part:
        with FFmpegProcess(_graph(folder, part, fps), "-y") as running:
            if running.wait(cancel):
                raise error_from_stderr(running.stderr_tail(), target, writing=True)
        try:
            return mark_and_move(part, target, METADATA_MARKS, overwrite=True).path
        except OSError as error:
            raise result_error(error, target) from error


def _graph(folder: Path, part: Path, fps: Fraction) -> Any:
    info = replace(probe_video(frames_of(folder)[0]), color_space="gbr", color_range="pc", is_still=False)
    video = conversion_filters(sequence_input(folder, fps), info, WHITE)
    shown = converted_info(info)
    video = color_tags.rgb_to_yuv(video.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2"), shown)
    streams = [video.filter("setparams", **color_tags.setparams_arguments(shown))]
    settings: dict[str, Any] = {"f": "mp4", "movflags": "+faststart", "metadata": f"comment={COMMENT}"}
    if (sound := folder / SOUND_NAME).is_file():
        streams.append(media_input(sound, "wav")["a:0"])
        settings |= {"acodec": "aac", "b:a": 128_000}
    return ffmpeg.output(*streams, file_url(part), **video_settings(SOFTWARE, _QUALITY, fps), **settings)
