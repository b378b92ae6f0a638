"""Image files: photos as sRGB frames with Pillow, and single frames written."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from lipsync.errors import MediaError, OptionError, OutputError
from lipsync.media.provenance import Marks, sign_image
from lipsync.media.provenance.xmp import XMP_PACKET
from lipsync.media.video.code_points import CodePoints, read_code_points, to_srgb
from lipsync.types import Frame
from lipsync.utils.atomic_write import atomic_write, check_place
from lipsync.utils.disk_errors import write_error

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI")
_MAGIC_NUMBERS = (
    *(b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"P5", b"P6", b"qoif"),  # JPEG 2000, PPM, QOI
)
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")
_HEIF_SEQUENCE_BRANDS = (b"msf1", b"hevc", b"hevx", b"hevm", b"hevs")
_AVIF_BRANDS = (b"avif", b"avis")
SEQUENCE_BRANDS = ("avis", *(brand.decode() for brand in _HEIF_SEQUENCE_BRANDS))
"""Major brands (ISO/IEC 23008-12 and AV1 Image File Format) of files with a track of images."""
_ICC_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for the colour space of an ICC profile."""
_DNG_VERSION, _NEW_SUBFILE_TYPE, _REDUCED = 50706, 254, 1  # of TIFF and DNG
Color: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0..255."""
Colors: TypeAlias = bytes | CodePoints | None
"""What a photo says about its colours: an ICC profile, code points, or nothing."""
WHITE = (255, 255, 255)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_TOO_LARGE = "The photo is too large"


def count_images(path: Path) -> int:
    """Number of images in the file: 0 if none, 1 for a photo, more for an animation.

    Animations are GIF, WebP, APNG, AVIF and HEIF image sequences.

    Raises:
        MediaError: the image is so large that Pillow takes it for a decompression bomb.
    """
    try:
        brand = _major_brand(path)
        if brand in _HEIF_SEQUENCE_BRANDS:
            return 2  # or more: their images are a track, which the video decoder reads
        if brand is None and not _has_magic_number(path):
            return 0
        with _open(path) as image:
            # The further images of a phone's MPO, a TIFF or a HEIC are no animation.
            return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return 0
    except Image.DecompressionBombError as error:
        raise MediaError(_TOO_LARGE, given=path, hint="Scale it down first.") from error


def shown_by_browsers(path: Path) -> bool:
    """Whether browsers show the file as an image; not so HEIC or TIFF, nor what is no image."""
    try:
        with _open(path) as image:
            return image.format in ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "AVIF")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def _has_magic_number(path: Path) -> bool:
    """Whether the file begins like one of the older `_FORMATS`.

    For any other file Pillow would import all its format plugins.
    """
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(_MAGIC_NUMBERS) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")


def _major_brand(path: Path) -> bytes | None:
    """The major brand of a HEIF or AVIF file; None for any other file."""
    with path.open("rb") as file:
        head = file.read(12)
    known = (*_HEIF_BRANDS, *_HEIF_SEQUENCE_BRANDS, *_AVIF_BRANDS)
    return head[8:] if head[4:8] == b"ftyp" and head[8:] in known else None


def _open(path: Path) -> Image.Image:
    if _major_brand(path) not in (*_HEIF_BRANDS, *_HEIF_SEQUENCE_BRANDS):
        return Image.open(path, formats=_FORMATS)
    import pillow_heif  # a large library, which most runs do not need

    pillow_heif.register_heif_opener()
    return Image.open(path, formats=("HEIF",))


def parse_color(name: str) -> Color:
    """Red, green and blue, 0..255, of a colour's name or #rrggbb.

    Raises:
        OptionError: there is no such colour.
    """
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError as error:
        hint = "Give a name such as white, black or green, or #rrggbb."
        raise OptionError("There is no such colour", given=repr(name), hint=hint) from error
    return red, green, blue


def read_image(path: Path, matte: Color = WHITE) -> Frame:
    """The photo as RGB uint8 (H, W, 3): upright by its EXIF, in sRGB, transparency over `matte`.

    Raises:
        MediaError: it is damaged or too large.
    """
    try:
        with _open(path) as image:
            _check_not_raw(image, path)
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":  # 16-bit greyscale
                upright = Image.fromarray(
                    (np.asarray(upright, np.float32) / 256).clip(0, 255).astype(np.uint8)
                )
            profile = image.info.get("icc_profile")
            colors = profile or read_code_points(path, image)
            return np.array(_over_matte(upright, colors, matte))
    except Image.DecompressionBombError as error:
        raise MediaError(_TOO_LARGE, given=path, hint="Scale it down first.") from error
    except (OSError, SyntaxError, ValueError) as error:
        hint = "It is cut off or damaged; try another copy of it."
        raise MediaError("The photo cannot be read", given=f"{path} ({error})", hint=hint) from error


def _check_not_raw(image: Image.Image, path: Path) -> None:
    """Raise if a TIFF is a camera's raw photo, of which Pillow would read the thumbnail."""
    tags = getattr(image, "tag_v2", {})
    if _DNG_VERSION in tags or tags.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED:
        hint = "Save it as JPEG, PNG or HEIC first."
        raise MediaError("The photo is a camera's raw file", given=path, hint=hint)


