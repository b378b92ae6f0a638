"""Photos and animations: formats of phones, colour profiles, raw photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from lipsync.errors import MediaError, NoAudioError
from lipsync.media import open_audio, open_video
from tests.make_media import number_frame, read_number, run_ffmpeg

COLOR = (200, 100, 50)


def make_photo(path: Path, size: tuple[int, int] = (64, 48), **settings: object) -> Path:
    """A photo of one colour with a blue upper left corner; HEIC as phones store it, turned by a property."""
    image = Image.new("RGB", size, COLOR)
    image.paste("blue", (0, 0, 16, 16))
    if path.suffix == ".heic":
        pillow_heif.from_pillow(image).save(path, quality=95, **settings)
    else:
        image.save(path, **settings)
    return path


@pytest.mark.parametrize("extension", ["heic", "avif"])
def test_photos_of_phones_are_photos(tmp_path: Path, extension: str) -> None:
    path = make_photo(tmp_path / f"a.{extension}").rename(tmp_path / "misnamed.mp4")
    clip = open_video(path)
    assert (clip.width, clip.height, clip.fps, clip.frame_count, clip.is_still) == (64, 48, 25, 1, True)
    (frame,) = clip.read([0])
    assert np.abs(frame[40, 40].astype(int) - COLOR).max() <= 6
    with pytest.raises(NoAudioError, match="image"):
        open_audio(path)


@pytest.mark.parametrize("extension", ["heic", "avif"])
def test_photos_of_phones_are_upright(tmp_path: Path, extension: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right
    clip = open_video(make_photo(tmp_path / f"a.{extension}", exif=exif.tobytes()))
    assert (clip.width, clip.height) == (48, 64)
    (frame,) = clip.read([0])
    assert frame[4, -4, 2] > 200 and frame[4, 4, 2] < 100


def test_a_damaged_photo_of_a_phone_is_refused(tmp_path: Path) -> None:
    path = make_photo(tmp_path / "a.heic", size=(512, 512))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MediaError, match="cut off"):
        open_video(path)


@pytest.mark.parametrize("extension", ["gif", "png", "avif"])
@pytest.mark.parametrize("milliseconds", [100, 40])
def test_an_animation_of_three_frames_is_a_video(tmp_path: Path, extension: str, milliseconds: int) -> None:
    images = [Image.fromarray(number_frame(number, 160, 120)) for number in range(3)]
    path = tmp_path / f"a.{extension}"
    images[0].save(path, save_all=True, append_images=images[1:], duration=milliseconds)
    clip = open_video(path)
    assert (clip.fps, clip.frame_count, clip.is_still) == (1000 / milliseconds, 3, False)
    assert [read_number(frame) for frame in clip.read([0, 1, 2, 1])] == [0, 1, 2, 1]


@pytest.mark.parametrize("extension", ["gif", "png", "avif"])
def test_images_shown_for_different_times_are_all_shown(tmp_path: Path, extension: str) -> None:
    images = [Image.fromarray(number_frame(number, 160, 120)) for number in range(3)]
    path = tmp_path / f"a.{extension}"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[1000, 40, 100])
    clip = open_video(path)
    assert clip.fps == 25
    shown = [read_number(frame) for frame in clip.read(range(clip.frame_count))]
    assert shown[:27] == [0] * 25 + [1, 2]


def test_an_animation_that_cannot_be_played_says_so(tmp_path: Path) -> None:
    images = [Image.fromarray(number_frame(number, 160, 120)) for number in range(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=100)
    clip = open_video(tmp_path / "a.webp")
    assert not clip.is_still or "cannot be played" in " ".join(clip.warnings)


# --- colours -----------------------------------------------------------------------------------


def swapped_profile() -> bytes:
    """sRGB with its red and blue exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ").replace(b"tmp_", b"bXYZ")


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tiff", "heic", "avif"])
def test_the_colour_profile_of_a_photo_is_honoured(tmp_path: Path, extension: str) -> None:
    path = make_photo(tmp_path / f"a.{extension}")
    with Image.open(path) as image:
        image.load()
    if extension == "heic":
        pillow_heif.from_pillow(image).save(path, quality=95, icc_profile=swapped_profile())
    else:
        image.save(path, icc_profile=swapped_profile())
    (frame,) = open_video(path).read([0])
    assert np.abs(frame[40, 40].astype(int) - COLOR[::-1]).max() <= 8


