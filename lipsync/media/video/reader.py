"""Random access to the frames of a video or photo, in bounded memory.

Frame k of a time range is the one shown k/fps after the start of the range. ffmpeg selects it by
timestamp, so that neither a variable frame rate, a seek nor a lost frame shifts the count, and a frame
is the same in whatever order frames are read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.errors import MediaError
from lipsync.media.audio.probe import probe_audio
from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.media.probe import FrameIndex, scan_video
from lipsync.media.video import color_tags, frame_rate, images
from lipsync.media.video.access_order import backward_blocks, monotone_runs
from lipsync.media.video.conversion import converted_info, is_tone_mapped
from lipsync.media.video.decoder import Decoder, PixelLayout
from lipsync.media.video.deep import BITS, DeepFrame
from lipsync.media.video.timeline import frames_for, resolve_ranges
from lipsync.media.video.transform import Size, Transform
from lipsync.media.video.yuv import YuvColorSpace, YuvFrame
from lipsync.options import Box, MediaOptions
from lipsync.progress import CancelToken
from lipsync.types import Frame, IntArray, VideoInfo

MIN_SMOOTH_RATE = 10
"""Frames per second below which lips visibly jump from one shape to another."""
_MOST_UNLIKE = 2.0
"""Ratio of the lengths of picture and sound from which on one of them is doubted."""
BLOCK_BYTES = 128 << 20
"""Memory limit of a block that is read backwards: 21 frames of 1080p in RGB."""
_KEPT_BY = " Codecs other than H.264 keep it ('codec')."
RawFrames: TypeAlias = Generator[tuple[bytearray, bool], None, None]
"""ffmpeg's bytes of each frame, and whether that is the last use of the buffer."""


def open_video(path: Path | str, options: MediaOptions | None = None) -> VideoReader:
    """Open a video or photo for reading, transformed as `options` say.

    Raises:
        NoVideoError: the file has audio only.
        MediaError: the file is missing, not media, or cut off.
        RangeError: a time range ends past the end of the file; the message has the file's length.
        OptionError: the crop does not lie inside the frame, or there is no such video track.
    """
    options = options or MediaOptions()
    info, index = scan_video(path, options.video_track)
    return VideoReader(info, index, options)


