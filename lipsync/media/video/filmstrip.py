"""Filmstrip of a video: small frames at even distances, side by side in one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.media.container import decoded_frames, open_container
from lipsync.media.probe import FrameIndex, scan_video
from lipsync.media.video import images
from lipsync.progress import CancelToken
from lipsync.types import Frame, IntArray, VideoInfo

COUNT, HEIGHT = 40, 54
"""Frames of a strip, and their height in pixels."""
_ONE_PASS_FRAMES = 1500
"""Up to this many frames the file is decoded once; in longer ones the nearest key frames are looked up, so
that the time does not grow with the length."""


@dataclass(frozen=True, repr=False)
class Filmstrip:
    """Small frames of a video, the k-th from (k + 0.5) / count of its length.

    Attributes:
        image: RGB uint8 (height, count * width, 3), from left to right.
        count: frames in it.
        info: properties of the video.
    """

    image: Frame
    count: int
    info: VideoInfo


def read_filmstrip(
    path: Path | str, count: int = COUNT, height: int = HEIGHT, cancel: CancelToken | None = None
) -> Filmstrip:
    """Read the filmstrip of a video, upright and with square pixels; of a photo, one frame.

    One frame at full size is in memory at a time. Where frames cannot be decoded, their neighbours stand.

    Raises:
        NoVideoError: the file has audio only.
        MediaError: it is missing, not media, or cut off.
        Cancelled: the token was cancelled.
    """
    info, index = scan_video(path)
    width = max(1, round(height * info.width * float(info.sample_aspect_ratio) / info.height))
    if index is None:
        photo = images.resize_image(images.read_image(info.path), width, height)
        return Filmstrip(photo, 1, info)
    count = max(1, min(count, len(index.pts)))
    strip = np.zeros((height, count, width, 3), np.uint8)
    found = np.zeros(count, bool)
    for number, frame in _frames(info, index, count, cancel or CancelToken()):
        strip[:, number] = _reduced(frame, width, height, info.rotation)
        found[number] = True
    _fill_gaps(strip, found)
    return Filmstrip(strip.reshape(height, count * width, 3), count, info)


def _frames(info: VideoInfo, index: FrameIndex, count: int, cancel: CancelToken) -> Iterator[tuple[int, Any]]:
    """Number in the strip and decoded frame; some numbers may be missing."""
    wanted = index.pts[((np.arange(count) + 0.5) * len(index.pts) / count).astype(int)]
    with open_container(info.path) as container:
        stream = container.streams[index.stream]
        stream.thread_type = "NONE"
        read = _in_one_pass if len(index.pts) <= _ONE_PASS_FRAMES else _at_key_frames
        try:
            yield from read(container, stream, wanted, cancel)
        except (av.FFmpegError, IndexError):  # the rest is damaged
            return


def _in_one_pass(
    container: Any, stream: Any, wanted: IntArray, cancel: CancelToken
) -> Iterator[tuple[int, Any]]:
    number = 0
    for frame in decoded_frames(container, stream):
        cancel.check("reading")
        while number < len(wanted) and frame.pts is not None and frame.pts >= wanted[number]:
            yield number, frame
            number += 1
        if number == len(wanted):
            return


def _at_key_frames(
    container: Any, stream: Any, wanted: IntArray, cancel: CancelToken
) -> Iterator[tuple[int, Any]]:
    stream.codec_context.skip_frame = "NONKEY"
    for number, pts in enumerate(wanted.tolist()):
        cancel.check("reading")
        container.seek(pts, stream=stream)
        frame = next(decoded_frames(container, stream), None)
        if frame is not None:
            yield number, frame


def _reduced(frame: Any, width: int, height: int, rotation: int) -> Frame:
    """The frame upright, RGB uint8 (height, width, 3)."""
    turns = rotation // 90 % 4
    size = (height, width) if turns % 2 else (width, height)
    pixels = frame.reformat(*size, format="rgb24").to_ndarray()
    return np.asarray(np.rot90(pixels, -turns), np.uint8)


def _fill_gaps(strip: Frame, found: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    """Repeat the nearest frame where there is none; the strip (height, count, width, 3) is changed."""
    there = np.flatnonzero(found)
    for number in np.flatnonzero(~found) if len(there) else ():
        strip[:, number] = strip[:, there[np.abs(there - number).argmin()]]
