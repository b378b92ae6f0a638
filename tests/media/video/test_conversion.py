"""Frames of transparent, HDR and partly interlaced video, and of very slow video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync.errors import OptionError
from lipsync.media import open_video
from lipsync.media.ffmpeg import has_part
from lipsync.options import MediaOptions
from lipsync.types import Frame
from tests.make_media import make_video, run_ffmpeg

HIDDEN = (254, 0, 254)
SHOWN = (40, 90, 160)
ALPHA_CODECS: dict[str, Sequence[object]] = {
    "prores.mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
    "animation.mov": ("-c:v", "qtrle", "-pix_fmt", "argb"),
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "yuva420p"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-cpu-used", "8", "-auto-alt-ref", "0"),
    "vp8.webm": ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    "animated.png": ("-c:v", "apng", "-f", "apng"),
}


def make_transparent(path: Path, encode: Sequence[object]) -> Path:
    """Three frames: the left half shows a colour, the right half hides another one."""
    frame = np.zeros((64, 96, 4), np.uint8)
    frame[:, :48] = (*SHOWN, 255)
    frame[:, 48:] = (*HIDDEN, 0)
    raw = ("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "96x64", "-framerate", 25, "-i", "pipe:")
    run_ffmpeg(*raw, *encode, f"file:{path}", data=frame.tobytes() * 3)
    return path


@pytest.mark.parametrize("name", ALPHA_CODECS)
def test_transparent_video_is_shown_on_white(tmp_path: Path, name: str) -> None:
    if name.startswith("vp") and not has_part("decoder", "libvpx-vp9"):
        pytest.skip("this ffmpeg has no decoder for VP9 with alpha")
    path = make_transparent(tmp_path / name, ALPHA_CODECS[name])
    clip = open_video(path)
    assert any("transparent" in warning and "'matte'" in warning for warning in clip.warnings)
    for frame in (next(clip.read([1])), next(clip.read_yuv([1])).to_rgb()):
        assert np.abs(frame[32, 80].astype(int) - 255).max() <= 3
        assert np.abs(frame[32, 16].astype(int) - SHOWN).max() <= 8
    on_green = open_video(path, MediaOptions(matte="#008000"))
    assert np.abs(next(on_green.read([1], max_side=48))[16, 40].astype(int) - (0, 128, 0)).max() <= 4


def test_half_transparent_pixels_are_mixed_with_the_matte(tmp_path: Path) -> None:
    data = np.full((64, 96, 4), (200, 0, 0, 128), np.uint8).tobytes()
    raw = ("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "96x64", "-framerate", 25, "-i", "pipe:")
    run_ffmpeg(*raw, "-c:v", "qtrle", "-pix_fmt", "argb", tmp_path / "a.mov", data=data)
    [frame] = open_video(tmp_path / "a.mov").read([0])
    assert np.abs(frame.astype(int) - (227, 127, 127)).max() <= 2


def test_photos_take_the_matte_too(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (*HIDDEN, 0)).save(tmp_path / "a.png")
    [frame] = open_video(tmp_path / "a.png", MediaOptions(matte="black")).read([0])
    assert frame.max() == 0


def test_an_unknown_matte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such colour"):
        open_video(make_video(tmp_path / "a.mp4", frames=2), MediaOptions(matte="polka dots"))


def test_opaque_video_is_not_called_transparent(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")], duration=100
    )
    assert open_video(tmp_path / "a.gif").warnings == ()


# --- HDR ---------------------------------------------------------------------------------------

COLORS = np.array([[128, 128, 128], [190, 130, 110], [70, 90, 130], [90, 120, 60]])


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_becomes_sdr_with_its_own_colours(tmp_path: Path, transfer: str) -> None:
    if not has_part("filter", "zscale"):
        pytest.skip("this ffmpeg has no zscale")
    patches = np.repeat(np.repeat(COLORS.astype(np.uint8)[None], 64, axis=0), 32, axis=1)
    to_hdr = (
        "format=gbrpf32le,zscale=tin=bt709:pin=bt709:min=gbr:rin=pc:"
        f"t={transfer}:p=bt2020:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    )
    path = make_video(tmp_path / "a.mkv", frames=[patches] * 2, filters=to_hdr, encode=("-c:v", "ffv1"))
    clip = open_video(path)
    assert "SDR" in " ".join(clip.warnings)
    assert (clip.info.color_primaries, clip.info.color_transfer) == ("bt709", "bt709")
    for frame in (next(clip.read([1])), next(clip.read_yuv([1])).to_rgb()):
        seen = np.array([frame[32, 32 * k + 16] for k in range(len(COLORS))]).astype(int)
        assert np.abs(seen - COLORS).max() <= 12


# --- interlaced and slow -----------------------------------------------------------------------


def combs(frame: Frame) -> float:
    grey = frame[..., 0].astype(int)
    return float(np.abs(2 * grey[1:-1] - grey[:-2] - grey[2:]).mean())


def test_a_film_that_becomes_interlaced_is_deinterlaced(tmp_path: Path) -> None:
    still = [np.full((120, 160, 3), 30, np.uint8)] * 20
    fields = [np.full((120, 160, 3), 30, np.uint8) for _ in range(40)]
    for k, field in enumerate(fields):
        field[:, 2 * k : 2 * k + 40] = 220
    mpeg = ("-c:v", "mpeg2video", "-q:v", 2, "-g", 6, "-bf", 0)
    make_video(tmp_path / "a.m2v", frames=still, encode=mpeg)
    interlaced = (*mpeg, "-flags", "+ilme+ildct")
    make_video(
        tmp_path / "b.m2v", frames=fields, fps=50, filters="tinterlace=interleave_top", encode=interlaced
    )
    (tmp_path / "c.m2v").write_bytes((tmp_path / "a.m2v").read_bytes() + (tmp_path / "b.m2v").read_bytes())
    clip = open_video(tmp_path / "c.m2v")
    assert clip.frame_count == 40 and not clip.info.interlaced
    plain = run_ffmpeg("-i", tmp_path / "c.m2v", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    combed = np.frombuffer(plain, np.uint8).reshape(-1, 120, 160, 3)
    frames = list(clip.read(range(40)))
    assert combs(combed[30]) > 3 and combs(frames[30]) < combs(combed[30]) / 3
    assert np.array_equal(frames[5], next(clip.read([5])))


def test_a_very_low_frame_rate_comes_with_advice(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=4, fps=2)
    assert any("fps=25" in warning for warning in open_video(path).warnings)
    assert open_video(path, MediaOptions(fps=25)).warnings == ()
    assert open_video(path, MediaOptions(static=True)).warnings == ()
    assert open_video(make_video(tmp_path / "b.mp4", frames=4, fps=12)).warnings == ()
