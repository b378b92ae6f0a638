"""Image files: photos as RGB frames with Pillow, and single frames written."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lipsync.errors import MediaError, OutputError
from lipsync.types import Frame
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.disk_errors import write_error

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_MAGIC_NUMBERS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II", b"MM")
_ANIMATED = ("GIF", "WEBP", "PNG")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_TOO_LARGE = "The photo is too large"


def count_images(path: Path) -> int:
    """Number of images in the file: 0 if none, 1 for a photo, more for an animation.

    Animations are GIF, WebP and APNG.

    Raises:
        MediaError: the image is so large that Pillow takes it for a decompression bomb.
    """
    try:
        if not _may_be_image(path):
            return 0
        with Image.open(path, formats=_FORMATS) as image:
            # The further images of a phone's MPO or of a TIFF are no animation.
            return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return 0
    except Image.DecompressionBombError as error:
        raise MediaError(_TOO_LARGE, given=path, hint="Scale it down first.") from error


def _may_be_image(path: Path) -> bool:
    """Whether the file has the magic number of one of `_FORMATS`.

    For any other file Pillow would import all its format plugins.
    """
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(_MAGIC_NUMBERS) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")


def read_image(path: Path) -> Frame:
    """The photo as RGB uint8 (H, W, 3), upright by its EXIF, transparency over white.

    Raises:
        MediaError: it is damaged or too large.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":  # 16-bit greyscale
                upright = Image.fromarray(
                    (np.asarray(upright, np.float32) / 256).clip(0, 255).astype(np.uint8)
                )
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright)
            return np.array(upright.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise MediaError(_TOO_LARGE, given=path, hint="Scale it down first.") from error
    except (OSError, SyntaxError, ValueError) as error:
        hint = "It is cut off or damaged; try another copy of it."
        raise MediaError("The photo cannot be read", given=f"{path} ({error})", hint=hint) from error


def resize_image(frame: Frame, width: int, height: int) -> Frame:
    """The frame resized by area averaging, RGB uint8 (height, width, 3)."""
    if frame.shape[:2] == (height, width):
        return frame
    return np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX))


def write_image(path: Path | str, frame: Frame) -> None:
    """Write an RGB uint8 (H, W, 3) frame as .png, .jpg or .webp, atomically.

    Raises:
        DiskFullError, OutputError: the suffix is another one, or the file cannot be written.
    """
    path = Path(path).absolute()
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        hint = f"Use one of: {', '.join(IMAGE_SUFFIXES)}."
        raise OutputError("Images cannot be written with this suffix", given=path, hint=hint)
    with atomic_write(path, explain=partial(write_error, what="The image cannot be written")) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(part, quality=95)
