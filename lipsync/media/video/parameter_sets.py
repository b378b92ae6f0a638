"""Parameter sets of H.264 and H.265 tracks, as headers of files keep them.

ISO/IEC 14496-15: AVCDecoderConfigurationRecord (avcC) and HEVCDecoderConfigurationRecord (hvcC). Syntax of
the sets themselves: ITU-T H.264 and H.265, section 7.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from lipsync.errors import MediaError

HINT = "Make the whole of it anew."
_AVC_SEQUENCE, _AVC_PICTURE = 7, 8
_VIDEO, _SEQUENCE, _PICTURE = 32, 33, 34
"""NAL unit types of H.265's parameter sets."""
_AVC_HEAD, _HEVC_HEAD = 5, 22
"""Bytes of the records before the sets."""


class NotCopyableError(MediaError):
    """A video whose groups of pictures cannot be copied and replaced."""


@dataclass(frozen=True)
class ParameterSets:
    """The parameter sets in the header of an H.264 or H.265 track.

    Attributes:
        head: what stands before the sets: profile, level, length of a NAL unit's size.
        units: (NAL unit type, bytes) of the sets.
        tail: what follows.
        codec: "h264" or "hevc".
    """

    head: bytes
    units: tuple[tuple[int, bytes], ...]
    tail: bytes
    codec: str = "h264"

    @classmethod
    def parse(cls, data: bytes, codec: str = "h264") -> ParameterSets:
        """The sets of a decoder configuration record.

        Raises:
            NotCopyableError: it is none, as in AVI files and transport streams.
        """
        try:
            if data[0] != 1:
                raise IndexError
            return cls._parse_hevc(data) if codec == "hevc" else cls._parse_avc(data)
        except IndexError as error:
            raise NotCopyableError("The video keeps its parameter sets in the stream", hint=HINT) from error

    @classmethod
    def _parse_avc(cls, data: bytes) -> ParameterSets:
        sequence, at = _read_units(data, 6, data[5] & 31)
        picture, at = _read_units(data, at + 1, data[at])
        units = [(_AVC_SEQUENCE, one) for one in sequence] + [(_AVC_PICTURE, one) for one in picture]
        return cls(data[:_AVC_HEAD], tuple(units), data[at:])

    @classmethod
    def _parse_hevc(cls, data: bytes) -> ParameterSets:
        units: list[tuple[int, bytes]] = []
        at = _HEVC_HEAD + 1
        for _ in range(data[_HEVC_HEAD]):
            kind, count = data[at] & 63, 256 * data[at + 1] + data[at + 2]
            found, at = _read_units(data, at + 3, count)
            units += [(kind, one) for one in found]
        return cls(data[:_HEVC_HEAD], tuple(units), data[at:], "hevc")

    def to_bytes(self) -> bytes:
        """The record as `parse` reads it."""
        arrays = [
            (kind, [one for _, one in group]) for kind, group in groupby(self.units, lambda one: one[0])
        ]
        if self.codec == "hevc":
            parts = [bytes([len(arrays)])]
            parts += [
                bytes([0x80 | kind]) + len(own).to_bytes(2, "big") + _joined(own) for kind, own in arrays
            ]
        else:
            own = dict(arrays)
            sequence, picture = own.get(_AVC_SEQUENCE, []), own.get(_AVC_PICTURE, [])
            parts = [
                bytes([0xE0 | len(sequence)]),
                _joined(sequence),
                bytes([len(picture)]),
                _joined(picture),
            ]
        return b"".join([self.head, *parts, self.tail])

    @property
    def size_bytes(self) -> int:
        """Bytes of the size that stands before each NAL unit of a packet."""
        return (self.head[-1] & 3) + 1

    @property
    def identifiers(self) -> tuple[int, ...]:
        """Identifiers of the sequence parameter sets."""
        kind = _SEQUENCE if self.codec == "hevc" else _AVC_SEQUENCE
        return tuple(self._identifier(*one) for one in self.units if one[0] == kind)

    def with_units(self, units: Iterable[tuple[int, bytes]]) -> ParameterSets | None:
        """These sets and more of them; None where two different ones have one identifier."""
        known = dict.fromkeys([*self.units, *(one for one in units if one[0] in self.kinds)])
        keys = {(kind, self._identifier(kind, unit)) for kind, unit in known if kind in self.kinds}
        if len(keys) != sum(kind in self.kinds for kind, _ in known):
            return None
        return replace(self, units=tuple(sorted(known, key=lambda one: one[0])))

    def joined(self, other: ParameterSets) -> ParameterSets | None:
        """These sets and those of another track; None where two different ones have one identifier."""
        if (self.codec, self.size_bytes) != (other.codec, other.size_bytes):
            return None
        own = replace(self, head=_covering(self, other), tail=max(self, other, key=_profile).tail)
        return own.with_units(other.units)

    @property
    def kinds(self) -> tuple[int, ...]:
        """NAL unit types of the sets."""
        return (_VIDEO, _SEQUENCE, _PICTURE) if self.codec == "hevc" else (_AVC_SEQUENCE, _AVC_PICTURE)

    def _identifier(self, kind: int, unit: bytes) -> int:
        if self.codec == "h264":
            return golomb(bits_of(unit[4:] if kind == _AVC_SEQUENCE else unit[1:]))
        payload = unescaped(unit[2:])
        if kind == _VIDEO:
            return payload[0] >> 4
        return golomb(bits_of(payload)[_sequence_offset(payload) if kind == _SEQUENCE else 0 :])


