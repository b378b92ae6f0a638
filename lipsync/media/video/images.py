"""Photos: read whole with Pillow, upright, without transparency; and single frames written."""

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
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II", b"MM")
_ANIMATED = ("GIF", "WEBP", "PNG")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_BOMB = "The photo is too large"


def count_images(path: Path) -> int:
    """0 if the file is no photo, 1 for a photo, more for an animation (GIF, WebP, APNG)."""
    try:
        if not _may_be_picture(path):
            return 0
        with Image.open(path, formats=_FORMATS) as image:
            # The other pictures of a phone's MPO or of a TIFF are no animation.
            return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return 0
    except Image.DecompressionBombError as error:
        raise MediaError(_BOMB, given=path, hint="Scale it down first.") from error


def _may_be_picture(path: Path) -> bool:
    """Whether the file begins as one of `_FORMATS` does: for others Pillow imports all that it can read."""
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(_BEGINNINGS) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")


def read_image(path: Path) -> Frame:
    """The photo as RGB uint8 (H, W, 3): turned as its EXIF says, transparency on white."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":  # 16 bit grey
                upright = Image.fromarray(
                    (np.asarray(upright, np.float32) / 256).clip(0, 255).astype(np.uint8)
                )
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright)
            return np.array(upright.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise MediaError(_BOMB, given=path, hint="Scale it down first.") from error
    except (OSError, SyntaxError, ValueError) as error:
        hint = "It is cut off or damaged; try another copy of it."
        raise MediaError("The photo cannot be read", given=f"{path} ({error})", hint=hint) from error


def resize_image(frame: Frame, width: int, height: int) -> Frame:
    """The photo at another size, RGB uint8 (height, width, 3); every source pixel counts."""
    if frame.shape[:2] == (height, width):
        return frame
    return np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX))


def write_image(path: Path | str, frame: Frame) -> None:
    """Write one RGB uint8 (H, W, 3) frame as .png, .jpg or .webp; the file appears only when whole.

    Raises:
        DiskFullError, OutputError: the name or the place cannot be used.
    """
    path = Path(path).absolute()
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        hint = f"Use one of: {', '.join(PICTURE_SUFFIXES)}."
        raise OutputError("A picture cannot be written under this name", given=path, hint=hint)
    with atomic_write(path, explain=partial(write_error, what="The picture cannot be written")) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(part, quality=95)