@pytest.mark.parametrize("mode", ["P", "L", "RGBA", "LA"])
def test_profiles_of_other_colour_modes(tmp_path: Path, mode: str) -> None:
    """A palette has the profile of its colours; a greyscale photo may carry an RGB profile."""
    image = Image.new("RGBA", (8, 8), (*COLOR, 255))
    image.putpixel((7, 7), (0, 0, 0, 0))
    image.convert("RGB").convert(mode).save(tmp_path / "a.png", icc_profile=swapped_profile())
    if mode in ("RGBA", "LA"):
        image.convert(mode).save(tmp_path / "a.png", icc_profile=swapped_profile())
    (frame,) = open_video(tmp_path / "a.png").read([0])
    grey = Image.new("RGB", (1, 1), COLOR).convert("L").getpixel((0, 0))
    expected = (grey, grey, grey) if mode.startswith("L") else COLOR[::-1]
    assert np.abs(frame[0, 0].astype(int) - expected).max() <= 4  # the palette's
    if mode in ("RGBA", "LA"):
        assert frame[7, 7].tolist() == [255, 255, 255]


def test_a_damaged_profile_leaves_the_colours(tmp_path: Path) -> None:
    make_photo(tmp_path / "a.png", icc_profile=b"no profile")
    (frame,) = open_video(tmp_path / "a.png").read([0])
    assert frame[40, 40].tolist() == list(COLOR)


# --- what is no photo --------------------------------------------------------------------------


def test_a_raw_photo_is_refused_rather_than_its_thumbnail(tmp_path: Path) -> None:
    make_photo(tmp_path / "a.tiff", tiffinfo={50706: b"\1\4\0\0"}).rename(tmp_path / "a.dng")
    with pytest.raises(MediaError, match=r"raw.*JPEG"):
        open_video(tmp_path / "a.dng")


def test_a_document_is_no_photo(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), COLOR).save(tmp_path / "a.pdf")
    (tmp_path / "a.pdf").rename(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="document"):
        open_video(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="document"):
        open_audio(tmp_path / "a.mp4")


def test_an_image_inside_of_another_file_is_no_photo(tmp_path: Path) -> None:
    make_photo(tmp_path / "a.jpg")
    (tmp_path / "a.bin").write_bytes(b"Some letter\n" * 10 + (tmp_path / "a.jpg").read_bytes())
    with pytest.raises(MediaError, match="not a video"):
        open_video(tmp_path / "a.bin")


@pytest.mark.parametrize("extension", ["jp2", "j2k", "ppm", "qoi"])
def test_further_formats_are_photos(tmp_path: Path, extension: str) -> None:
    make_photo(tmp_path / "a.png")
    run_ffmpeg("-i", tmp_path / "a.png", tmp_path / f"a.{extension}")
    before, after = open_video(tmp_path / "a.png"), open_video(tmp_path / f"a.{extension}")
    assert (after.info.is_still, after.fps) == (True, 25)
    [[one], [other]] = [list(video.read([0])) for video in (before, after)]
    assert one.shape == other.shape and np.abs(one.astype(int) - other).mean() < 3


@pytest.mark.parametrize(("extension", "name"), [("jxl", "JPEG XL"), ("exr", "OpenEXR"), ("dpx", "DPX")])
def test_images_that_are_not_read_are_named(tmp_path: Path, extension: str, name: str) -> None:
    make_photo(tmp_path / "a.png")
    run_ffmpeg("-i", tmp_path / "a.png", tmp_path / f"a.{extension}")
    with pytest.raises(MediaError, match=rf"{name} are not read.*PNG"):
        open_video(tmp_path / f"a.{extension}")
