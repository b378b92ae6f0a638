"""Check of a media file, before anything that decodes is loaded."""

from __future__ import annotations

from pathlib import Path

from lipsync.errors import MediaError

_DOCUMENTS = (b"%PDF", b"%!PS", b"PK\3\4", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"8BPS")
"""First bytes of PDF, PostScript, zip, Office and Photoshop files, inside which ffmpeg would find images."""

_OTHER_IMAGES = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"SDPX": "DPX",
    b"XPDS": "DPX",
    b"#?RADIANCE": "Radiance HDR",
    b"<svg": "SVG",
    b"gimp xcf": "XCF",
}
"""First bytes of images that are not read."""


def checked_file(path: Path | str) -> Path:
    """The absolute path of an existing, readable, non-empty file.

    Raises:
        MediaError: it is missing, a folder, a device, empty, unreadable, a document, or an image
            of a kind that is not read.
    """
    path = Path(path).absolute()
    try:
        if not path.exists():
            raise MediaError("The file does not exist", given=path, hint="Check the name and the folder.")
        if not path.is_file():
            raise MediaError("This is a folder or a device, not a media file", given=path)
        if path.stat().st_size == 0:
            raise MediaError("The file is empty", given=path, hint="Copy or download it again.")
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError) as error:
        raise MediaError("The file cannot be opened", given=f"{path} ({error})") from error
    if head.startswith(_DOCUMENTS):
        raise MediaError(
            "This is a document or an archive, not a media file",
            given=path,
            hint="Save what it holds as a video, an audio file or an image first.",
        )
    for magic_number, name in _OTHER_IMAGES.items():
        if head.startswith(magic_number):
            hint = "Save it as PNG or JPEG first."
            raise MediaError(f"Images in the format {name} are not read", given=path, hint=hint)
    return path