class VideoReader:
    """Video or photo opened for random access by frame index; made by `open_video`.

    Attributes:
        info: properties of the file, with the colours of the frames as they are read, and the pixel aspect
            ratio after `options.rotate`.
        width, height: pixels of the frames, after resize, rotation and crop.
        fps: frames per second: the option's, else the file's.
        frame_count: frames of all time ranges together, at `fps`; 1 for a still.
        track: the option `video_track`.
        original: properties of frames with more bits, which `read_deep` gives; None without.
        warnings: sentences for the user.
    """

    def __init__(self, info: VideoInfo, index: FrameIndex | None, options: MediaOptions) -> None:
        self._transform = Transform.from_options(info, options)
        self.width, self.height = self._transform.size
        self.fps = frame_rate.exact_rate(options.fps) if options.fps else info.fps
        self.track = options.video_track
        kept = bool(VIDEO_CODECS[options.codec].deep) and self._transform.keeps_depth(info)
        self.warnings = _warnings(info, options, kept)
        self._matte = images.parse_color(options.matte)
        self._decoder = Decoder(info, index, self._transform, self.fps, self._matte) if index else None
        self._static = options.static
        aspect = info.sample_aspect_ratio
        self.info = replace(
            converted_info(info), sample_aspect_ratio=1 / aspect if self._transform.swaps_sides else aspect
        )
        keeps = self._decoder is not None and not self._static and self._transform.keeps_depth(info)
        self.original = replace(info, sample_aspect_ratio=self.info.sample_aspect_ratio) if keeps else None
        ranges = resolve_ranges(() if info.is_still else options.video_ranges, info.duration, info.path)
        counts = [frames_for(end - start, self.fps) for start, end in ranges]
        self._starts = [Fraction(start) for start, _ in ranges]
        self._offsets: IntArray = np.cumsum([0, *([1] if self.is_still else counts)])
        self.frame_count = int(self._offsets[-1])

    @property
    def is_still(self) -> bool:
        """Whether it is one image without a duration: a photo, or the option `static`."""
        return self._decoder is None or self._static

    @property
    def start(self) -> float:
        """Time on the file's own clock at which its first frame starts, seconds."""
        return float(self._decoder.index.start) if self._decoder else 0.0

    @property
    def stream(self) -> int | None:
        """Index of the track in the file; None for a photo, and without times of the frames."""
        if self._decoder is None or self._static or not self._decoder.index.has_timestamps:
            return None
        return self._decoder.index.stream

    @property
    def is_transformed(self) -> bool:
        """Whether frames have another size, place or side up than in the file's track."""
        info = self.info
        whole = self._transform == Transform((info.width, info.height), 0, Box(0, info.height, 0, info.width))
        return bool(info.rotation) or not whole

    def file_frames(self) -> IntArray:
        """The file's own frame that each frame shows, in order of presentation; int64 (frame_count,)."""
        assert self._decoder is not None
        counts = np.diff(self._offsets).tolist()
        parts = zip(self._starts, counts, strict=True)
        return np.concatenate([self._decoder.file_frames(start, count) for start, count in parts])

    @property
    def range_spans(self) -> tuple[tuple[float, float], ...]:
        """Start in the file and duration of each time range, seconds; empty for a still."""
        if self.is_still:
            return ()
        lengths = (float(count / self.fps) for count in np.diff(self._offsets).tolist())
        return tuple((float(start), length) for start, length in zip(self._starts, lengths, strict=True))

    def read(
        self, indices: npt.ArrayLike, *, max_side: int | None = None, cancel: CancelToken | None = None
    ) -> Generator[Frame, None, None]:
        """Decode the frames with these indices, in this order. The caller may modify them.

        Non-decreasing indices, with repeats and skips, are one decoding pass; decreasing ones are read
        in blocks of at most `BLOCK_BYTES`. Closing the iterator stops ffmpeg.

        Args:
            indices: int64 (n,) frame indices in [0, frame_count), in any order.
            max_side: scale the frames down until the longer side is at most this many pixels.
            cancel: polled all the time, also while ffmpeg writes nothing.

        Yields:
            RGB uint8 (height, width, 3), one for every entry of `indices`.

        Raises:
            IndexError: an index is out of range.
            MediaError: decoding stopped early; the message has the time.
            Cancelled: the token was cancelled.
        """
        wanted, cancel = self._checked(indices), cancel or CancelToken()
        size = self._transform.reduced(max_side)
        if self._decoder is None:
            still = self._still(size)
            return (still.copy() for _ in self._repeat(len(wanted), cancel))
        return self._rgb_frames(self._raw_frames(self._decoder, wanted, PixelLayout(size), cancel), size)

    def read_yuv(
        self, indices: npt.ArrayLike, *, cancel: CancelToken | None = None
    ) -> Generator[YuvFrame, None, None]:
        """The same at full size as YUV 4:2:0, in the colour space of the result.

        A repeated frame may be the same object.

        Args:
            indices: int64 (n,) frame indices in [0, frame_count), in any order.
            cancel: polled all the time.

        Raises:
            IndexError, MediaError, Cancelled: as `read`.
        """
        wanted, cancel = self._checked(indices), cancel or CancelToken()
        size, color_space = self._transform.size, color_tags.yuv_color_space(self.info)
        if self._decoder is None:
            still = YuvFrame.from_rgb(self._still(size), color_space)
            return (still for _ in self._repeat(len(wanted), cancel))
        raw = self._raw_frames(self._decoder, wanted, PixelLayout(size, yuv=True), cancel)
        return self._yuv_frames(raw, size, color_space)

    def read_deep(
        self, indices: npt.ArrayLike, chroma: str, *, cancel: CancelToken | None = None
    ) -> Generator[DeepFrame, None, None]:
        """The same with 10 bits and in the file's own colours, if `original` says that they can be read.

        Args:
            indices: as in `read`.
            chroma: "420", "422" or "444".
            cancel: polled all the time.

        Raises:
            IndexError, MediaError, Cancelled: as `read`.
        """
        assert self._decoder is not None and self.original is not None
        wanted, cancel = self._checked(indices), cancel or CancelToken()
        size = self._transform.size
        transfer = self.original.color_transfer if is_tone_mapped(self.original) else ""
        color = color_tags.yuv_color_space(self.original), transfer
        raw = self._raw_frames(self._decoder, wanted, PixelLayout(size, True, chroma), cancel)
        with closing(raw):
            for data, _ in raw:
                yield DeepFrame.from_bytes(data, size, chroma, color)

    def _checked(self, indices: npt.ArrayLike) -> IntArray:
        wanted = np.asarray(indices, np.int64).reshape(-1)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.frame_count:
            raise IndexError(f"frame indices must be in 0..{self.frame_count - 1}")
        return wanted

    def _still(self, size: Size) -> Frame:
        return self._transform.apply(images.read_image(self.info.path, self._matte), size)

    @staticmethod
    def _repeat(count: int, cancel: CancelToken) -> Iterator[None]:
        for _ in range(count):
            cancel.check("reading")
            yield

    @staticmethod
    def _rgb_frames(raw: RawFrames, size: Size) -> Generator[Frame, None, None]:
        with closing(raw):
            for data, last_use in raw:
                frame = np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3)
                yield frame if last_use else frame.copy()

    @staticmethod
    def _yuv_frames(
        raw: RawFrames, size: Size, color_space: YuvColorSpace
    ) -> Generator[YuvFrame, None, None]:
        with closing(raw):
            for data, _ in raw:
                yield YuvFrame.from_bytes(data, *size, color_space)

    def _raw_frames(
        self, decoder: Decoder, wanted: IntArray, layout: PixelLayout, cancel: CancelToken
    ) -> RawFrames:
        block_frames = max(1, BLOCK_BYTES // layout.frame_bytes)
        for run in monotone_runs(wanted, self._range_of(wanted)):
            if run[0] <= run[-1]:
                yield from self._forward(decoder, run, layout, cancel)
                continue
            for block in backward_blocks(run, block_frames):
                yield from self._backward(decoder, block, layout, cancel)

    def _range_of(self, indices: IntArray) -> IntArray:
        """Index of the time range that contains each frame."""
        return np.searchsorted(self._offsets, indices, side="right") - 1

    def _forward(
        self, decoder: Decoder, run: IntArray, layout: PixelLayout, cancel: CancelToken
    ) -> RawFrames:
        """A non-decreasing run: every frame is decoded once, then repeated or dropped."""
        part = int(self._range_of(run[:1])[0])
        start = self._starts[part] + int(run[0] - self._offsets[part]) / self.fps
        step = max(1, int(np.gcd.reduce(np.diff(run))))
        places = (run - run[0]) // step  # of each wanted frame among the decoded ones
        with closing(decoder.frames(start, step, int(places[-1]) + 1, layout, cancel)) as frames:
            position, frame = 0, next(frames)
            for place, following in zip(places, [*places[1:], -1], strict=True):
                while position < place:
                    position, frame = position + 1, next(frames)
                cancel.check("reading")
                yield frame, following != place

    def _backward(
        self, decoder: Decoder, block: IntArray, layout: PixelLayout, cancel: CancelToken
    ) -> RawFrames:
        """A non-increasing block: decoded forwards into memory, then given in reverse."""
        distinct = np.unique(block)
        raw = self._forward(decoder, distinct, layout, cancel)
        decoded = {index: data for index, (data, _) in zip(distinct.tolist(), raw, strict=True)}
        indices = block.tolist()
        for index, following in zip(indices, [*indices[1:], -1], strict=True):
            cancel.check("reading")
            yield (decoded[index], False) if following == index else (decoded.pop(index), True)


def _warnings(info: VideoInfo, options: MediaOptions, keeps_depth: bool) -> tuple[str, ...]:
    found = []
    if info.is_still and options.video_ranges:
        found.append("A photo has no duration, so the video ranges were ignored.")
    if info.is_still and images.count_images(info.path) > 1:
        found.append("The animation cannot be played; its first image was used as a photo.")
    if info.transparent and options.matte == MediaOptions().matte:
        found.append(f"The video is transparent; it is shown on {options.matte}. Another colour: 'matte'.")
    if keeps_depth:
        more = f"The video has {info.bit_depth} bits; the result keeps {BITS} of them."
        found += [more] if info.bit_depth > BITS else []
    elif is_tone_mapped(info):
        found.append(f"The video is HDR; the result is converted to standard range (SDR, BT.709).{_KEPT_BY}")
    elif info.color_transfer in color_tags.HDR_TRANSFERS:
        found.append("The video is HDR; the result keeps its colours in 8 bits, so banding may be visible.")
    elif info.bit_depth > 8 and not info.is_still:
        found.append(f"The video has {info.bit_depth} bits, and the result 8.{_KEPT_BY}")
    if info.fps < MIN_SMOOTH_RATE and not (options.fps or info.is_still or options.static):
        rate = f"The video has {float(info.fps):g} frames/s, and the lips move no more often."
        found.append(f"{rate} With fps=25 they move smoothly, and the picture stays as it is.")
        found += _doubts(info)
    return tuple(found)


def _doubts(info: VideoInfo) -> list[str]:
    """A warning if a low frame rate looks like a wrong header: audio beside it lasts far less or longer."""
    with contextlib.suppress(MediaError):
        audio = probe_audio(info.path).duration
        if not 1 / _MOST_UNLIKE < audio / info.duration < _MOST_UNLIKE:
            return [
                f"Its picture lasts {info.duration:.1f} s and its own sound {audio:.1f} s: the frame rate in "
                "its header may be wrong. If it plays in slow motion, convert it with another program first."
            ]
    return []
