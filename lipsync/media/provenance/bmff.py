"""Room in a finished MP4 or MOV file for a C2PA manifest, and its BMFF hash.

C2PA Technical Specification 2.2, "BMFF-based hash" (version 3) and "Embedding manifests into BMFF-based
assets"; boxes and their offsets: ISO/IEC 14496-12. c2pa-python can do the same, but holds the file in memory
twice meanwhile and takes three times as long.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

LABEL = "c2pa.hash.bmff.v3"
EMPTY = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)
"""A file of this kind that holds nothing."""
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_NOT_HASHED = (b"ftyp", b"mfra", b"free", b"skip")
_KNOWN = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid"}
_PARENTS = {b"trak", b"mdia", b"minf", b"stbl"}
_OFFSETS = {b"stco": "I", b"co64": "Q"}
_OTHER_OFFSETS = (b"saio", b"iloc", b"mvex")
_BLOCK_BYTES, _LARGEST_MOOV = 1 << 20, 1 << 28


class UnknownLayoutError(Exception):
    """A file of other boxes than those that this program writes."""


class _Box(NamedTuple):
    at: int
    size: int
    kind: bytes


def binding(digest: bytes) -> dict[str, Any]:
    """The assertion that binds a manifest to a file by its BMFF hash."""
    exclusions: list[dict[str, Any]] = [
        {"xpath": "/uuid", "data": [{"offset": 8, "value": list(_C2PA_UUID)}]},
        *({"xpath": f"/{kind.decode()}"} for kind in _NOT_HASHED),
    ]
    data = {"exclusions": exclusions, "alg": "sha256", "hash": list(digest), "name": "jumbf manifest"}
    return {"label": LABEL, "data": data}


def copy_with_room(source: Path, written: BinaryIO, room: int) -> tuple[int, bytes]:
    """Copy a file, with unwritten bytes after its first box for that of the manifest.

    Offsets of samples are moved along.

    Args:
        written: an empty file.
        room: size of the manifest's box, in bytes.

    Returns:
        Where the box belongs, and the BMFF hash of the copy with it.

    Raises:
        UnknownLayoutError: the file cannot be moved safely; nothing was written yet.
        OSError: one of the files cannot be read or written.
    """
    with source.open("rb", buffering=0) as read:
        boxes = list(_top_boxes(read, source.stat().st_size))
        place, moov = _checked(read, boxes, room)
        digest = hashlib.sha256()
        for box in boxes:
            start = box.at + (room if box.at else 0)
            hashed = hashlib.sha256() if box.kind in _NOT_HASHED else digest
            hashed.update(struct.pack(">Q", start))
            written.seek(start)
            if box.kind == b"moov":
                hashed.update(moov)
                written.write(moov)
            else:
                _copy(read, box, written, hashed)
    return place, digest.digest()


def _copy(read: BinaryIO, box: _Box, written: BinaryIO, hashed: Any) -> None:
    read.seek(box.at)
    left, buffer = box.size, memoryview(bytearray(min(box.size, _BLOCK_BYTES)))
    while left:
        count = read.readinto(buffer[: min(left, len(buffer))])  # type: ignore[attr-defined]
        if not count:
            raise OSError("The file ended while it was copied")
        hashed.update(buffer[:count])
        written.write(buffer[:count])
        left -= count


def _top_boxes(read: BinaryIO, file_size: int) -> Iterator[_Box]:
    at = 0
    while at < file_size:
        read.seek(at)
        header = read.read(24)
        if len(header) < 8:
            raise UnknownLayoutError("cut short")
        size, kind = struct.unpack(">I4s", header[:8])
        if size == 1 and len(header) >= 16:
            [size] = struct.unpack(">Q", header[8:16])
        if kind not in _KNOWN or not 8 <= size <= file_size - at or header[8:24] == _C2PA_UUID:
            raise UnknownLayoutError(str(kind))
        yield _Box(at, size, kind)
        at += size


def _checked(read: BinaryIO, boxes: list[_Box], room: int) -> tuple[int, bytearray]:
    """The end of the first box, and the index with moved offsets."""
    indices = [box for box in boxes if box.kind == b"moov"]
    if not boxes or boxes[0].kind != b"ftyp" or len(indices) != 1 or indices[0].size > _LARGEST_MOOV:
        raise UnknownLayoutError("ftyp or moov")
    read.seek(indices[0].at)
    moov = bytearray(read.read(indices[0].size))
    if any(kind in moov for kind in _OTHER_OFFSETS):
        raise UnknownLayoutError("offsets of another kind")
    try:
        _move_offsets(moov, 8, len(moov), room)
    except struct.error as error:  # a box is cut short, or an offset does not fit into 32 bits
        raise UnknownLayoutError(str(error)) from error
    return boxes[0].size, moov


def _move_offsets(moov: bytearray, at: int, end: int, by: int) -> None:
    """Add to the offsets of all samples between two places of an index."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", moov, at)
        if not 8 <= size <= end - at:
            raise UnknownLayoutError(str(kind))
        if kind in _PARENTS:
            _move_offsets(moov, at + 8, at + size, by)
        elif kind in _OFFSETS:
            [count] = struct.unpack_from(">I", moov, at + 12)
            form = f">{count}{_OFFSETS[kind]}"
            if struct.calcsize(form) > size - 16:
                raise UnknownLayoutError(str(kind))
            struct.pack_into(
                form, moov, at + 16, *(one + by for one in struct.unpack_from(form, moov, at + 16))
            )
        at += size
