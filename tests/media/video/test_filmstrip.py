"""Filmstrips: which frames they show, by one pass and by key frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import Cancelled, NoVideoError
from lipsync.media import read_filmstrip
from lipsync.media.video import filmstrip
from lipsync.progress import CancelToken
from lipsync.types import Frame
from tests.make_media import make_sound, run_ffmpeg
from tests.material import FACE


@pytest.fixture(scope="module")
def red_then_blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of red, 2 s of blue, 128x72, a key frame every half second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    colors = [("-f", "lavfi", "-i", f"color={color}:s=128x72:r=25:d=2") for color in ("red", "blue")]
    join = ["-filter_complex", "[0][1]concat", "-g", "12", "-pix_fmt", "yuv420p"]
    run_ffmpeg(*colors[0], *colors[1], *join, path)
    return path


def colors(strip: filmstrip.Filmstrip) -> list[str]:
    tiles = np.split(strip.image, strip.count, axis=1)
    return ["red" if means[0] > means[2] else "blue" for means in (tile.mean(axis=(0, 1)) for tile in tiles)]


@pytest.mark.parametrize("one_pass", [10_000, 10])
def test_frames_are_at_even_distances(
    red_then_blue: Path, one_pass: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filmstrip, "_ONE_PASS_FRAMES", one_pass)
    strip = read_filmstrip(red_then_blue, count=8, height=36)
    assert strip.image.shape == (36, 8 * 64, 3)
    assert colors(strip) == ["red"] * 4 + ["blue"] * 4
    assert (strip.seconds, strip.fps) == (pytest.approx(4, abs=0.1), pytest.approx(25))


def test_it_is_upright_and_has_square_pixels(red_then_blue: Path, tmp_path: Path) -> None:
    turned, wide = tmp_path / "turned.mp4", tmp_path / "wide.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", red_then_blue, "-c", "copy", turned)
    run_ffmpeg("-i", red_then_blue, "-vf", "setsar=2", wide)
    assert read_filmstrip(turned, count=2, height=64).image.shape == (64, 2 * 36, 3)
    assert read_filmstrip(wide, count=2, height=36).image.shape == (36, 2 * 128, 3)


def test_the_side_that_is_up_stays_up(tmp_path: Path) -> None:
    path, turned = tmp_path / "half.mp4", tmp_path / "turned.mp4"
    half = "color=white:s=64x64:r=25:d=1,drawbox=h=32:t=fill:color=black"
    run_ffmpeg("-f", "lavfi", "-i", half, "-pix_fmt", "yuv420p", path)
    run_ffmpeg("-display_rotation", "90", "-i", path, "-c", "copy", turned)  # counterclockwise

    def left_is_dark(image: Frame) -> bool:
        return bool(image[:, :16].mean() < image[:, -16:].mean() - 100)

    assert left_is_dark(read_filmstrip(turned, count=1, height=64).image)


def test_short_videos_photos_and_what_has_no_picture(red_then_blue: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.mp4"
    run_ffmpeg("-i", red_then_blue, "-frames:v", "1", one)
    assert read_filmstrip(one).count == 1
    photo = read_filmstrip(FACE, height=40)
    assert (photo.count, photo.image.shape) == (1, (40, 40, 3))
    with pytest.raises(NoVideoError):
        read_filmstrip(make_sound(tmp_path / "tone.wav", 1))


def test_it_can_be_cancelled(red_then_blue: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        read_filmstrip(red_then_blue, cancel=cancel)


def test_every_frame_of_a_short_video_is_seen_and_none_of_a_long_one(
    red_then_blue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, float]] = []

    def watch(frame: Frame, seconds: float) -> None:
        seen.append((bool(frame[..., 0].mean() > frame[..., 2].mean()), seconds))

    read_filmstrip(red_then_blue, count=3, watch=watch)
    assert [seconds for _, seconds in seen] == pytest.approx(np.arange(100) / 25)
    assert [is_red for is_red, _ in seen] == [True] * 50 + [False] * 50
    seen.clear()
    monkeypatch.setattr(filmstrip, "_ONE_PASS_FRAMES", 10)
    monkeypatch.setattr(filmstrip, "scan_video", None)  # nor are the packets of a long one read
    read_filmstrip(red_then_blue, count=3, watch=watch)
    assert seen == []
