"""Photo field: an image upload that passes the file itself on, in any format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData

from lipsync.errors import LipsyncError
from lipsync.media.video.images import read_image, shown_by_browsers, write_image
from lipsync.ui.components.status import QUIET
from lipsync.ui.sessions import Sessions


def photo_field(**settings: Any) -> gr.Image:
    """Build an upload of a photo; its value is the path of the uploaded file, unread and unchanged.

    `gr.Image` itself opens every upload, which ends in an internal error for formats that it does not know,
    and converts it to RGB, which loses transparency and animations.

    Args:
        settings: further arguments of `gr.Image`.
    """
    field = gr.Image(type="filepath", sources=["upload", "webcam"], **settings)
    save_data_url = field.preprocess

    def path(payload: ImageData | None) -> Any:
        if payload is None or not payload.path or (payload.url or "").startswith("data:"):
            return save_data_url(payload)
        return payload.path

    # Not in a subclass, beside whose source Gradio would write a .pyi file.
    field.preprocess = path  # type: ignore[method-assign]
    return field


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
