"""IPTC digital source type as XMP metadata of videos and images.

XMP Specification Part 3 (ISO 16684-3): in MP4 a top-level `uuid` box, in PNG an `iTXt` chunk. The box goes
to the end of the file, where it moves no other, so that nothing is copied; so does the chunk of the PNGs of
a sequence. Pillow writes that of other images.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a recording that generative AI has changed in part."""
MATROSKA_TAG = "DIGITALSOURCETYPE"
"""Tag of a Matroska file that says the same; it has no place for XMP."""
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
XMP_PACKET = f"""<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <Iptc4xmpExt:DigitalSourceType>{DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>""".encode()
_FOUND = re.compile(rb"DigitalSourceType[^>\"']*[>=][\"']?\s*(http[\w:/.\-]+)")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_KEYWORD, _PNG_END = b"XML:com.adobe.xmp", bytes.fromhex("0000000049454e44ae426082")
_LARGEST_XMP = 1 << 20


def append_xmp(path: Path) -> None:
    """Append the digital source type as XMP to a finished MP4 or MOV file.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 24 + len(XMP_PACKET), b"uuid") + _XMP_UUID + XMP_PACKET)


def append_png_xmp(path: Path) -> None:
    """Append the digital source type as XMP to a finished PNG.

    Raises:
        OSError: the file cannot be written.
    """
    body = b"iTXt" + _PNG_KEYWORD + bytes(5) + XMP_PACKET
    with path.open("r+b") as file:
        file.seek(-len(_PNG_END), 2)
        file.write(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + _PNG_END)


def read_source_type(path: Path) -> str:
    """The digital source type in a file's XMP, an address; "" without one.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(16)
        size = path.stat().st_size
        if start.startswith(_PNG_START):
            found = _png_xmp(file)
        elif start.startswith((b"\xff\xd8\xff", b"RIFF")):  # JPEG has it at the start, WebP at the end
            file.seek(0 if start.startswith(b"\xff") else max(0, size - _LARGEST_XMP))
            found = file.read(_LARGEST_XMP)
        else:
            found = _box_xmp(file, size)
    match = _FOUND.search(found)
    return match[1].decode("ascii", "replace") if match else ""


def _box_xmp(file: BinaryIO, size: int) -> bytes:
    """The XMP of an ISO media file; b"" where there is none."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(32)
        length, kind = struct.unpack(">I4s", header[:8])
        skipped = 8
        if length == 1 and len(header) >= 16:
            length, skipped = struct.unpack(">Q", header[8:16])[0], 16
        if not kind.isalnum() or (length and length < skipped):
            return b""
        if kind == b"uuid" and header[skipped : skipped + 16] == _XMP_UUID:
            file.seek(at + skipped + 16)
            return file.read(min(_LARGEST_XMP, max(0, (length or size - at) - skipped - 16)))
        if not length:  # to the end of the file
            return b""
        at += length
    return b""


def _png_xmp(file: BinaryIO) -> bytes:
    """The XMP of a PNG; b"" where there is none."""
    file.seek(len(_PNG_START))
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind != b"iTXt" or length > _LARGEST_XMP:
            file.seek(length + 4, 1)
            continue
        body = file.read(length + 4)
        if body.startswith(_PNG_KEYWORD):
            return body
    return b""
