"""Marks of a finished file: metadata, and a signed manifest inside or beside it."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lipsync.errors import LipsyncError
from lipsync.media.output_formats import output_format
from lipsync.media.provenance import manifest, xmp
from lipsync.media.provenance.certificates import Credentials
from lipsync.media.provenance.listing import write_listing
from lipsync.media.provenance.manifest import Edit
from lipsync.progress import CancelToken
from lipsync.utils.atomic_write import (
    atomic_write,
    check_not_there,
    move_folder_into_place,
    move_into_place,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Marks:
    """How a result is marked.

    Attributes:
        edit: what the manifest says; None for metadata alone.
        credentials: to sign the manifest with.
    """

    edit: Edit | None = None
    credentials: Credentials | None = None


METADATA_MARKS = Marks()
"""Metadata alone."""


def sidecar_path(path: Path) -> Path:
    """Where the manifest of a file lies that cannot hold it, as C2PA's own tools look for it."""
    return path.with_suffix(".c2pa")


class Marked(NamedTuple):
    """A file in its place.

    Attributes:
        path: its name.
        signed: it has a signed manifest, inside or beside it.
        warnings: sentences for the user.
    """

    path: Path
    signed: bool
    warnings: tuple[str, ...]


def mark_and_move(part: Path, path: Path, marks: Marks | None, *, overwrite: bool) -> Marked:
    """Mark a finished file and move it into place.

    What cannot be signed is moved with its metadata alone, and a warning says so. Signing writes the file a
    second time, beside `part`, which is removed then.

    Args:
        part: the file in a private folder of the same disk.
        path: where it goes; its suffix says the container.
        marks: None for none.
        overwrite: see `move_into_place`.

    Raises:
        OSError: it cannot be moved.
    """
    container, warnings, beside, signed = output_format(path), list[str](), b"", False
    if marks is not None and container.xmp:
        xmp.append_xmp(part)
    if marks is not None and marks.edit and marks.credentials:
        try:
            if container.xmp:
                part = _signed(part, marks.edit, marks.credentials, container.media_type)
            else:
                beside = manifest.sign_beside(marks.edit, marks.credentials, container.media_type, part)
            signed = True
        except Exception as error:  # of c2pa-python or the disk; the result is whole without it
            warnings.append(unsigned_warning(error))
    replaced = overwrite and path.exists()
    path = move_into_place(part, path, overwrite=overwrite)
    if beside:
        warnings += _write_sidecar(sidecar_path(path), beside, overwrite)
        signed = not warnings
    elif replaced and not container.xmp:  # what lies there is of the file that was replaced
        with suppress(OSError):
            sidecar_path(path).unlink(missing_ok=True)
    return Marked(path, signed, tuple(warnings))


def mark_and_move_folder(
    part: Path, path: Path, marks: Marks | None, *, overwrite: bool, cancel: CancelToken
) -> Marked:
    """Mark a folder of finished files and move it into place, as `mark_and_move`.

    PNGs get the metadata. One manifest in the folder signs the digests of all files.

    Raises:
        OSError: it cannot be moved, or a file not be written.
        Cancelled: the token was cancelled.
    """
    warnings, signed = list[str](), False
    if marks is not None:
        for image in part.glob("*.png"):
            xmp.append_png_xmp(image)
    if marks is not None and marks.edit and marks.credentials:
        listing = write_listing(part, cancel)
        try:
            kind = manifest.media_type_of(listing)
            beside = manifest.sign_beside(marks.edit, marks.credentials, kind, listing)
            sidecar_path(listing).write_bytes(beside)
            signed = True
        except Exception as error:  # of c2pa-python; the result is whole without it
            listing.unlink()
            warnings.append(unsigned_warning(error))
    path = move_folder_into_place(part, path, overwrite=overwrite)
    return Marked(path, signed, tuple(warnings))


def sign_image(part: Path, marks: Marks) -> None:
    """Sign an image that is whole; one that cannot be signed stays as it is.

    Args:
        part: the file in a private folder, which the signed one replaces.
    """
    if marks.edit and marks.credentials:
        try:
            _signed(part, marks.edit, marks.credentials, manifest.media_type_of(part))
        except Exception as error:  # of c2pa-python or the disk
            _log.debug("not signed", exc_info=error)


def unsigned_warning(error: Exception) -> str:
    """Why a result carries metadata alone."""
    if isinstance(error, ImportError):
        why = "c2pa-python is not installed, or not made for this machine"
    else:
        _log.debug("not signed", exc_info=error)
        why = f"it could not be signed ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return f"The result is marked as AI-made by metadata alone: {why}."


def _signed(part: Path, edit: Edit, credentials: Credentials, media_type: str) -> Path:
    """The signed copy of a file, in its place."""
    signed = part.with_name(f"signed{part.suffix}")
    try:
        manifest.sign_embedded(edit, credentials, media_type, part, signed)
        os.replace(signed, part)  # noqa: PTH105 - the same on every system
    finally:
        signed.unlink(missing_ok=True)
    return part


def _write_sidecar(path: Path, content: bytes, overwrite: bool) -> list[str]:
    """Write the sidecar; returns a warning where that failed."""
    try:
        check_not_there(path, overwrite=overwrite)
        with atomic_write(path) as part:
            part.write_bytes(content)
    except LipsyncError as error:
        return [f"The signed manifest beside the result could not be written: {error}"]
    return []
