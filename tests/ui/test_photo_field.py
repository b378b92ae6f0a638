"""The photo field of the page: the file itself is passed on, whatever its format."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio.data_classes import ImageData
from PIL import Image

from lipsync.media.video.images import shown_by_browsers
from lipsync.ui.components.photo_field import photo_field


@pytest.mark.parametrize("name", ["a.heic", "a.png", "a.txt"])
def test_the_upload_itself_is_passed_on(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"any")
    field = photo_field(label="photo")
    # After an update of it Gradio makes the component anew for this visitor.
    for one in (field, type(field)(**field.constructor_args)):
        assert one.preprocess(ImageData(path=str(path), orig_name=name)) == str(path)
        assert one.preprocess(None) is None
        assert one.get_block_name() == "image"


def test_an_image_of_the_webcam_is_saved(tmp_path: Path) -> None:
    tiny = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    path = photo_field(label="photo").preprocess(ImageData(url=tiny))
    assert Path(path).exists()


@pytest.mark.parametrize(("extension", "shown"), [("png", True), ("avif", True), ("tiff", False)])
def test_formats_that_browsers_show(tmp_path: Path, extension: str, shown: bool) -> None:
    path = tmp_path / f"a.{extension}"
    Image.new("RGB", (8, 8)).save(path)
    assert shown_by_browsers(path) is shown
