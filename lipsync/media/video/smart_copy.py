"""Smart copy of H.264: unchanged groups of pictures are copied, others replaced.

The packets of a group that begins with an IDR picture depend on no other group, so they can be copied as they
are and decode to the same frames to the bit. What replaces a group is encoded for itself. Its parameter sets
have an identifier of their own where they differ from the source's, so that both stand in the file's header
(ISO/IEC 14496-15, avcC) and every slice finds its own. https://github.com/skeskinen/smartcut cuts at key
frames in the same way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.errors import MediaError
from lipsync.progress import CancelToken
from lipsync.types import IntArray

_IDR = 5
_MAX_SETS = 32
"""Identifiers of sequence parameter sets go from 0 to 31."""
_HINT = "Make the whole of it anew."


class NotCopyableError(MediaError):
    """A video whose groups of pictures cannot be copied and replaced."""


@dataclass(frozen=True)
class ParameterSets:
    """The sequence and picture parameter sets in the header of an H.264 track.

    Attributes:
        head: version, profile, compatibility, level, and length of a NAL unit's size.
        sequence, picture: the sets.
        tail: what follows for high profiles.
    """

    head: bytes
    sequence: tuple[bytes, ...]
    picture: tuple[bytes, ...]
    tail: bytes

    @classmethod
    def parse(cls, data: bytes) -> ParameterSets:
        """The sets of an AVCDecoderConfigurationRecord.

        Raises:
            NotCopyableError: it is none, as in AVI files and transport streams.
        """
        try:
            if data[0] != 1:
                raise IndexError
            sequence, at = _units(data, 6, data[5] & 31)
            picture, at = _units(data, at + 1, data[at])
        except IndexError as error:
            raise NotCopyableError("The video keeps its parameter sets in the stream", hint=_HINT) from error
        return cls(data[:5], sequence, picture, data[at:])

    def to_bytes(self) -> bytes:
        """The record as `parse` reads it."""
        parts = [self.head, bytes([0xE0 | len(self.sequence)]), *map(_with_size, self.sequence)]
        return b"".join([*parts, bytes([len(self.picture)]), *map(_with_size, self.picture), self.tail])

    @property
    def identifiers(self) -> tuple[int, ...]:
        """Identifiers of the sequence parameter sets."""
        return tuple(_golomb(one[4:]) for one in self.sequence)

    def joined(self, other: ParameterSets) -> ParameterSets | None:
        """These sets and those of another track; None where two different ones have one identifier."""
        sequence = tuple(dict.fromkeys((*self.sequence, *other.sequence)))
        picture = tuple(dict.fromkeys((*self.picture, *other.picture)))
        unique = len({_golomb(one[4:]) for one in sequence}) == len(sequence)
        if not unique or len({_golomb(one[1:]) for one in picture}) != len(picture):
            return None
        return replace(self, sequence=sequence, picture=picture)


def _units(data: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    """NAL units with sizes of two bytes before them, and where they end."""
    units = []
    for _ in range(count):
        size = 256 * data[at] + data[at + 1]
        units.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    if at > len(data):
        raise IndexError
    return tuple(units), at


def _with_size(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def _golomb(data: bytes) -> int:
    """The first unsigned Exp-Golomb code of some bytes."""
    bits = "".join(f"{byte:08b}" for byte in data[:5])
    zeros = bits.index("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1


@dataclass(frozen=True, eq=False)
class PictureGroups:
    """Groups of pictures of a video that depend on nothing outside.

    Attributes:
        starts: first frame of each group, in order of presentation.
        times: int64 (T,) presentation times in `time_base`, sorted.
        order: int64 (T,) number of the frame in each packet.
        sets: the parameter sets of the track.
        size: width and height in pixels.
    """

    starts: tuple[int, ...]
    times: IntArray
    order: IntArray
    sets: ParameterSets
    size: tuple[int, int]

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.times)

    def widened(self, changed: Sequence[range]) -> list[range]:
        """The whole groups that some frames lie in, in order and joined where they touch."""
        found: list[range] = []
        for one in sorted(changed, key=lambda each: each.start):
            if not len(one):
                continue
            first = self.starts[bisect_right(self.starts, one.start) - 1]
            after = bisect_right(self.starts, one.stop - 1)
            last = self.starts[after] if after < len(self.starts) else self.frames
            if found and first <= found[-1].stop:
                found[-1] = range(found[-1].start, max(last, found[-1].stop))
            else:
                found.append(range(first, last))
        return found


def read_groups(path: Path) -> PictureGroups:
    """The groups of pictures of a video file, without decoding.

    Raises:
        NotCopyableError: it is not H.264 with its parameter sets in the header, or its frames have no times.
    """
    try:
        with path.open("rb") as file, av.open(file) as container:
            return _read(container)
    except (OSError, av.error.FFmpegError, IndexError) as error:
        raise NotCopyableError("The video cannot be read in packets", given=path, hint=_HINT) from error


def _video_packets(container: Any) -> Iterator[Any]:
    """The packets of the video track, without the empty one at the end."""
    return (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _read(container: Any) -> PictureGroups:
    stream = container.streams.video[0]
    if stream.codec_context.name != "h264":
        given = stream.codec_context.name
        raise NotCopyableError("Only H.264 can be copied in part", given=given, hint=_HINT)
    sets = ParameterSets.parse(stream.codec_context.extradata or b"")
    size = (sets.head[4] & 3) + 1
    times, idr = [], []
    for packet in _video_packets(container):
        if packet.pts is None:
            raise NotCopyableError("The frames of the video have no times", hint=_HINT)
        times.append(packet.pts)
        idr.append(packet.is_keyframe and _IDR in _unit_types(bytes(packet), size))
    decoded = np.array(times, np.int64)
    ordered = np.sort(decoded)
    if not len(ordered) or (np.diff(ordered) <= 0).any():
        raise NotCopyableError("Frames of the video share a time", hint=_HINT)
    order = np.searchsorted(ordered, decoded).astype(np.int64)
    return PictureGroups(_closed(order, idr), ordered, order, sets, (stream.width, stream.height))


def _closed(order: IntArray, idr: Sequence[bool]) -> tuple[int, ...]:
    """Numbers of IDR frames that come after all frames of earlier packets and before all of later ones."""
    before = np.maximum.accumulate(np.concatenate([[-1], order[:-1]]))
    after = np.minimum.accumulate(order[::-1])[::-1]
    starts = [
        int(order[index])
        for index, is_idr in enumerate(idr)
        if is_idr and before[index] < order[index] == after[index]
    ]
    if not starts or starts[0] != 0:
        raise NotCopyableError("The video does not begin with a key frame", hint=_HINT)
    return tuple(starts)


def _unit_types(data: bytes, size: int) -> Iterator[int]:
    """Types of the NAL units of a packet, whose sizes of `size` bytes stand before them."""
    at = 0
    while at + size < len(data):
        yield data[at + size] & 31
        at += size + int.from_bytes(data[at : at + size], "big")


def free_identifier(groups: PictureGroups, sets_of: Callable[[int], ParameterSets]) -> int:
    """Identifier of parameter sets for what replaces groups: one with equal sets, else one that is free.

    Args:
        sets_of: the sets that the encoder makes for an identifier.

    Raises:
        NotCopyableError: all are in use.
    """
    used = groups.sets.identifiers
    for number in (*used, *(one for one in range(_MAX_SETS) if one not in used)):
        if groups.sets.joined(sets_of(number)) is not None:
            return number
    raise NotCopyableError("The video has too many parameter sets", given=len(used), hint=_HINT)


def splice(
    source: Path,
    groups: PictureGroups,
    replacements: Sequence[tuple[range, Path]],
    target: Path,
    cancel: CancelToken,
) -> None:
    """Write the source's video track with some whole groups replaced, as MP4.

    Args:
        groups: of the source.
        replacements: ranges from `PictureGroups.widened`, in order, each with a file of as many frames.

    Raises:
        NotCopyableError: a replacement cannot be joined to the source.
        OSError, av.error.FFmpegError: a file cannot be read or written.
        Cancelled: the token was cancelled.
    """
    parts = [(frames, path, read_groups(path)) for frames, path in replacements]
    sets = groups.sets
    for frames, path, part in parts:
        joined = sets.joined(part.sets)
        if joined is None or part.size != groups.size or part.frames != len(frames):
            raise NotCopyableError("What was drawn anew does not fit the video", given=path.name, hint=_HINT)
        sets = joined
    order = _joined_order(groups, parts)
    delay = int((np.arange(len(order)) - order).max())
    times = groups.times
    step = int(times[1] - times[0]) if len(times) > 1 else 1
    lead = times[0] - step * np.arange(delay, 0, -1)
    decode_times = np.concatenate([lead, times])[: len(times)]
    with source.open("rb") as file, av.open(file) as container, av.open(str(target), "w", "mp4") as out:
        stream = container.streams.video[0]
        written: Any = out.add_stream_from_template(stream)
        written.codec_context.extradata = sets.to_bytes()
        packets = _joined_packets(_video_packets(container), groups, parts)
        for number, decoded, packet in zip(order.tolist(), decode_times.tolist(), packets, strict=True):
            cancel.check("writing")
            packet.stream = written
            packet.time_base = stream.time_base
            packet.pts, packet.dts = int(times[number]), int(decoded)
            packet.duration = int(times[min(number + 1, len(times) - 1)] - times[number]) or step
            out.mux(packet)


_Part = tuple[range, Path, PictureGroups]


def _joined_order(groups: PictureGroups, parts: Sequence[_Part]) -> IntArray:
    """Number of the frame in each packet of the result."""
    pieces, at = [], 0
    for frames, _, part in parts:
        pieces += [groups.order[at : frames.start], part.order + frames.start]
        at = frames.stop
    return np.concatenate([*pieces, groups.order[at:]])


def _joined_packets(source: Iterator[Any], groups: PictureGroups, parts: Sequence[_Part]) -> Iterator[Any]:
    """The source's packets with those of the parts in place of its own."""
    following = iter(parts)
    now = next(following, None)
    for index, packet in enumerate(source):
        if now is not None and index == now[0].start:
            with now[1].open("rb") as file, av.open(file) as container:
                yield from _video_packets(container)
        if now is None or index < now[0].start:
            yield packet
        elif index == now[0].stop - 1:
            now = next(following, None)
