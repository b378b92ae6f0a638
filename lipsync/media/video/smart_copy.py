"""Smart copy of H.264 and H.265: groups of pictures are copied or replaced.

    source   | group | group | group | group |
    result   | copied        | encod.| copied|

A copied stretch begins with a picture that can be decoded without earlier ones. What replaces a group is
encoded for itself. Its parameter sets have identifiers of their own where they differ from the source's, so
that both stand in the file's header and every slice finds its own. https://github.com/skeskinen/smartcut cuts
at key frames in the same way.

H.264 is cut at IDR pictures. Groups of H.265 are often open: pictures that are shown before a CRA picture and
come after it in the file refer to the group before, too. Where a copied stretch begins with one, these
leading pictures belong to what is replaced, and the CRA picture becomes a BLA picture, which is what the
standard has for joints (ITU-T H.265, 3.14 and 8.1.3).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.media.container import open_container
from lipsync.media.video.parameter_sets import (
    HINT,
    NotCopyableError,
    ParameterSets,
    nal_units,
    numbers,
    renumbered,
    renumbered_packet,
)
from lipsync.media.video.picture_groups import (
    Copied,
    PictureGroups,
    changed,
    hevc_kind,
    read_groups,
    runs,
    video_packets,
    without,
)
from lipsync.progress import CancelToken
from lipsync.types import IntArray

__all__ = [
    "Copied",
    "NotCopyableError",
    "ParameterSets",
    "PictureGroups",
    "Replacement",
    "read_groups",
    "runs",
    "splice",
    "without",
]

_MAX_SETS = 32
"""Identifiers of H.264's sequence parameter sets go from 0 to 31."""
_AT_A_JOINT = {16: 18, 17: 18, 19: 20, 21: 18}
"""H.265's types of key pictures, and those that they become without leading pictures."""


@dataclass(frozen=True)
class Replacement:
    """A stretch of the result that has been encoded.

    Attributes:
        frames: in the result.
        path: a file of these frames.
    """

    frames: range
    path: Path


def free_identifier(groups: PictureGroups, sets_of: Callable[[int], ParameterSets]) -> int:
    """Identifier of parameter sets for what replaces groups: one with equal sets, else one that is free.

    Args:
        sets_of: the sets that the encoder makes for an identifier.

    Raises:
        NotCopyableError: all are in use.
    """
    used, possible = groups.sets.identifiers, range(_MAX_SETS)
    known = numbers() if groups.sets.codec == "hevc" else possible
    candidates = [one for one in (*used, *(one for one in possible if one not in used)) if one in known]
    for number in candidates:
        if groups.sets.joined(sets_of(number)) is not None:
            return number
    raise NotCopyableError("The video has too many parameter sets", given=len(used), hint=HINT)


def splice(
    groups: PictureGroups,
    copied: Sequence[Copied],
    replacements: Sequence[Replacement],
    target: Path,
    *,
    fps: Fraction,
    identifier: int = 0,
    cancel: CancelToken,
) -> None:
    """Write stretches of a source's video track and what replaces the others, as MP4.

    Args:
        groups: of the source.
        copied: from `PictureGroups.copyable`.
        replacements: all other frames of the result.
        fps: of the result.
        identifier: of the parameter sets that the slices of H.265 replacements get.

    Raises:
        NotCopyableError: a replacement cannot be joined to the source.
        MediaError: the source is another file by now.
        OSError, av.error.FFmpegError: a file cannot be read or written.
        Cancelled: the token was cancelled.
    """
    parts = {one.frames.start: (one, read_groups(one.path, cancel=cancel)) for one in replacements}
    sets = groups.sets
    for one, part in parts.values():
        own = renumbered(part.sets, identifier) if sets.codec == "hevc" else part.sets
        joined = sets.joined(own)
        if joined is None or part.size != groups.size or part.frames != len(one.frames):
            raise NotCopyableError(
                "What was drawn anew does not fit the video", given=one.path.name, hint=HINT
            )
        sets = joined
    pieces: list[Copied | Replacement] = [*copied, *replacements]
    pieces.sort(key=lambda one: one.frames.start)
    order = np.concatenate([_order(piece, groups, parts) for piece in pieces])
    groups.check_unchanged()
    delay = int((np.arange(len(order)) - order).max(initial=0))
    packets = _packets(pieces, groups, sets, identifier, cancel)
    with av.open(str(target), "w", "mp4") as out, closing(packets):
        with open_container(groups.path) as container:
            written: Any = out.add_stream_from_template(container.streams[groups.stream])
        written.codec_context.extradata = sets.to_bytes()
        written.time_base = 1 / fps
        for number, (shown, packet) in enumerate(zip(order.tolist(), packets, strict=True)):
            cancel.check("writing")
            packet.stream = written
            packet.time_base = 1 / fps
            packet.pts, packet.dts, packet.duration = shown, number - delay, 1
            out.mux(packet)
    groups.check_unchanged()