def _profile(sets: ParameterSets) -> int:
    return sets.head[1] & 31 if sets.codec == "hevc" else sets.head[1]


def _covering(one: ParameterSets, other: ParameterSets) -> bytes:
    """The head of a record whose profile and level cover the sets of both.

    Higher profiles have higher numbers where the pixels are alike. Flags that promise less than the profile
    are set where all sets have them (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).
    """
    head, own = bytearray(one.head), other.head
    if one.codec == "h264":
        head[1:4] = max(head[1], own[1]), head[2] & own[2], max(head[3], own[3])
        return bytes(head)
    profile = max(_profile(one), _profile(other))
    head[1] = head[1] & 0xC0 | (head[1] | own[1]) & 0x20 | profile  # with the higher tier
    head[2:12] = bytes(a & b for a, b in zip(head[2:12], own[2:12], strict=True))
    head[2 + profile // 8] |= 0x80 >> profile % 8  # a profile is compatible with itself
    head[12] = max(head[12], own[12])
    return bytes(head)


def renumbered(sets: ParameterSets, number: int) -> ParameterSets:
    """The sets of an H.265 encoder with other identifiers; all of theirs are 0 before.

    Args:
        number: of `numbers()`.
    """
    return replace(sets, units=tuple((kind, _renumbered_set(kind, one, number)) for kind, one in sets.units))


def numbers() -> list[int]:
    """Identifiers of sets that `renumbered` and `renumbered_packet` can give."""
    return [number for number in range(15) if (number + 1) % 4]


def _renumbered_set(kind: int, unit: bytes, number: int) -> bytes:
    if kind not in (_VIDEO, _SEQUENCE, _PICTURE):
        return unit
    payload = unescaped(unit[2:])
    bits = bits_of(payload)
    video = f"{number:04b}"
    if kind == _VIDEO:
        bits = video + bits[4:]
    elif kind == _SEQUENCE:
        at = _sequence_offset(payload)
        bits = video + bits[4:at] + golomb_bits(number) + bits[at + 1 :]
    else:  # a picture's set names that of its sequence next
        bits = golomb_bits(_PICTURE_BASE + number) + golomb_bits(number) + bits[2:]
    bits = bits[: bits.rindex("1")] + "1"  # ends with a 1, and zeros up to a whole byte
    bits += "0" * (-len(bits) % 8)
    return unit[:2] + escaped(int(bits, 2).to_bytes(len(bits) // 8, "big"))


_PICTURE_BASE = 16
"""Identifiers of 15 to 30 have codes of 9 bits: in place of the code of 0, a single bit, they move the rest
of a slice header by a whole byte. So neither its own end nor the data after it need to be known."""
_FIRST_IRAP, _LAST_IRAP, _LAST_SLICE = 16, 23, 31


def renumbered_packet(data: bytes, size_bytes: int, number: int) -> bytes:
    """A packet of an H.265 encoder whose slices name the picture parameter set of `renumbered`."""
    parts = []
    for unit in map(bytes, nal_units(data, size_bytes)):
        kind = (unit[0] >> 1) & 63
        if kind in (_VIDEO, _SEQUENCE, _PICTURE):
            continue
        new = _renumbered_slice(unit, kind, number) if kind <= _LAST_SLICE else unit
        parts.append(len(new).to_bytes(size_bytes, "big") + new)
    return b"".join(parts)


def _renumbered_slice(unit: bytes, kind: int, number: int) -> bytes:
    """A slice that names another picture parameter set.

    Before the identifier stand first_slice_segment_in_pic_flag and, in IRAP pictures,
    no_output_of_prior_pics_flag. Neither of the two new bytes is zero (`numbers`), so nothing has to be
    escaped anew.
    """
    flags = 2 if _FIRST_IRAP <= kind <= _LAST_IRAP else 1
    bits = f"{unit[2]:08b}"
    assert bits[flags] == "1"  # the code of 0
    bits = bits[:flags] + golomb_bits(_PICTURE_BASE + number) + bits[flags + 1 :]
    return unit[:2] + int(bits, 2).to_bytes(2, "big") + unit[3:]


def nal_units(data: bytes, size_bytes: int) -> Iterator[memoryview]:
    """The NAL units of a packet, without the sizes that stand before them."""
    view, at = memoryview(data), 0
    while at + size_bytes < len(data):
        size = int.from_bytes(view[at : at + size_bytes], "big")
        yield view[at + size_bytes : at + size_bytes + size]
        at += size_bytes + size


def _sequence_offset(payload: bytes) -> int:
    """Bits of an H.265 sequence parameter set before its identifier."""
    layers = (payload[0] >> 1) & 7
    bits = 8 + 96
    if not layers:
        return bits
    flags = int.from_bytes(payload[13:15], "big")
    present = [(flags >> (15 - 2 * layer)) & 3 for layer in range(layers)]
    return bits + 16 + sum(88 * (one >> 1) + 8 * (one & 1) for one in present)


def _read_units(data: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    """NAL units with sizes of two bytes before them, and where they end."""
    units = []
    for _ in range(count):
        size = 256 * data[at] + data[at + 1]
        units.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    if at > len(data):
        raise IndexError
    return tuple(units), at


def _joined(units: list[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def bits_of(data: bytes) -> str:
    """Bytes as text of zeros and ones."""
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"


def golomb(bits: str) -> int:
    """The unsigned Exp-Golomb code that some bits begin with."""
    zeros = bits.index("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1


def golomb_bits(number: int) -> str:
    """The unsigned Exp-Golomb code of a number."""
    code = f"{number + 1:b}"
    return "0" * (len(code) - 1) + code


def unescaped(data: bytes) -> bytes:
    """A payload without the bytes that keep it from looking like a start code."""
    return data.replace(b"\0\0\3", b"\0\0")


def escaped(data: bytes) -> bytes:
    """A payload with the bytes that keep it from looking like a start code."""
    found, zeros = bytearray(), 0
    for byte in data:
        if zeros >= 2 and byte <= 3:
            found.append(3)
            zeros = 0
        found.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(found)
