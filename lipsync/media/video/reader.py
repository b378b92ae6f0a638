"""Pictures by number: any frame of a video or photo, in any order, in bounded memory.

Frame k of a range is what is on screen k/fps after the range's start. ffmpeg finds it by
timestamp, so that a variable rate, a seek or a lost frame cannot shift the count, and a frame is
the same however it is reached.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.media.probe import PacketIndex, scan_video
from lipsync.media.video import color_tags, frame_rate, images
from lipsync.media.video.access_order import backward_blocks, monotone_runs
from lipsync.media.video.decoder import Decoder, PixelLayout
from lipsync.media.video.timeline import frames_for, resolve_ranges
from lipsync.media.video.transform import Size, Transform
from lipsync.media.video.yuv import YuvColors, YuvFrame
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken
from lipsync.types import Frame, IntArray, VideoInfo

BLOCK_BYTES = 128 << 20
"""Most that is held to play a stretch backward: 21 frames of 1080p in RGB."""
Pieces: TypeAlias = Generator[tuple[bytearray, bool], None, None]
"""Frames as ffmpeg wrote them, and whether this is the last time that one is shown."""


def open_video(path: Path | str, options: MediaOptions | None = None) -> VideoReader:
    """Look into a video or photo and get it ready to be read as `options` say.

    Raises:
        MediaError: no such file, no media, or cut off; `NoVideoError` for sound only.
        RangeError: a range goes past the end; the message has the file's length.
        OptionError: the crop does not lie inside the picture.
    """
    info, index = scan_video(path)
    return VideoReader(info, index, options or MediaOptions())


class VideoReader:
    """A picture source ready to be read; made by `open_video`.

    Attributes:
        info: what is known of the file; its pixel aspect is the one after `options.rotate`.
        width, height: pixels of the frames, after resizing, rotation and crop.
        fps: frames per second: the option's, else the file's.
        frame_count: frames of all ranges together, at `fps`; 1 for a photo or `static`.
        warnings: things worth knowing, in words.
    """

    def __init__(self, info: VideoInfo, index: PacketIndex | None, options: MediaOptions) -> None:
        self._geometry = Transform.plan(info, options)
        self.width, self.height = self._geometry.size
        self.fps = frame_rate.exact_rate(options.fps) if options.fps else info.fps
        self.warnings = _warnings(info, options)
        self._decoder = Decoder(info, index, self._geometry, self.fps) if index else None
        self._static = options.static
        aspect = info.sample_aspect_ratio
        self.info = replace(info, sample_aspect_ratio=1 / aspect if self._geometry.swaps_sides else aspect)
        ranges = resolve_ranges(() if info.is_still else options.video_ranges, info.duration, info.path)
        counts = [frames_for(end - start, self.fps) for start, end in ranges]
        self._starts = [Fraction(start) for start, _ in ranges]
        self._offsets: IntArray = np.cumsum([0, *([1] if self.is_still else counts)])
        self.frame_count = int(self._offsets[-1])

    @property
    def is_still(self) -> bool:
        """One picture without a length of its own: a photo, or `static`."""
        return self._decoder is None or self._static

    @property
    def parts(self) -> tuple[tuple[float, float], ...]:
        """Where each range starts in the file, and how long its frames last, in seconds; none for a still."""
        if self.is_still:
            return ()
        lengths = (float(count / self.fps) for count in np.diff(self._offsets).tolist())
        return tuple((float(start), length) for start, length in zip(self._starts, lengths, strict=True))

    def read(
        self, indices: npt.ArrayLike, *, max_side: int | None = None, cancel: CancelToken | None = None
    ) -> Generator[Frame, None, None]:
        """The frames with these numbers, in this order; each belongs to the receiver.

        Going forward, with repeats and skips, is one pass; going backward is done in blocks of at
        most `BLOCK_BYTES`. Closing the iterator stops ffmpeg.

        Args:
            indices: int64 (n,) frame numbers in [0, frame_count), in any order.
            max_side: reduce the frames so that the longer side is at most this many pixels.
            cancel: looked at all the time, also while ffmpeg is silent.

        Yields:
            RGB uint8 (height, width, 3), one for every entry of `indices`.

        Raises:
            IndexError: there is no frame of such a number.
            MediaError: decoding broke off; says at what second.
            Cancelled: the token was thrown.
        """
        numbers, cancel = self._checked(indices), cancel or CancelToken()
        size = self._geometry.reduced(max_side)
        if self._decoder is None:
            still = self._still(size)
            return (still.copy() for _ in self._counted(len(numbers), cancel))
        return self._rgb_frames(self._pieces(self._decoder, numbers, PixelLayout(size), cancel), size)

    def read_yuv(
        self, indices: npt.ArrayLike, *, cancel: CancelToken | None = None
    ) -> Generator[YuvFrame, None, None]:
        """The same at full size, as the result holds them: YUV 4:2:0 in the file's own colours.

        A frame that is shown again may be the same object again.

        Args, Raises: as for `read`.
        """
        numbers, cancel = self._checked(indices), cancel or CancelToken()
        size, own = self._geometry.size, color_tags.yuv_colors(self.info)
        if self._decoder is None:
            still = YuvFrame.from_rgb(self._still(size), own)
            return (still for _ in self._counted(len(numbers), cancel))
        pieces = self._pieces(self._decoder, numbers, PixelLayout(size, planes=True), cancel)
        return self._yuv_frames(pieces, size, own)

    def _checked(self, indices: npt.ArrayLike) -> IntArray:
        wanted = np.asarray(indices, np.int64).reshape(-1)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.frame_count:
            raise IndexError(f"frame numbers go from 0 to {self.frame_count - 1}")
        return wanted

    def _still(self, size: Size) -> Frame:
        return self._geometry.apply(images.read_image(self.info.path), size)

    @staticmethod
    def _counted(count: int, cancel: CancelToken) -> Iterator[None]:
        for _ in range(count):
            cancel.check("reading")
            yield

    @staticmethod
    def _rgb_frames(pieces: Pieces, size: Size) -> Generator[Frame, None, None]:
        with closing(pieces):
            for data, last in pieces:
                frame = np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3)
                yield frame if last else frame.copy()

    @staticmethod
    def _yuv_frames(pieces: Pieces, size: Size, own: YuvColors) -> Generator[YuvFrame, None, None]:
        with closing(pieces):
            for data, _ in pieces:
                yield YuvFrame.from_bytes(data, *size, own)

    def _pieces(self, decoder: Decoder, wanted: IntArray, form: PixelLayout, cancel: CancelToken) -> Pieces:
        most = max(1, BLOCK_BYTES // form.bytes)
        for run in monotone_runs(wanted, self._part(wanted)):
            if run[0] <= run[-1]:
                yield from self._forward(decoder, run, form, cancel)
                continue
            for block in backward_blocks(run, most):
                yield from self._backward(decoder, block, form, cancel)

    def _part(self, numbers: IntArray) -> IntArray:
        """The range, counted from 0, that each frame number lies in."""
        return np.searchsorted(self._offsets, numbers, side="right") - 1

    def _forward(self, decoder: Decoder, run: IntArray, form: PixelLayout, cancel: CancelToken) -> Pieces:
        """A run that never goes back: every frame is decoded once, repeated or dropped as asked."""
        part = int(self._part(run[:1])[0])
        start = self._starts[part] + int(run[0] - self._offsets[part]) / self.fps
        step = max(1, int(np.gcd.reduce(np.diff(run))))
        places = (run - run[0]) // step  # of each wanted frame among the decoded ones
        with closing(decoder.frames(start, step, int(places[-1]) + 1, form, cancel)) as frames:
            at, frame = 0, next(frames)
            for place, following in zip(places, [*places[1:], -1], strict=True):
                while at < place:
                    at, frame = at + 1, next(frames)
                cancel.check("reading")
                yield frame, following != place

    def _backward(self, decoder: Decoder, block: IntArray, form: PixelLayout, cancel: CancelToken) -> Pieces:
        """A run that never goes forward, short enough to be held."""
        numbers = np.unique(block)
        pieces = self._forward(decoder, numbers, form, cancel)
        held = {number: data for number, (data, _) in zip(numbers.tolist(), pieces, strict=True)}
        places = block.tolist()
        for number, following in zip(places, [*places[1:], -1], strict=True):
            cancel.check("reading")
            yield (held[number], False) if following == number else (held.pop(number), True)


def _warnings(info: VideoInfo, options: MediaOptions) -> tuple[str, ...]:
    found = []
    if info.is_still and options.video_ranges:
        found.append("A photo has no length, so the video ranges were not used.")
    if info.color_transfer in color_tags.HDR_TRANSFERS:
        found.append("The picture is HDR; the result keeps its colours in 8 bits, where bands may show.")
    return tuple(found)