_Parts = dict[int, tuple[Replacement, PictureGroups]]


def _order(piece: Copied | Replacement, groups: PictureGroups, parts: _Parts) -> IntArray:
    """Number of the frame of the result in each packet of a piece."""
    if isinstance(piece, Replacement):
        return parts[piece.frames.start][1].order + piece.frames.start
    _, order = groups.packets_of(piece)
    return order[order >= piece.frames.start]


def _packets(
    pieces: Sequence[Copied | Replacement],
    groups: PictureGroups,
    sets: ParameterSets,
    identifier: int,
    cancel: CancelToken,
) -> Generator[Any, None, None]:
    """The packets of all pieces, in order; closing it closes the files."""
    before: Copied | Replacement | None = None
    with closing(_SourcePackets(groups, cancel)) as reader:
        for piece in pieces:
            if isinstance(piece, Replacement):
                with open_container(piece.path) as container:
                    for packet in video_packets(container):
                        yield _renumbered(packet, sets, identifier)
            else:
                joint = not _follows(before, piece)
                yield from reader.packets(piece, joint and groups.sets.codec == "hevc")
            before = piece


def _follows(before: Copied | Replacement | None, piece: Copied) -> bool:
    """Whether the packets before a copied piece are those before it in the source, too."""
    if before is None:
        return piece.source == 0
    return isinstance(before, Copied) and before.in_source.stop == piece.source


def _renumbered(packet: Any, sets: ParameterSets, identifier: int) -> Any:
    if sets.codec != "hevc":
        return packet
    return _with_data(packet, renumbered_packet(bytes(packet), sets.size_bytes, identifier))


def _with_data(packet: Any, data: bytes) -> Any:
    new = av.Packet(data)
    new.is_keyframe = packet.is_keyframe
    return new


class _SourcePackets:
    """The packets of the source, read once where the pieces are in its order."""

    def __init__(self, groups: PictureGroups, cancel: CancelToken) -> None:
        self._groups, self._cancel = groups, cancel
        self._at = 0
        self._stream = self._open()

    def packets(self, piece: Copied, joint: bool) -> Generator[Any, None, None]:
        """Those of a copied stretch, without leading pictures that refer to what is not there."""
        numbers, order = self._groups.packets_of(piece)
        if numbers.start < self._at:
            self.close()
            self._at, self._stream = 0, self._open()
        while self._at < numbers.start:
            self._next()
        for number, frame in zip(numbers, order.tolist(), strict=True):
            packet = self._next()
            if frame >= piece.frames.start:
                yield self._at_joint(packet) if joint and number == numbers.start else packet

    def _at_joint(self, packet: Any) -> Any:
        """The first packet of a stretch, as one that follows other pictures than in the source."""
        size, parts = self._groups.sets.size_bytes, []
        for unit in nal_units(bytes(packet), size):
            kind = _AT_A_JOINT.get(hevc_kind(unit), hevc_kind(unit))
            new = bytes([unit[0] & 0x81 | kind << 1]) + bytes(unit[1:])
            parts.append(len(new).to_bytes(size, "big") + new)
        return _with_data(packet, b"".join(parts))

    def _next(self) -> Any:
        self._cancel.check("writing")
        packet = next(self._stream, None)
        if packet is None:
            raise changed(self._groups.path)
        self._at += 1
        return packet

    def _open(self) -> Generator[Any, None, None]:
        self._groups.check_unchanged()
        with open_container(self._groups.path) as container:
            yield from video_packets(container, self._groups.stream)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
