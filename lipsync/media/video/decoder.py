"""One ffmpeg that decodes one stretch of a video, forward, into frames on a regular grid."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from lipsync.errors import MediaError
from lipsync.media.ffmpeg import FFmpeg, explain, media_input, read_chunks, thread_count
from lipsync.media.probe import INDEXED_DEMUXERS, PacketIndex
from lipsync.media.video import frame_rate
from lipsync.media.video.transform import Size, Transform
from lipsync.media.video.yuv import half
from lipsync.progress import CancelToken
from lipsync.types import VideoInfo

_TICKS = 1_000_000
_TOLERATED_FRAMES = 2
"""Frames of the file that may be missing at the end before it counts as broken."""


@dataclass(frozen=True)
class PixelLayout:
    """How frames are wanted.

    Attributes:
        size: width and height in pixels.
        planes: YUV 4:2:0, for which `size` is that of the geometry; else RGB.
    """

    size: Size
    planes: bool = False

    @property
    def bytes(self) -> int:
        """Of one frame."""
        width, height = self.size
        return width * height + 2 * half(width) * half(height) if self.planes else width * height * 3


@dataclass(frozen=True)
class Decoder:
    """Reads frames of `info` at `fps`. All times are seconds from the file's start."""

    info: VideoInfo
    index: PacketIndex
    geometry: Transform
    fps: Fraction

    def frames(
        self, start: Fraction, step: int, count: int, form: PixelLayout, cancel: CancelToken
    ) -> Generator[bytearray, None, None]:
        """What is on screen at `start`, start + step/fps, ... : `count` frames of `form`.

        If the file ends a frame or two early the last one is given again.
        """
        got, held = 0, None
        graph, flags = self._graph(start, step, count, form)
        with (
            FFmpeg(graph, *flags) as running,
            closing(read_chunks(running, form.bytes, cancel)) as pieces,
        ):
            for piece in pieces:
                if len(piece) < form.bytes:
                    break
                if held is not None:
                    yield held
                held, got = piece, got + 1
                if got == count:
                    break
            if got < count:
                running.wait(cancel)
                self._refuse_breaking_off(start, step, count, got, running.complaint())
        assert held is not None
        for _ in range(count - got):
            yield held.copy()
        yield held

    def _graph(
        self, start: Fraction, step: int, count: int, form: PixelLayout
    ) -> tuple[Any, tuple[str, ...]]:
        """The graph and the global flags of ffmpeg."""
        seek, flags = self._seek(start)
        settings = {"reinit_filter": 0, "threads": thread_count(), **seek}
        source = media_input(self.info.path, self.index.demuxer, **settings)
        stream = source[str(self.index.stream)]
        if self.info.interlaced:
            stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
        # The clock is set to 0 where frame 0 starts, less the slack; then the fps filter, rounding
        # up, shows at slot i the last frame whose time is not after i/fps. It keeps a frame from
        # before 0 that lasts into it.
        zero = round((self.index.zero + start + frame_rate.SLACK / self.fps) * _TICKS)
        clock = (
            "PTS"
            if self.index.timed
            else f"N*{_TICKS}*{self.index.time_base.numerator}/{self.index.time_base.denominator}"
        )
        stream = stream.filter("settb", f"1/{_TICKS}").filter("setpts", f"{clock}-({zero})")
        stream = stream.filter("fps", fps=str(self.fps), start_time=0, round="up")
        if step > 1:
            stream = stream.filter("select", f"not(mod(n,{step}))").filter("setpts", "N")
        if form.planes:
            stream = self.geometry.planes_filter(stream, self.info)
        else:
            stream = self.geometry.filter(stream, self.info, form.size)
        pixels = "yuv420p" if form.planes else "rgb24"
        return stream.output("pipe:", f="rawvideo", pix_fmt=pixels, **{"frames:v": count}), flags

    def _seek(self, start: Fraction) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Input settings that enter the file at a key frame before what is on screen at `start`.

        Where exactly does not matter, as frames are told by their times; only too late would be
        wrong. So containers without an index, which are entered by guessing, and interlaced
        pictures, which need the frame before, are entered one key frame earlier.
        """
        if not self.index.timed:
            return {}, ()
        keys, base = self.index.keys, self.index.time_base
        margin = int(self.index.demuxer not in INDEXED_DEMUXERS or self.info.interlaced)
        shown = self._file_frame(start)
        key = int(np.searchsorted(keys, self.index.pts[shown], side="right")) - 1 - margin
        if key <= 0 or keys[key] <= 0:
            return {}, ("-copyts",)
        seconds = float((int(keys[key]) + Fraction(1, 2)) * base)
        return {"ss": f"{seconds:.6f}", "seek_timestamp": 1, "noaccurate_seek": None}, ("-copyts",)

    def _file_frame(self, time: Fraction) -> int:
        """Number of the file's own frame that is on screen at `time`."""
        ticks = float((self.index.zero + time + frame_rate.SLACK / self.fps) / self.index.time_base)
        return max(0, int(np.searchsorted(self.index.pts, ticks, side="right")) - 1)

    def _refuse_breaking_off(self, start: Fraction, step: int, count: int, got: int, complaint: str) -> None:
        """Raise unless what is missing after `got` frames is nothing, or a frame or two of the file."""
        reached = start + max(0, got - 1) * step / self.fps
        missing = self._file_frame(start + (count - 1) * step / self.fps) - self._file_frame(reached)
        if got and missing <= _TOLERATED_FRAMES:
            return
        reason = explain(complaint, self.info.path, writing=False)
        if not isinstance(reason, MediaError):
            raise reason
        raise MediaError(
            f"The picture breaks off at {float(reached):.2f} s",
            given=f"{self.info.path} ({complaint.splitlines()[-1]})" if complaint else self.info.path,
            hint="The file is damaged there; use a range before it, or another copy of the file.",
        )
