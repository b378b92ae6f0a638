"""The mouth layer: laid over the source it gives the result, and is transparent elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.media import FrameWriter, OutputSpec, YuvFrame, open_video
from lipsync.media.video.mouth_layer import LayerResult, alpha_levels, straight_layer
from lipsync.media.video.yuv import YuvColorSpace
from lipsync.options import MediaOptions
from lipsync.types import Mask, PixelBox
from tests.make_media import make_video, run_ffmpeg

FRAMES, WIDTH, HEIGHT = 2, 160, 120
Values = npt.NDArray[np.float64]
# The worst differences are at hard edges of colour, where programs interpolate chroma by different kernels.


def drawn(frame: YuvFrame, opacity: npt.NDArray[np.float32]) -> YuvFrame:
    """The frame with dark and light patches blended in with a mask, and a spot beside it."""
    before = frame.to_rgb()
    mouth = np.zeros_like(before)
    mouth[:, ::7] = (190, 70, 80)
    mixed = before + (mouth - before.astype(np.float32)) * opacity[..., None]
    after = np.rint(mixed).astype(np.uint8)
    after[10:20, 10:20] = (90, 150, 90)  # as an enhancer of the whole face would, outside of the mask
    return frame.with_region(PixelBox(0, 0, WIDTH, HEIGHT), before, after)


def soft_mask() -> npt.NDArray[np.float32]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    distance = np.hypot(x - 90, (y - 70) * 1.5)
    return np.asarray(np.clip((40 - distance) / 15, 0, 1), np.float32)


def write_both(
    folder: Path,
    source: Path,
    codec: str,
    *,
    layer_name: str,
    deep: bool = False,
    size: Sequence[int] = (WIDTH, HEIGHT),
) -> tuple[Path, Path]:
    """The result in FFV1, and its layer."""
    reader = open_video(source, MediaOptions(codec="ffv1"))
    info = (deep and reader.original) or reader.info
    common: dict[str, Any] = {
        "fps": Fraction(25),
        "frames": FRAMES,
        "audio": None,
        "source": info,
        "deep": deep,
    }
    plain = OutputSpec(*size, codec="ffv1", **common)
    layer = OutputSpec(*size, codec=codec, layer=True, **common)
    opacity, levels = soft_mask(), alpha_levels(layer.alpha_format)
    masks = [Mask(0, 0, opacity[: size[1], : size[0]])]
    originals: list[Any] = list(reader.read_deep(range(FRAMES), "420")) if deep else [None] * FRAMES
    with FrameWriter(folder / "plain.mkv", plain) as whole, FrameWriter(folder / layer_name, layer) as part:
        for number, (before, deeper) in enumerate(
            zip(reader.read_yuv(range(FRAMES)), originals, strict=True)
        ):
            after = drawn(before, opacity) if number == 0 else before
            before, after = before.cropped(*size), after.cropped(*size)
            whole.write(deeper.with_changes(before, after) if deep else after)
            result = LayerResult(after, before, deeper, masks if number == 0 else [])
            part.write(result.layer(after, levels))
    return folder / "plain.mkv", folder / layer_name


def laid_over(source: Path, layer: Path, deep: bool) -> Values:
    """The layer over the source by ffmpeg's overlay, in RGB of 8 or YUV of 10 bits."""
    given = ["-framerate", 25, "-i", layer / "frame_%06d.png"] if layer.is_dir() else ["-i", layer]
    below, above = ("yuv444p10le", "yuva444p10le") if deep else ("gbrp", "gbrap")
    laid = f"[x][y]overlay=format={below.removesuffix('le')}"
    graph = f"[0]{exact(below)}[x];[1]{exact(above)}[y];{laid}"
    return raw(["-i", source, *given, "-filter_complex", graph], deep)


def plain_frames(path: Path, deep: bool = False) -> Values:
    return raw(["-i", path, "-filter_complex", exact("yuv444p10le" if deep else "gbrp")], deep)


def exact(pixels: str) -> str:
    """ffmpeg's conversion to a pixel format, as the standards say."""
    matrix = "out_color_matrix=bt2020:" if pixels.startswith("yuv") else ""
    return f"scale={matrix}flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format={pixels}"


