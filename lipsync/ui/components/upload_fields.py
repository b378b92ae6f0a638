"""Upload fields whose values are the paths of the uploaded files, unread."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.data_classes import FileData, ImageData
from gradio_client.utils import is_valid_file

from lipsync.errors import LipsyncError
from lipsync.media.video.images import read_image, shown_by_browsers, write_image
from lipsync.ui.components.status import QUIET
from lipsync.ui.languages import strings
from lipsync.ui.sessions import Sessions


class WithoutStub(ComponentMeta):
    """Metaclass of components beside whose source Gradio writes no .pyi file."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Any:
        """Make the class as any other."""
        return ABCMeta.__new__(cls, name, bases, attributes)


class FileField(gr.File, metaclass=WithoutStub):
    """An upload of files; its values are their paths.

    `gr.File` itself leaves an empty file for each of them. A class, as Gradio makes a component anew for each
    visitor to whom it sends an update of it.

    Raises:
        gr.Error: a file has none of the field's types.
    """

    is_template = True  # the browser shows a `gr.File`

    def _process_single_file(self, f: FileData) -> Any:
        return _checked_path(f, self.file_types)


class FileButton(gr.UploadButton, metaclass=WithoutStub):
    """A button that uploads a file; see `FileField`."""

    is_template = True

    def _process_single_file(self, f: FileData) -> Any:
        return _checked_path(f, self.file_types)


def _checked_path(file: FileData, types: list[str] | None) -> str:
    """The path of an upload.

    Raises:
        gr.Error: it is of none of the types.
    """
    if types and not is_valid_file(file.path, types):
        name = file.orig_name or Path(file.path).name
        raise gr.Error(strings.WRONG_FILE_TYPE.format(name=name, types=", ".join(types)))
    return file.path


class PhotoField(gr.Image, metaclass=WithoutStub):
    """An upload of a photo; its value is the path of the file, whatever its format.

    `gr.Image` itself opens every upload, which ends in an internal error for formats that it does not know,
    and converts it to RGB, which loses transparency and animations.
    """

    is_template = True

    def preprocess(self, payload: ImageData | None) -> Any:
        """Return the path of the upload; a picture of the webcam is saved."""
        if payload is None or not payload.path or (payload.url or "").startswith("data:"):
            return super().preprocess(payload)
        return payload.path


def photo_field(**settings: Any) -> PhotoField:
    """Build an upload of a photo; `settings` are further arguments of `gr.Image`."""
    return PhotoField(type="filepath", sources=["upload", "webcam"], **settings)


def convert_uploads(fields: Iterable[gr.Image], sessions: Sessions) -> None:
    """Replace uploads in formats that browsers do not show, such as HEIC, by a JPEG of them."""

    def convert(request: gr.Request, path: str | None) -> Any:
        session = sessions.get(request.session_hash, path)
        try:
            if not path or shown_by_browsers(Path(path)):
                return gr.skip()
            frame = read_image(Path(path))
        except LipsyncError:  # said where the photo is used
            return gr.skip()
        with session.job_folder("photo") as folder:
            shown = folder.path / f"{Path(path).stem[:80]}.jpg"
            write_image(shown, frame)
            folder.keep()
        return str(shown)

    for field in fields:
        field.upload(convert, field, field, **QUIET)
