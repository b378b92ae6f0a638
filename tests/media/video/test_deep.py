"""10-bit and HDR frames: outside of what is drawn nothing changes, and what is drawn is in their range."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from lipsync.media import FrameWriter, OutputSpec, ResumableWriter, open_video
from lipsync.media.ffmpeg import has_part
from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.media.video.deep import DeepFrame, chroma_size
from lipsync.media.video.yuv import YuvColorSpace, YuvFrame
from lipsync.options import MediaOptions
from tests.make_media import make_video

FRAMES, WIDTH, HEIGHT = 3, 256, 128
FORMATS = ("yuv420p10le", "yuv422p10le", "yuv444p10le")
HDR = ("smpte2084", "arib-std-b67")
DEEP_CODECS = [name for name, row in VIDEO_CODECS.items() if row.deep and not row.is_sequence]
BOX = (slice(40, 72), slice(100, 140))


def picture(number: int) -> npt.NDArray[np.uint8]:
    """A smooth picture, whose values need more than 8 bits."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([60 + x // 3, 90 + y // 2 + number, 150 - x // 5], 2).astype(np.uint8)


def make_deep(path: Path, pixels: str, transfer: str = "") -> Path:
    filters = f"scale=in_range=pc:out_range=tv,format={pixels}"
    if transfer:
        if not has_part("filter", "zscale"):
            pytest.skip("this ffmpeg has no zscale")
        filters = (
            "format=gbrpf32le,zscale=tin=bt709:pin=bt709:min=gbr:rin=pc:"
            f"t={transfer}:p=bt2020:m=bt2020nc:r=tv:npl=203,format={pixels}"
        )
    frames = [picture(number) for number in range(FRAMES)]
    return make_video(path, frames=frames, filters=filters, encode=("-c:v", "ffv1"))


def drawn(frame: YuvFrame) -> YuvFrame:
    """The frame with a dark and a light patch, as if a mouth had been drawn."""
    before = frame.to_rgb()
    after = before.copy()
    after[BOX] = (40, 20, 25)
    after[50:60, 110:130] = (200, 180, 170)
    return frame.with_region(frame.aligned_box((0, 0, WIDTH, HEIGHT)), before, after)  # type: ignore[arg-type]


def planes_of(path: Path, pixels: str) -> list[list[npt.NDArray[np.uint16]]]:
    """The decoded samples of each frame, by PyAV."""
    with av.open(str(path)) as container:
        found = []
        for frame in container.decode(video=0):
            assert frame.format.name == pixels
            planes = []
            for plane in frame.planes:
                lines = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)
                planes.append(lines[:, : plane.width].copy())
            found.append(planes)
        return found


def write(source: Path, target: Path, codec: str, resumable: bool = False, quality: int = 4) -> None:
    reader = open_video(source, MediaOptions(codec=codec))
    assert reader.original is not None
    spec = OutputSpec(
        WIDTH, HEIGHT, Fraction(25), FRAMES, None, reader.original, quality=quality, codec=codec, deep=True
    )
    writer = ResumableWriter(target, spec, key="k", part_frames=2) if resumable else FrameWriter(target, spec)
    chroma = spec.deep_format.removeprefix("yuv")[:3]
    with writer:
        pairs = zip(reader.read_yuv(range(FRAMES)), reader.read_deep(range(FRAMES), chroma), strict=True)
        for frame, original in pairs:
            assert original.with_changes(frame, frame) is original
            writer.write(original.with_changes(frame, drawn(frame)))


