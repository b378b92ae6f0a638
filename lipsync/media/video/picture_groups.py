"""Groups of pictures of H.264 and H.265 tracks, and which of them can be copied."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import MediaError
from lipsync.media.container import open_container
from lipsync.media.video.parameter_sets import HINT, NotCopyableError, ParameterSets, nal_units
from lipsync.progress import CancelToken
from lipsync.types import IntArray
from lipsync.utils.file_digest import file_state

_IDR = 5
_ACCESS = range(16, 22)
_UPRIGHT = (1 << 16, 0, 0, 1 << 16)
"""The part of a display matrix that turns, flips and scales, in 16.16 fixed point, of one that does not."""
_LIKE = 0.005
"""Relative difference of pixel aspect ratios; Matroska keeps them as whole pixels of the display."""


@dataclass(frozen=True)
class AccessPoint:
    """Picture at which decoding can begin.

    Attributes:
        packet: its number in the file.
        frame: its number in order of presentation.
        leading: pictures that come after it in the file and are shown before it.
    """

    packet: int
    frame: int
    leading: int

    @property
    def first(self) -> int:
        """The first frame that depends on this picture: all before it are complete in earlier packets."""
        return self.frame - self.leading


@dataclass(frozen=True)
class Copied:
    """A stretch of the result that is copied.

    Attributes:
        frames: in the result.
        source: number of its first frame in the source.
    """

    frames: range
    source: int

    @property
    def in_source(self) -> range:
        """The frames in the source."""
        return range(self.source, self.source + len(self.frames))


@dataclass(frozen=True, eq=False)
class PictureGroups:
    """Groups of pictures of a video track.

    Attributes:
        path, stream: the file, and the index of the track.
        points: where decoding can begin, in order.
        times: int64 (T,) presentation times in ticks of the track, sorted.
        order: int64 (T,) number of the frame in each packet.
        sets: the parameter sets of the track.
        size: width and height in pixels.
        pixels: ffmpeg's pixel format.
        state: size and time of change of the file.
    """

    path: Path
    stream: int
    points: tuple[AccessPoint, ...]
    times: IntArray
    order: IntArray
    sets: ParameterSets
    size: tuple[int, int]
    pixels: str
    state: tuple[int, ...]

    def check_unchanged(self) -> None:
        """Refuse a file that is another one by now.

        Raises:
            MediaError: it is another one, or not there.
        """
        try:
            same = _state(self.path) == self.state
        except OSError:
            same = False
        if not same:
            raise changed(self.path)

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.times)

    @property
    def starts(self) -> tuple[int, ...]:
        """Frames at which a copied stretch can begin."""
        return tuple(point.frame for point in self.points)

    def copyable(self, unchanged: Sequence[Copied]) -> list[Copied]:
        """What can be copied of stretches that are as in the source, in order."""
        ends = [*(point.first for point in self.points), self.frames]
        found = []
        for one in unchanged:
            after = bisect_left(self.starts, one.source)
            first = self.starts[after] if after < len(self.starts) else self.frames
            last = ends[bisect_right(ends, one.in_source.stop) - 1]
            if first < last:
                shift = one.frames.start - one.source
                found.append(Copied(range(first + shift, last + shift), first))
        return found

    def packets_of(self, one: Copied) -> tuple[range, IntArray]:
        """The packets from the first to the last of a copied stretch, and the frame of the result in each.

        Frames before the stretch are leading pictures, which are left out.
        """
        begin = self.points[bisect_left(self.starts, one.source)].packet
        firsts = [point.first for point in self.points]
        after = bisect_left(firsts, one.in_source.stop)
        end = self.points[after].packet if after < len(firsts) else self.frames
        return range(begin, end), self.order[begin:end] - one.source + one.frames.start


def _state(path: Path) -> tuple[int, ...]:
    return file_state(path)[:2]  # the inode of a file is not the same at all times on some network drives


def changed(path: Path) -> MediaError:
    """The error for a source that is another file by now."""
    return MediaError(
        "The video changed during the run",
        given=path,
        hint="Start again when no other program writes to it.",
    )


def without(frames: int, parts: Sequence[range]) -> list[range]:
    """What is left of so many frames without some parts, in order."""
    left, at = [], 0
    for part in sorted((one for one in parts if len(one)), key=lambda one: one.start):
        if part.start > at:
            left.append(range(at, part.start))
        at = max(at, part.stop)
    return [*left, range(at, frames)] if at < frames else left


def read_groups(path: Path, stream: int | None = None, cancel: CancelToken | None = None) -> PictureGroups:
    """The groups of pictures of a video file; only its first picture is decoded.

    Args:
        stream: index of the track; by default the first one with a video.
        cancel: polled with each packet.

    Raises:
        NotCopyableError: it is neither H.264 nor H.265 with its parameter sets in the header, its frames have
            no times, or its header says how to turn, flip or stretch them.
        Cancelled: the token was cancelled.
    """
    try:
        state = _state(path)
        with open_container(path) as container:
            track = container.streams.video[0] if stream is None else container.streams[stream]
            return _read(container, track, path, state, cancel or CancelToken())
    except NotCopyableError:
        raise
    except (OSError, MediaError, IndexError, ValueError) as error:  # ValueError: of damaged parameter sets
        raise NotCopyableError("The video cannot be read in packets", given=path, hint=HINT) from error


def video_packets(container: Any, stream: int | None = None) -> Iterator[Any]:
    """The packets of a video track, without the empty one at the end."""
    track = container.streams.video[0] if stream is None else container.streams[stream]
    return (packet for packet in container.demux(track) if packet.size)


def _read(
    container: Any, stream: Any, path: Path, state: tuple[int, ...], cancel: CancelToken
) -> PictureGroups:
    context = stream.codec_context
    if context.name not in ("h264", "hevc"):
        raise NotCopyableError("Only H.264 and H.265 can be copied in part", given=context.name, hint=HINT)
    _check_aspect(stream)
    sets = _with_more(ParameterSets.parse(context.extradata or b"", context.name), [])
    kind_of = hevc_kind if context.name == "hevc" else _avc_kind
    times, kinds, decoded = [], [], False
    for packet in video_packets(container, stream.index):
        cancel.check("reading")
        if packet.is_discard:
            raise NotCopyableError("An edit list of the video leaves out frames of its file", hint=HINT)
        if packet.pts is None:
            raise NotCopyableError("Some frames of the video have no times", hint=HINT)
        times.append(packet.pts)
        units = [(kind_of(one), one) for one in nal_units(bytes(packet), sets.size_bytes) if len(one)]
        if more := [(kind, bytes(one)) for kind, one in units if kind in sets.kinds]:
            sets = _with_more(sets, more)
        kinds.append(next((kind for kind, _ in units if _is_access(kind, context.name)), 0))
        decoded = decoded or _is_decoded(packet)
    order, shown = _presentation(times)
    points = _access_points(order, kinds, open_groups=context.name == "hevc")
    size, pixels = (stream.width, stream.height), (context.pix_fmt or "").replace("yuvj", "yuv")
    return PictureGroups(path, stream.index, points, shown, order, sets, size, pixels, state)


def _presentation(times: Sequence[int]) -> tuple[IntArray, IntArray]:
    """Number of the frame in each packet, and the times of the frames, sorted."""
    decoded = np.array(times, np.int64)
    ordered = np.sort(decoded)
    if not len(ordered) or (np.diff(ordered) <= 0).any():
        raise NotCopyableError("Frames of the video share a time", hint=HINT)
    return np.searchsorted(ordered, decoded).astype(np.int64), ordered


def _check_aspect(stream: Any) -> None:
    """Refuse a pixel aspect ratio of the container alone: encoded pictures would have it, copied ones not."""
    own, shown = stream.codec_context.sample_aspect_ratio or 1, stream.sample_aspect_ratio or 1
    if abs(own / shown - 1) > _LIKE:
        raise NotCopyableError(
            "The header of the file stretches the pictures of the video",
            given=f"{shown}, not {own}",
            hint=HINT,
        )


def _is_decoded(packet: Any) -> bool:
    """Whether the packet gives the first frame; what is shown must be the picture as it is encoded."""
    for frame in packet.decode():
        for one in frame.side_data:
            if one.type.name == "DISPLAYMATRIX":
                a, b, _, c, d, *_ = np.frombuffer(bytes(one), np.int32).tolist()
                if (a, b, c, d) != _UPRIGHT:
                    raise NotCopyableError("The header of the file turns or flips the video", hint=HINT)
        return True
    return False


def _with_more(sets: ParameterSets, units: Sequence[tuple[int, bytes]]) -> ParameterSets:
    """The sets with those that stand in the stream: what replaces groups must not have their identifiers."""
    joined = sets.with_units(units)
    if joined is None:
        raise NotCopyableError("The video changes its parameter sets on the way", hint=HINT)
    return joined


def _avc_kind(unit: memoryview) -> int:
    return unit[0] & 31


def hevc_kind(unit: memoryview) -> int:
    """NAL unit type of H.265."""
    return (unit[0] >> 1) & 63


def _is_access(kind: int, codec: str) -> bool:
    """Whether decoding can begin with a slice of this type."""
    return kind in _ACCESS if codec == "hevc" else kind == _IDR


def _access_points(order: IntArray, kinds: Sequence[int], open_groups: bool) -> tuple[AccessPoint, ...]:
    """Pictures with all frames before their leading ones in earlier packets."""
    before = np.maximum.accumulate(np.concatenate([[-1], order[:-1]]))
    points = []
    for packet in (number for number, kind in enumerate(kinds) if kind):
        frame = int(order[packet])
        leading = frame - packet
        if before[packet] == packet - 1 and leading >= 0 and (open_groups or not leading):
            points.append(AccessPoint(packet, frame, leading))
    if not points or points[0].packet != 0:
        raise NotCopyableError("The video does not begin with a key frame", hint=HINT)
    return tuple(points)


def runs(shown: IntArray) -> list[Copied]:
    """Stretches of a result whose frames follow each other in the source, too.

    Args:
        shown: int64 (T,), the file's frame that each frame of the result shows.
    """
    edges = [0, *(np.flatnonzero(np.diff(shown) != 1) + 1).tolist(), len(shown)]
    return [Copied(range(*pair), int(shown[pair[0]])) for pair in pairwise(edges) if pair[0] < pair[1]]