def raw(arguments: list[Any], deep: bool) -> Values:
    pixels = "yuv444p10le" if deep else "gbrp"
    data = run_ffmpeg(*arguments, "-frames:v", FRAMES, "-f", "rawvideo", "-pix_fmt", pixels, "-")
    kind = np.dtype("<u2") if deep else np.uint8
    return np.frombuffer(data, kind).reshape(FRAMES, 3, HEIGHT, WIDTH).astype(float)


def make_source(path: Path, pixels: str = "yuv420p", tags: str = "range=tv:colorspace=bt709") -> Path:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frame = np.stack([40 + x, 60 + y, 200 - x // 2 - y // 3], 2).astype(np.uint8)
    matrix = "bt709" if "bt709" in tags else "bt2020"
    limits = "pc" if "range=pc" in tags else "tv"
    scale = f"scale=out_color_matrix={matrix}:out_range={limits}:flags=accurate_rnd"
    encode = ("-c:v", "ffv1", "-color_range", limits)
    filters = f"{scale},format={pixels},setparams={tags}"
    return make_video(path, frames=[frame] * FRAMES, filters=filters, encode=encode)


@pytest.mark.parametrize("tags", ["range=tv:colorspace=bt709", "range=pc:colorspace=bt709"])
@pytest.mark.parametrize(("codec", "name", "worst"), [("png", "layer", 10), ("prores", "layer.mov", 14)])
def test_the_layer_over_the_source_is_the_result(
    tmp_path: Path, codec: str, name: str, worst: float, tags: str
) -> None:
    source = make_source(tmp_path / "source.mkv", tags=tags)
    plain, layer = write_both(tmp_path, source, codec, layer_name=name)
    result, before = plain_frames(plain), plain_frames(source)
    composed = laid_over(source, layer, deep=False)
    assert np.abs(before - result)[0].max() > 60
    assert np.abs(composed - result).max() <= worst and np.abs(composed - result).mean() < 0.15
    assert np.array_equal(composed[1], before[1])  # nothing drawn, nothing there


@pytest.mark.parametrize("hdr", ["", ":color_trc=smpte2084:color_primaries=bt2020"])
@pytest.mark.parametrize(("codec", "name", "worst"), [("png", "layer", 60), ("prores", "layer.mov", 60)])
def test_of_ten_bits_the_layer_has_as_many(
    tmp_path: Path, codec: str, name: str, worst: float, hdr: str
) -> None:
    source = make_source(tmp_path / "source.mkv", "yuv420p10le", f"range=tv:colorspace=bt2020nc{hdr}")
    plain, layer = write_both(tmp_path, source, codec, layer_name=name, deep=True)
    difference = np.abs(laid_over(source, layer, deep=True) - plain_frames(plain, deep=True))
    assert difference.max() <= worst and difference.mean() < 0.6  # of 1023


def test_odd_sizes_fit(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mkv")
    write_both(tmp_path, source, "png", layer_name="images", size=(159, 119))
    write_both(tmp_path, source, "prores", layer_name="layer.mov", size=(159, 119))
    assert open_video(tmp_path / "layer.mov").info.width == 160


def test_colour_and_alpha_give_the_result_for_any_values() -> None:
    random = np.random.default_rng(1)
    before, after = (random.integers(0, 256, (40, 50, 3)).astype(np.float32) / 255 for _ in range(2))
    after[20:] = before[20:]
    mask = random.random((40, 50)).astype(np.float32)
    mask[:, :10] = 0
    for levels in (255, 1023, 65535):
        rgb, alpha = straight_layer(before, after, mask, levels)
        composed = rgb * alpha[..., None] + before * (1 - alpha[..., None])
        assert np.abs(composed - after).max() < 1e-4
        assert np.allclose(alpha * levels, np.rint(alpha * levels), atol=0.01)
        assert (alpha >= mask - 1e-6).all() and not alpha[20:, :10].any()
    untouched = straight_layer(before, before, np.zeros_like(mask), 255)[1]
    assert not untouched.any()


def test_black_is_black_where_nothing_is_drawn() -> None:
    plane = np.full((32, 32), 90, np.uint8)
    frame = YuvFrame(plane, plane[::2, ::2], plane[::2, ::2], YuvColorSpace(0.2126, 0.0722))
    layer = LayerResult(frame, frame, None, []).layer(frame, 1023)
    assert [int(one.max()) for one in layer.planes("yuva444p10le")] == [64, 512, 512, 0]
    assert not layer.planes("rgba")[0].any()
