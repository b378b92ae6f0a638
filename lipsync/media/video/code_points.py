"""Colours of photos named by code points (ITU-T H.273) instead of a profile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

_P3, _BT2020 = 12, 9
_TO_SRGB = {
    _P3: ((1.22494, -0.22494, 0.0), (-0.04206, 1.04206, 0.0), (-0.01964, -0.07864, 1.09827)),
    _BT2020: ((1.66049, -0.58764, -0.07285), (-0.12455, 1.13290, -0.00835), (-0.01815, -0.10058, 1.11873)),
}
"""Matrices from linear light of other primaries to that of sRGB; all have the white point D65."""
_HDR_TRANSFERS = (16, 18)
_LEVELS = 4096  # of linear light in the table back to 8 bits
_BAND_ROWS = 256  # at a time, for memory
_MAX_META = 1 << 20


@dataclass(frozen=True)
class CodePoints:
    """Primaries and transfer characteristics of an image, as numbers of ITU-T H.273."""

    primaries: int
    transfer: int


def read_code_points(path: Path, image: Image.Image) -> CodePoints | None:
    """The code points of an AVIF, HEIC or PNG file that `image` was opened from; None without any."""
    known: dict[str, Any] | None = image.info.get("nclx_profile")
    if known:
        return CodePoints(int(known["color_primaries"]), int(known["transfer_characteristics"]))
    with path.open("rb") as file:
        if image.format == "AVIF":
            return _of_avif(file)
        return _of_png(file) if image.format == "PNG" else None


def to_srgb(image: Image.Image, points: CodePoints | None) -> Image.Image:
    """An RGB image in sRGB; unchanged where its primaries are those, unknown, or of HDR."""
    matrix = _TO_SRGB.get(points.primaries) if points else None
    if points is None or matrix is None or points.transfer in _HDR_TRANSFERS:
        return image
    pixels = np.array(image)
    linear, encoded = _linear_light(), _encoded_light()
    for start in range(0, len(pixels), _BAND_ROWS):
        band = linear[pixels[start : start + _BAND_ROWS]] @ np.array(matrix, np.float32).T
        levels = np.clip(band * (_LEVELS - 1) + 0.5, 0, _LEVELS - 1)
        pixels[start : start + _BAND_ROWS] = encoded[levels.astype(np.int32)]
    return Image.fromarray(pixels)


def _linear_light() -> npt.NDArray[np.float32]:
    """Linear light of the 256 values of sRGB (IEC 61966-2-1), whose curve Display P3 has too."""
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _encoded_light() -> npt.NDArray[np.uint8]:
    """The values of sRGB of `_LEVELS` steps of linear light."""
    light = np.arange(_LEVELS) / (_LEVELS - 1)
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(value * 255), np.uint8)


def _of_avif(file: BinaryIO) -> CodePoints | None:
    """The first colour box "nclx" among the properties of the items (ISO/IEC 14496-12)."""
    for kind, size in _boxes(file):
        if kind == b"meta":
            meta = file.read(min(size, _MAX_META))
            at = meta.find(b"colrnclx")
            if at < 0 or len(meta) < at + 12:
                return None
            return CodePoints(*struct.unpack(">HH", meta[at + 8 : at + 12]))
    return None


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and size of the content of each box of the file, which is then at its content."""
    at = 0
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if size < 8:  # a size of 64 bits, or up to the end of the file: no box before "meta" is as large
            return
        yield kind, size - 8
        at += size
        file.seek(at)


def _of_png(file: BinaryIO) -> CodePoints | None:
    """The chunk cICP, which is before the pixels (Portable Network Graphics, third edition, 11.3.2.6)."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"cICP":
            primaries, transfer, *_ = file.read(4).ljust(4, b"\0")
            return CodePoints(primaries, transfer)
        if kind == b"IDAT":
            return None
        file.seek(size + 4, 1)
    return None
