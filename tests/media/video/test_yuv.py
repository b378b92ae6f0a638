"""YUV frames: equal to ffmpeg's RGB, and unchanged values outside of the redrawn region."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync.media import FrameWriter, OutputSpec, VideoReader, YuvFrame, open_video
from lipsync.media.video.yuv import YuvColorSpace
from lipsync.options import MediaOptions
from lipsync.types import PixelBox
from tests.make_media import make_video, run_ffmpeg

BT601 = YuvColorSpace(0.299, 0.114)


def make_colors(path: Path, size: str = "160x120", tag: str = "bt709", color_range: str = "tv") -> Path:
    """Ten frames of many colours with soft edges, without loss."""
    picture = f"testsrc2=s={size}:r=25:d=0.4,hue=s=0.5,gblur=2,format=gbrp"
    matrix = {"bt709": "bt709", "smpte170m": "bt601"}[tag]
    scale = f"scale=out_color_matrix={matrix}:out_range={color_range}:flags=accurate_rnd+full_chroma_int"
    tags = f"setparams=range={color_range}:colorspace={tag}:color_primaries=bt709:color_trc=bt709"
    encode = ("-c:v", "ffv1", "-color_range", color_range)
    run_ffmpeg("-f", "lavfi", "-i", picture, "-vf", f"{scale},format=yuv420p,{tags}", *encode, f"file:{path}")
    return path


def same(one: YuvFrame, other: YuvFrame) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in "yuv")


def write_all(picture: VideoReader, path: Path) -> VideoReader:
    """The video read and written losslessly."""
    size, count = (picture.width, picture.height), picture.frame_count
    spec = OutputSpec(*size, picture.fps, count, audio=None, source=picture.info, quality=0)
    with FrameWriter(path, spec) as writer:
        for frame in picture.read_yuv(range(picture.frame_count)):
            writer.write(frame)
    return open_video(path)


@pytest.mark.parametrize("color_range", ["tv", "pc"])
@pytest.mark.parametrize("tag", ["bt709", "smpte170m"])
def test_as_rgb_it_is_what_ffmpeg_makes_of_it(tmp_path: Path, tag: str, color_range: str) -> None:
    picture = open_video(make_colors(tmp_path / "a.mkv", tag=tag, color_range=color_range))
    for exact, ours in zip(picture.read(range(10)), picture.read_yuv(range(10)), strict=True):
        difference = np.abs(exact.astype(int) - ours.to_rgb())
        assert difference.mean() < 0.8
        assert np.percentile(difference, 99) <= 6  # another kind of cubic, where colours meet


@pytest.mark.parametrize(
    "settings",
    [{}, {"rotate": 90}, {"rotate": 180}, {"resize_factor": 2}, {"crop": (10, 90, 20, 120)}],
    ids=str,
)
def test_rotated_and_cropped_it_is_the_same_frame(tmp_path: Path, settings: dict[str, object]) -> None:
    picture = open_video(make_colors(tmp_path / "a.mkv"), MediaOptions(**settings))  # type: ignore[arg-type]
    [exact], [ours] = picture.read([3]), picture.read_yuv([3])
    assert (ours.width, ours.height) == (picture.width, picture.height)
    assert np.abs(exact.astype(int) - ours.to_rgb()).mean() < 2


@pytest.mark.parametrize(
    ("size", "crop"), [("161x121", None), ("160x120", (11, 90, 21, 120)), ("160x120", (0, 61, 0, 77))]
)
def test_odd_sizes_and_places_are_as_exact(
    tmp_path: Path, size: str, crop: tuple[int, int, int, int] | None
) -> None:
    picture = open_video(make_colors(tmp_path / "a.mkv", size), MediaOptions(crop=crop))
    [exact], [ours] = picture.read([3]), picture.read_yuv([3])
    assert np.abs(exact.astype(int) - ours.to_rgb()).mean() < 2


@pytest.mark.parametrize("color_range", ["tv", "pc"])
def test_what_is_read_is_what_is_written(tmp_path: Path, color_range: str) -> None:
    source = open_video(make_colors(tmp_path / "a.mkv", color_range=color_range))
    result = write_all(source, tmp_path / "b.mp4")
    assert result.info.color_range == color_range
    numbers = range(source.frame_count)
    assert all(map(same, source.read_yuv(numbers), result.read_yuv(numbers)))


def test_ten_bits_and_four_four_four_become_the_nearest(tmp_path: Path) -> None:
    for name, pixels in (("a.mkv", "yuv420p10le"), ("b.mkv", "yuv444p")):
        run_ffmpeg("-i", make_colors(tmp_path / "8.mkv"), "-c:v", "ffv1", "-pix_fmt", pixels, tmp_path / name)
        [exact], [ours] = (
            open_video(tmp_path / "8.mkv").read_yuv([0]),
            open_video(tmp_path / name).read_yuv([0]),
        )
        assert np.abs(exact.y.astype(int) - ours.y).max() <= 1
        assert np.abs(exact.u.astype(int) - ours.u).mean() < 1


def test_a_photo_and_a_gif_become_yuv_and_stay_in_their_colours(tmp_path: Path) -> None:
    [colors] = open_video(make_colors(tmp_path / "a.mkv")).read([0])
    Image.fromarray(colors).save(tmp_path / "a.png")
    run_ffmpeg("-i", tmp_path / "a.png", tmp_path / "a.gif")
    for name in ("a.png", "a.gif"):
        picture = open_video(tmp_path / name)
        [exact], [ours] = picture.read([0]), picture.read_yuv([0])
        if name == "a.png":  # a GIF's colours differ from pixel to pixel, which 4:2:0 cannot hold
            assert np.abs(exact.astype(int) - ours.to_rgb()).mean() < 2
        assert abs(exact.mean(axis=(0, 1)) - ours.to_rgb().mean(axis=(0, 1))).max() < 0.5


def test_frames_of_a_photo_and_frames_shown_again_are_one(tmp_path: Path) -> None:
    [colors] = open_video(make_colors(tmp_path / "a.mkv")).read([0])
    Image.fromarray(colors).save(tmp_path / "a.png")
    first, second = open_video(tmp_path / "a.png").read_yuv([0, 0])
    assert first is second
    again = list(open_video(tmp_path / "a.mkv").read_yuv([4, 4, 2, 2]))
    assert same(again[0], again[1])
    assert same(again[2], again[3])
    assert not same(again[1], again[2])


@pytest.mark.parametrize("shape", [(60, 80), (61, 81), (1, 1), (2, 3)])
def test_flat_colours_survive(shape: tuple[int, int]) -> None:
    for color in ((255, 0, 0), (12, 200, 90), (128, 128, 128), (255, 255, 255), (0, 0, 0)):
        frame = np.full((*shape, 3), color, np.uint8)
        for colors in (BT601, YuvColorSpace(0.2126, 0.0722, full_range=True)):
            back = YuvFrame.from_rgb(frame, colors).to_rgb()
            assert back.shape == frame.shape
            assert np.abs(back.astype(int) - frame).max() <= 2


@pytest.fixture
def noise() -> YuvFrame:
    rng = np.random.default_rng(0)
    y, u, v = (rng.integers(40, 200, size, np.uint8) for size in ((61, 81), (31, 41), (31, 41)))
    return YuvFrame(y, u, v, BT601)


@pytest.mark.parametrize("box", [(0, 0, 81, 61), (3, 5, 40, 44), (4, 6, 5, 7), (70, 50, 81, 61)])
def test_a_part_equals_the_same_part_of_the_frame(noise: YuvFrame, box: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = box
    assert np.array_equal(noise.to_rgb(box), noise.to_rgb()[y1:y2, x1:x2])


@pytest.mark.parametrize("box", [(0, 0, 81, 61), (3, 5, 40, 44), (70, 50, 81, 61), (1, 1, 2, 2)])
def test_an_aligned_box_has_a_margin_up_to_the_edge_of_the_frame(
    noise: YuvFrame, box: tuple[int, int, int, int]
) -> None:
    x1, y1, x2, y2 = noise.aligned_box(box)
    assert x1 % 2 == y1 % 2 == 0
    assert x1 < box[0] or x1 == box[0] == 0
    assert y1 < box[1] or y1 == box[1] == 0
    assert x2 > box[2] or x2 == box[2] == noise.width
    assert y2 > box[3] or y2 == box[3] == noise.height


@pytest.mark.parametrize("place", [(7, 9, 20, 31), (62, 42, 75, 57), (0, 0, 13, 14)])
def test_only_what_was_drawn_gets_new_numbers(noise: YuvFrame, place: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = place
    box = noise.aligned_box(place)
    before = noise.to_rgb(box)
    after = before.copy()
    after[y1 - box[1] : y2 - box[1], x1 - box[0] : x2 - box[0]] = (10, 150, 60)
    drawn = noise.with_region(box, before, after)
    where = np.zeros(noise.y.shape, bool)
    where[y1:y2, x1:x2] = True
    assert np.array_equal(drawn.y != noise.y, where & (drawn.y != noise.y))
    halves = np.zeros(noise.u.shape, bool)
    halves[y1 // 2 : -(-y2 // 2), x1 // 2 : -(-x2 // 2)] = True
    for one, other in ((drawn.u, noise.u), (drawn.v, noise.v)):
        assert np.array_equal(one[~halves], other[~halves])
        assert (one[halves] != other[halves]).mean() > 0.95  # the same by chance in one of 160
    inner = drawn.to_rgb()[y1 + 5 : y2 - 5, x1 + 5 : x2 - 5]
    assert np.abs(inner.astype(int) - (10, 150, 60)).max() <= 2
    assert noise.with_region(box, before, before.copy()) is noise


def test_smaller_to_look_at(noise: YuvFrame) -> None:
    small = noise.resized(20, 15)
    assert small.to_rgb().shape == (15, 20, 3)
    assert abs(small.y.mean() - noise.y.mean()) < 1


def test_the_writer_takes_no_other_size_and_no_other_colours(tmp_path: Path, noise: YuvFrame) -> None:
    source = open_video(make_video(tmp_path / "a.mp4", size=(81, 61), encode=("-c:v", "ffv1"), frames=2)).info
    spec = OutputSpec(81, 61, Fraction(25), frames=1, audio=None, source=source)
    with (
        pytest.raises(ValueError, match="expected"),
        FrameWriter(tmp_path / "b.mp4", replace(spec, width=80)) as writer,
    ):
        writer.write(noise)
    other = YuvFrame(noise.y, noise.u, noise.v, YuvColorSpace(0.2126, 0.0722))
    with (
        pytest.raises(ValueError, match="colour space"),
        FrameWriter(tmp_path / "b.mp4", spec) as writer,
    ):
        writer.write(other)


@pytest.mark.parametrize("tint", [(0, 0, 0), (30, 10, -25)], ids=["grey", "sepia"])
def test_what_is_drawn_in_a_film_without_colour_has_none(tint: tuple[int, int, int]) -> None:
    """Generators draw pink lips; chroma of a toned film follows its brightness."""
    grey = np.random.default_rng(1).integers(60, 200, (48, 64, 1)).astype(np.float64)
    toned = (grey + np.array(tint) * grey / 200).clip(0, 255).round().astype(np.uint8)
    frame = YuvFrame.from_rgb(np.kron(toned, np.ones((2, 2, 1), np.uint8)), YuvColorSpace(0.299, 0.114))
    box = frame.aligned_box(PixelBox(20, 20, 90, 80))
    before = frame.to_rgb(box)
    after = before.copy()
    after[20:40, 20:50] = (200, 120, 130)
    drawn = frame.with_region(box, before, after).to_rgb(box)[22:38, 22:48].astype(int)
    luma = drawn @ (0.299, 0.587, 0.114)
    assert luma.mean() == pytest.approx(145, abs=4)  # as bright as drawn
    of_grey = np.array(tint) - tint @ np.array([0.299, 0.587, 0.114])
    expected = of_grey * luma.mean() / (200 + tint @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(drawn.mean(axis=(0, 1)) - luma.mean() - expected).max() < 3
    assert tint != (0, 0, 0) or np.ptp(drawn, axis=2).max() <= 1


def test_a_film_with_colours_keeps_drawn_ones() -> None:
    colours = np.random.default_rng(1).integers(90, 160, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frame = YuvFrame.from_rgb(colours, YuvColorSpace(0.299, 0.114))
    box = frame.aligned_box(PixelBox(20, 20, 90, 80))
    before = frame.to_rgb(box)
    after = before.copy()
    after[20:40, 20:50] = (200, 120, 130)
    drawn = frame.with_region(box, before, after).to_rgb(box)[26:34, 26:44].astype(int)
    assert np.abs(drawn - (200, 120, 130)).max() <= 3
