"""Photos in wide colour spaces that carry no ICC profile."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lipsync.media import open_video
from tests.make_media import run_ffmpeg

COLOR = (180, 110, 90)
SRGB, P3, BT2020, PQ = 1, 12, 9, 16
PRIMARIES = {
    SRGB: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    P3: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    BT2020: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
}
"""Chromaticities of red, green and blue (ITU-T H.273, table 2)."""
NAMES = {SRGB: "bt709", P3: "smpte432", BT2020: "bt2020"}


def to_xyz(primaries: int) -> np.ndarray:
    """Matrix from linear RGB with white D65 to CIE XYZ (3, 3)."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in PRIMARIES[primaries]]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def expected(primaries: int) -> np.ndarray:
    """`COLOR` of these primaries in sRGB."""
    value = np.array(COLOR) / 255
    light = np.linalg.solve(to_xyz(SRGB), to_xyz(primaries) @ ((value + 0.055) / 1.055) ** 2.4)
    return np.round(255 * (1.055 * np.clip(light, 0, 1) ** (1 / 2.4) - 0.055))


def write(path: Path, primaries: int, transfer: int = 13) -> Path:
    """A photo of one colour with code points."""
    image = Image.new("RGB", (64, 64), COLOR)
    if path.suffix == ".heic":
        nclx = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 1}
        pillow_heif.from_pillow(image).save(path, quality=95, **nclx)
    elif path.suffix == ".png":
        chunks = PngInfo()
        chunks.add(b"cICP", struct.pack("4B", primaries, transfer, 0, 1))
        image.save(path, pnginfo=chunks)
    else:
        image.save(path.with_suffix(".png"))
        marks = f"color_primaries={NAMES[primaries]}:color_trc=iec61966-2-1:colorspace=bt709"
        matrix = (
            "-vf",
            f"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setparams={marks}",
            "-crf",
            5,
        )
        run_ffmpeg("-i", path.with_suffix(".png"), *matrix, "-still-picture", 1, path)
    return path


@pytest.mark.parametrize("extension", ["heic", "avif", "png"])
@pytest.mark.parametrize("primaries", [SRGB, P3, BT2020])
def test_colours_are_those_of_the_primaries(tmp_path: Path, extension: str, primaries: int) -> None:
    [frame] = open_video(write(tmp_path / f"a.{extension}", primaries)).read([0])
    assert np.abs(frame[32, 32] - expected(primaries)).max() <= 3
    assert np.abs(expected(P3) - COLOR).max() > 8


def test_what_is_unknown_stays_as_it_is(tmp_path: Path) -> None:
    for primaries, transfer in ((P3, PQ), (2, 2)):
        [frame] = open_video(write(tmp_path / "a.png", primaries, transfer)).read([0])
        assert frame[32, 32].tolist() == list(COLOR)
