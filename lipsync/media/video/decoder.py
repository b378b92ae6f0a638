"""Forward decoding of part of a video at a constant rate, by one ffmpeg process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from lipsync.errors import MediaError
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, media_input, read_stdout, thread_count
from lipsync.media.probe import INDEXED_DEMUXERS, INTERLACED_CODECS, FrameIndex
from lipsync.media.video import frame_rate
from lipsync.media.video.conversion import conversion_filters, converted_info
from lipsync.media.video.deep import BITS, chroma_size
from lipsync.media.video.images import WHITE, Color
from lipsync.media.video.transform import Size, Transform
from lipsync.media.video.yuv import half
from lipsync.progress import CancelToken
from lipsync.types import IntArray, VideoInfo

_TICKS = 1_000_000
_MIN_DEINTERLACED_SIDE = 4  # pixels; bwdif refuses smaller frames
_MAX_MISSING_FRAMES = 2
"""Frames that may be missing at the end of a file before it counts as damaged."""


@dataclass(frozen=True)
class PixelLayout:
    """Size and pixel format of decoded frames.

    Attributes:
        size: width and height in pixels.
        yuv: YUV 4:2:0, for which `size` must be that of the transform; else RGB.
        deep: chroma of 10-bit YUV in the file's own colours, "420", "422" or "444"; "" for 8 bits.
    """

    size: Size
    yuv: bool = False
    deep: str = ""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        width, height = self.size
        if self.deep:
            columns, rows = chroma_size(width, height, self.deep)
            return 2 * (width * height + 2 * columns * rows)
        return width * height + 2 * half(width) * half(height) if self.yuv else width * height * 3


@dataclass(frozen=True)
class Decoder:
    """Decoder of a video file; all times are seconds from the start of the file.

    Attributes:
        info: properties of the file.
        index: timestamps of its frames.
        transform: resize, rotation and crop.
        fps: frame rate of the output.
        matte: colour behind transparent pixels.
    """

    info: VideoInfo
    index: FrameIndex
    transform: Transform
    fps: Fraction
    matte: Color = WHITE

    def frames(
        self, start: Fraction, step: int, count: int, layout: PixelLayout, cancel: CancelToken
    ) -> Generator[bytearray, None, None]:
        """Decode the frames shown at `start`, start + step/fps, start + 2 step/fps, ...

        Args:
            start: time of the first frame, seconds.
            step: take every `step`-th frame at `fps`.
            count: number of frames; if the file ends one or two early, the last one is repeated.
            layout: size and pixel format.
            cancel: polled while ffmpeg runs.

        Yields:
            The `layout.frame_bytes` bytes of each frame.

        Raises:
            MediaError: decoding stopped early.
            Cancelled: the token was cancelled.
        """
        decoded, last = 0, None
        graph, flags = self._graph(start, step, count, layout)
        with (
            FFmpegProcess(graph, *flags) as running,
            closing(read_stdout(running, layout.frame_bytes, cancel)) as blocks,
        ):
            for block in blocks:
                if len(block) < layout.frame_bytes:
                    break
                if last is not None:
                    yield last
                last, decoded = block, decoded + 1
                if decoded == count:
                    break
            if decoded < count:
                running.wait(cancel)
                self._check_missing(start, step, count, decoded, running.stderr_tail())
        assert last is not None
        for _ in range(count - decoded):
            yield last.copy()
        yield last

    def _graph(
        self, start: Fraction, step: int, count: int, layout: PixelLayout
    ) -> tuple[Any, tuple[str, ...]]:
        """The filter graph, and ffmpeg's global flags."""
        seek, flags = self._seek(start)
        settings = {"reinit_filter": 0, "threads": thread_count(), **seek}
        if self.index.decoder:
            settings["c:v"] = self.index.decoder
        source = media_input(self.info.path, self.index.demuxer, **settings)
        stream = source[str(self.index.stream)]
        may_be_interlaced = self.info.interlaced or self.index.codec in INTERLACED_CODECS
        if may_be_interlaced and min(self.info.width, self.info.height) >= _MIN_DEINTERLACED_SIDE:
            # Frames that are not marked pass through unchanged: some files become interlaced on the way.
            stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
        # Timestamps are shifted so that 0 is where frame 0 starts, less the slack. The fps filter, rounding
        # up, then shows in slot i the last frame whose timestamp is not after i/fps. A frame from before
        # 0 that lasts beyond it is kept.
        zero = round((self.index.start + start + frame_rate.SLACK / self.fps) * _TICKS)
        pts = (
            "PTS"
            if self.index.has_timestamps
            else f"N*{_TICKS}*{self.index.time_base.numerator}/{self.index.time_base.denominator}"
        )
        stream = stream.filter("settb", f"1/{_TICKS}").filter("setpts", f"{pts}-({zero})")
        stream = stream.filter("fps", fps=str(self.fps), start_time=0, round="up")
        if step > 1:
            stream = stream.filter("select", f"not(mod(n,{step}))").filter("setpts", "N")
        if layout.deep:
            pixels = f"yuv{layout.deep}p{BITS}le"
            stream = self.transform.deep_filters(stream, self.info, pixels)
            return stream.output("pipe:", f="rawvideo", pix_fmt=pixels, **{"frames:v": count}), flags
        stream, info = conversion_filters(stream, self.info, self.matte), converted_info(self.info)
        if layout.yuv:
            stream = self.transform.yuv_filters(stream, info)
        else:
            stream = self.transform.rgb_filters(stream, info, layout.size)
        pixels = "yuv420p" if layout.yuv else "rgb24"
        return stream.output("pipe:", f="rawvideo", pix_fmt=pixels, **{"frames:v": count}), flags

    def _seek(self, start: Fraction) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Input options that seek to a key frame before the frame shown at `start`, and global flags.

        An earlier key frame does no harm, since frames are selected by timestamp; a later one would.
        So containers without an index, whose seeks are inexact, and interlaced video, which needs the
        frame before, seek one key frame earlier.
        """
        if not self.index.has_timestamps:
            return {}, ()
        keys, base = self.index.key_pts, self.index.time_base
        margin = int(self.index.demuxer not in INDEXED_DEMUXERS or self.info.interlaced)
        shown = self._file_frame(start)
        key = int(np.searchsorted(keys, self.index.pts[shown], side="right")) - 1 - margin
        if key <= 0 or keys[key] <= 0:
            return {}, ("-copyts",)
        seconds = float((int(keys[key]) + Fraction(1, 2)) * base)
        return {"ss": f"{seconds:.6f}", "seek_timestamp": 1, "noaccurate_seek": None}, ("-copyts",)

    def file_frames(self, start: Fraction, count: int) -> IntArray:
        """Indices of the file's own frames that are shown at `start`, start + 1/fps, ...; int64 (count,)."""
        first = float((self.index.start + start + frame_rate.SLACK / self.fps) / self.index.time_base)
        ticks = first + np.arange(count) * float(1 / self.fps / self.index.time_base)
        return np.maximum(0, np.searchsorted(self.index.pts, ticks, side="right") - 1)

    def _file_frame(self, time: Fraction) -> int:
        """Index of the file's own frame that is shown at `time`."""
        ticks = float((self.index.start + time + frame_rate.SLACK / self.fps) / self.index.time_base)
        return max(0, int(np.searchsorted(self.index.pts, ticks, side="right")) - 1)

    def _check_missing(self, start: Fraction, step: int, count: int, decoded: int, stderr: str) -> None:
        """Raise unless at most `_MAX_MISSING_FRAMES` of the file are missing after `decoded` frames."""
        reached = start + max(0, decoded - 1) * step / self.fps
        missing = self._file_frame(start + (count - 1) * step / self.fps) - self._file_frame(reached)
        if decoded and missing <= _MAX_MISSING_FRAMES:
            return
        reason = error_from_stderr(stderr, self.info.path, writing=False)
        if not isinstance(reason, MediaError):
            raise reason
        raise MediaError(
            f"The video breaks off at {float(reached):.2f} s",
            given=f"{self.info.path} ({stderr.splitlines()[-1]})" if stderr else self.info.path,
            hint="The file is damaged there; use a range before it, or another copy of the file.",
        )