def _over_matte(image: Image.Image, colors: Colors, matte: Color) -> Image.Image:
    """The image in sRGB, mode RGB, its transparent parts over `matte`."""
    if not image.has_transparency_data:
        return _to_srgb(image, colors)
    rgba = image.convert("RGBA")
    behind = Image.new("RGB", image.size, matte)
    behind.paste(_to_srgb(rgba.convert("RGB"), colors), mask=rgba.getchannel("A"))
    return behind


def _to_srgb(image: Image.Image, colors: Colors) -> Image.Image:
    """The image in sRGB, mode RGB.

    Without a profile or code points its values are taken as sRGB, as viewers do; also with a profile that is
    damaged or that belongs to another colour model.
    """
    if not isinstance(colors, bytes):
        return to_srgb(image.convert("RGB"), colors)
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(colors))
        mode = _ICC_MODES[profile.profile.xcolor_space.strip()]
        if (mode == "CMYK") == (image.mode == "CMYK"):
            converted = ImageCms.profileToProfile(
                image.convert(mode), profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            assert converted  # None only if done in place
            return converted
    except (ImageCms.PyCMSError, OSError, KeyError):
        pass
    return image.convert("RGB")


def resize_image(frame: Frame, width: int, height: int) -> Frame:
    """The frame resized by area averaging, RGB uint8 (height, width, 3)."""
    if frame.shape[:2] == (height, width):
        return frame
    return np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX))


def write_image(path: Path | str, frame: Frame, marks: Marks | None = None) -> None:
    """Write an RGB uint8 (H, W, 3) frame as .png, .jpg or .webp, atomically.

    Args:
        marks: how it says that AI made it; None for not at all.

    Raises:
        DiskFullError, OutputError: the suffix is another one, or the file cannot be written.
    """
    path = Path(path).absolute()
    _check_suffix(path)
    with atomic_write(path, explain=_image_error) as part:
        Image.fromarray(frame).save(part, quality=95, **(_metadata(path) if marks else {}))
        if marks:
            sign_image(part, marks)


def _metadata(path: Path) -> dict[str, Any]:
    """The digital source type as Pillow takes it."""
    if path.suffix.lower() != ".png":
        return {"xmp": XMP_PACKET}
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", XMP_PACKET.decode())
    return {"pnginfo": chunks}


def check_image_place(path: Path) -> None:
    """Check that `write_image` can write there, before there is an image.

    Raises:
        DiskFullError, OutputError: as `write_image`.
    """
    _check_suffix(path)
    check_place(path, explain=_image_error)


_image_error = partial(write_error, what="The image cannot be written")


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        hint = f"Use one of: {', '.join(IMAGE_SUFFIXES)}."
        raise OutputError("Images cannot be written with this suffix", given=path, hint=hint)
