"""Filmstrip of a video: small frames at even distances, side by side in one image."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np

from lipsync.media.container import decoded_frames, open_container
from lipsync.media.probe import FrameIndex, Header, read_header, scan_video
from lipsync.media.video import images
from lipsync.progress import CancelToken
from lipsync.types import Frame, IntArray, VideoInfo
from lipsync.utils.checked_file import checked_file

COUNT, HEIGHT = 40, 54
"""Frames of a strip, and their height in pixels."""
_ONE_PASS_FRAMES = 1500
"""Up to this many frames the file is decoded once; in longer ones the nearest key frames are looked up, by
the times that the header gives, so that the time does not grow with the length."""
_WATCHED_HEIGHT = 72

Watch: TypeAlias = Callable[[Frame, float], None]
_Frames: TypeAlias = Generator[tuple[int, Any], None, None]


@dataclass(frozen=True, repr=False)
class Filmstrip:
    """Small frames of a video, the k-th from (k + 0.5) / count of its length.

    Attributes:
        image: RGB uint8 (height, count * width, 3), from left to right.
        count: frames in it.
        seconds, fps: length and frame rate of the video.
    """

    image: Frame
    count: int
    seconds: float
    fps: float


def read_filmstrip(
    path: Path | str,
    count: int = COUNT,
    height: int = HEIGHT,
    cancel: CancelToken | None = None,
    watch: Watch | None = None,
) -> Filmstrip:
    """Read the filmstrip of a video, upright and with square pixels; of a photo, one frame.

    One frame at full size is in memory at a time. Where frames cannot be decoded, their neighbours stand.

    Args:
        watch: called with every frame, at reduced size, and its seconds from the first one; not for videos
            that are too long to be decoded whole.

    Raises:
        NoVideoError: the file has audio only.
        MediaError: it is missing, not media, or cut off.
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    header = read_header(path)
    if header is not None and header.seconds * header.fps > _ONE_PASS_FRAMES:
        shape = _Shape.of(header, height)
        frames = _at_times(checked_file(path), header, count, cancel)
        return Filmstrip(_strip(frames, count, shape), count, header.seconds, header.fps)
    info, index = scan_video(path)
    shape = _Shape.of(info, height)
    if index is None:
        photo = images.resize_image(images.read_image(info.path), shape.width, height)
        return Filmstrip(photo, 1, info.duration, float(info.fps))
    count = max(1, min(count, len(index.pts)))
    strip = _strip(_frames(info, index, count, (cancel, watch)), count, shape)
    return Filmstrip(strip, count, info.duration, float(info.fps))


@dataclass(frozen=True)
class _Shape:
    """Size of a frame of the strip in pixels, and the rotation that makes it upright."""

    width: int
    height: int
    rotation: int

    @classmethod
    def of(cls, info: VideoInfo | Header, height: int) -> _Shape:
        width = height * info.width * float(info.sample_aspect_ratio) / info.height
        return cls(max(1, round(width)), height, info.rotation)


def _strip(frames: _Frames, count: int, shape: _Shape) -> Frame:
    """The frames by their number in the strip, side by side."""
    strip = np.zeros((shape.height, count, shape.width, 3), np.uint8)
    found = np.zeros(count, bool)
    with closing(frames):
        for number, frame in frames:
            strip[:, number] = _reduced(frame, shape)
            found[number] = True
    _fill_gaps(strip, found)
    return strip.reshape(shape.height, count * shape.width, 3)


def _frames(
    info: VideoInfo, index: FrameIndex, count: int, observers: tuple[CancelToken, Watch | None]
) -> _Frames:
    """Number in the strip and decoded frame; some numbers may be missing."""
    cancel, watch = observers
    wanted = index.pts[((np.arange(count) + 0.5) * len(index.pts) / count).astype(int)]
    with open_container(info.path) as container:
        stream = container.streams[index.stream]
        try:
            if len(index.pts) > _ONE_PASS_FRAMES:
                yield from _at_key_frames(container, stream, wanted, cancel)
            else:
                yield from _in_one_pass(container, stream, wanted, (cancel, _watching(watch, index, info)))
        except (av.FFmpegError, IndexError):  # the rest is damaged
            return


def _at_times(path: Path, header: Header, count: int, cancel: CancelToken) -> _Frames:
    """As `_frames`, of a long video whose packets have not been read."""
    with open_container(path) as container:
        stream = container.streams[header.stream]
        first, ticks = stream.start_time or 0, header.seconds / float(stream.time_base)
        wanted = first + ((np.arange(count) + 0.5) * ticks / count).astype(np.int64)
        try:
            yield from _at_key_frames(container, stream, wanted, cancel)
        except (av.FFmpegError, IndexError):
            return


def _watching(watch: Watch | None, index: FrameIndex, info: VideoInfo) -> Callable[[Any], None] | None:
    """Calls `watch` with decoded frames at reduced size."""
    if watch is None:
        return None
    shape = _Shape.of(info, _WATCHED_HEIGHT)
    first = int(index.pts[0])

    def see(frame: Any) -> None:
        if frame.pts is not None:
            watch(_reduced(frame, shape), float((frame.pts - first) * index.time_base))

    return see


def _in_one_pass(
    container: Any,
    stream: Any,
    wanted: IntArray,
    observers: tuple[CancelToken, Callable[[Any], None] | None],
) -> Iterator[tuple[int, Any]]:
    cancel, see = observers
    stream.thread_type = "AUTO"
    number = 0
    for frame in decoded_frames(container, stream):
        cancel.check("reading")
        if see is not None:
            see(frame)
        while number < len(wanted) and frame.pts is not None and frame.pts >= wanted[number]:
            yield number, frame
            number += 1
        if number == len(wanted) and see is None:
            return


def _at_key_frames(
    container: Any, stream: Any, wanted: IntArray, cancel: CancelToken
) -> Iterator[tuple[int, Any]]:
    stream.thread_type = "NONE"
    stream.codec_context.skip_frame = "NONKEY"
    for number, pts in enumerate(wanted.tolist()):
        cancel.check("reading")
        container.seek(pts, stream=stream)
        frame = next(decoded_frames(container, stream), None)
        if frame is not None:
            yield number, frame


def _reduced(frame: Any, shape: _Shape) -> Frame:
    """The frame upright, RGB uint8 (height, width, 3)."""
    turns = shape.rotation // 90 % 4
    size = (shape.height, shape.width) if turns % 2 else (shape.width, shape.height)
    pixels = frame.reformat(*size, format="rgb24").to_ndarray()
    return np.asarray(np.rot90(pixels, -turns), np.uint8)


def _fill_gaps(strip: Frame, found: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    """Repeat the nearest frame where there is none; the strip (height, count, width, 3) is changed."""
    there = np.flatnonzero(found)
    for number in np.flatnonzero(~found) if len(there) else ():
        strip[:, number] = strip[:, there[np.abs(there - number).argmin()]]