@pytest.mark.parametrize("pixels", FORMATS)
@pytest.mark.parametrize("transfer", ["", *HDR])
@pytest.mark.parametrize("resumable", [False, True])
def test_a_lossless_codec_keeps_every_sample_that_is_not_drawn_on(
    tmp_path: Path, pixels: str, transfer: str, resumable: bool
) -> None:
    source, target = make_deep(tmp_path / "a.mkv", pixels, transfer), tmp_path / "b.mkv"
    write(source, target, "ffv1", resumable)
    for before, after in zip(planes_of(source, pixels), planes_of(target, pixels), strict=True):
        for old, new in zip(before, after, strict=True):
            down, across = HEIGHT // old.shape[0], WIDTH // old.shape[1]
            outside = np.ones(old.shape, bool)
            outside[32 // down : 80 // down, 92 // across : 148 // across] = False
            assert np.array_equal(old[outside], new[outside])
            assert not np.array_equal(old, new)
    info = open_video(target, MediaOptions(codec="ffv1")).original
    assert info is not None
    assert (info.bit_depth, info.color_transfer) == (10, transfer)
    if transfer:
        assert (info.color_primaries, info.color_space) == ("bt2020", "bt2020nc")


@pytest.mark.parametrize("codec", DEEP_CODECS)
@pytest.mark.parametrize("transfer", ["", "arib-std-b67"])
def test_every_deep_codec_keeps_ten_bits_and_tags(tmp_path: Path, codec: str, transfer: str) -> None:
    source = make_deep(tmp_path / "a.mkv", "yuv422p10le", transfer)
    target = tmp_path / f"b{VIDEO_CODECS[codec].suffixes[0]}"
    write(source, target, codec)
    pixels = VIDEO_CODECS[codec].deep_format("422")
    after = planes_of(target, pixels)[0][0].astype(int)
    before = planes_of(source, "yuv422p10le")[0][0].astype(int)
    assert np.abs(after - before)[:, :80].mean() < 4  # of 1023
    assert len(np.unique(after % 4)) == 4  # more than 8 bits
    info = open_video(target, MediaOptions(codec=codec)).original
    assert info is not None and (info.bit_depth, info.color_transfer) == (10, transfer)


@pytest.mark.parametrize("transfer", HDR)
def test_what_is_drawn_looks_in_hdr_as_in_standard_range(tmp_path: Path, transfer: str) -> None:
    source, target = make_deep(tmp_path / "a.mkv", "yuv420p10le", transfer), tmp_path / "b.mkv"
    write(source, target, "ffv1")
    wanted = drawn(next(open_video(source).read_yuv([0]))).to_rgb()
    shown = next(open_video(target).read([0]))  # converted to standard range, as a player's screen does
    for area in ((slice(44, 48), slice(104, 136)), (slice(52, 58), slice(113, 127))):
        assert np.abs(shown[area].astype(int) - wanted[area]).mean() < 6


@pytest.mark.parametrize("pixels", FORMATS)
def test_what_is_drawn_in_ten_bits_is_what_was_drawn_in_eight(tmp_path: Path, pixels: str) -> None:
    source, target = make_deep(tmp_path / "a.mkv", pixels), tmp_path / "b.mkv"
    write(source, target, "ffv1")
    wanted = drawn(next(open_video(source).read_yuv([0]))).to_rgb()
    shown = next(open_video(target).read_yuv([0])).to_rgb()
    assert np.abs(shown[BOX].astype(int) - wanted[BOX]).mean() < 1.5


def test_what_is_not_kept_is_said(tmp_path: Path) -> None:
    plain, hdr = make_deep(tmp_path / "a.mkv", FORMATS[0]), make_deep(tmp_path / "b.mkv", FORMATS[0], HDR[0])
    assert "has 10 bits, and the result 8" in open_video(plain).warnings[0]
    assert "converted to standard range" in open_video(hdr).warnings[0]
    for path in (plain, hdr):
        assert open_video(path, MediaOptions(codec="h265")).warnings == ()
    cropped = open_video(plain, MediaOptions(codec="h265", crop=(1, -1, 0, -1)))  # type: ignore[arg-type]
    assert cropped.original is None and "the result 8" in cropped.warnings[0]
    assert open_video(plain, MediaOptions(codec="h265", static=True)).original is None
    deeper = make_video(tmp_path / "c.mkv", frames=2, filters="format=yuv420p12le", encode=("-c:v", "ffv1"))
    assert "12 bits; the result keeps 10" in open_video(deeper, MediaOptions(codec="ffv1")).warnings[0]


@pytest.mark.parametrize("codec", DEEP_CODECS)
@pytest.mark.parametrize("size", [(260, 262), (1002, 130)])
def test_sizes_that_are_no_whole_blocks(tmp_path: Path, codec: str, size: tuple[int, int]) -> None:
    source = open_video(make_deep(tmp_path / "a.mkv", "yuv422p10le")).info
    spec = OutputSpec(*size, Fraction(25), 4, None, source, codec=codec, deep=True)
    columns, rows = chroma_size(*size, spec.deep_format.removeprefix("yuv")[:3])
    target = tmp_path / f"b{VIDEO_CODECS[codec].suffixes[0]}"
    with FrameWriter(target, spec) as writer:
        for number in range(4):
            y = np.full((size[1], size[0]), 300 + 60 * number, np.uint16)
            chroma = np.full((rows, columns), 512, np.uint16)
            writer.write(DeepFrame(y, chroma, chroma, YuvColorSpace(0.2126, 0.0722)))
    for number, planes in enumerate(planes_of(target, spec.deep_format)):
        assert planes[0].shape == (size[1], size[0])
        assert abs(float(planes[0].mean()) - 300 - 60 * number) < 4
