"""Upload fields of the page: the file itself is passed on."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import FileData, ImageData, ListFiles
from PIL import Image

from lipsync.media.video.images import shown_by_browsers
from lipsync.ui import build_page
from lipsync.ui.components.upload_fields import FileButton, FileField, PhotoField, photo_field

KINDS = (gr.File, gr.Image, gr.UploadButton)


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


def test_files_are_passed_on_without_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "voice.mp3"
    path.write_bytes(b"any")
    field = FileField(file_types=["audio"], file_count="multiple")
    for one in (field, type(field)(**field.constructor_args)):
        assert one.preprocess(ListFiles(root=[FileData(path=str(path))])) == [str(path)]
        assert one.get_block_name() == "file"
        with pytest.raises(gr.Error, match=r"a\.txt"):
            one.preprocess(ListFiles(root=[FileData(path=str(tmp_path / "a.txt"))]))
    assert list(tmp_path.iterdir()) == [path]


def test_every_file_field_of_the_page_is_one_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    fields = [one for one in build_page().blocks.values() if isinstance(one, KINDS)]
    given = [one for one in fields if not isinstance(one, gr.Image) or one.interactive is not False]
    assert len(given) > 10
    assert {type(one) for one in given} == {FileButton, FileField, PhotoField}


def test_an_image_of_the_webcam_is_saved(tmp_path: Path) -> None:
    tiny = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    path = photo_field(label="photo").preprocess(ImageData(url=tiny))
    assert Path(path).exists()


@pytest.mark.parametrize(("extension", "shown"), [("png", True), ("avif", True), ("tiff", False)])
def test_formats_that_browsers_show(tmp_path: Path, extension: str, shown: bool) -> None:
    path = tmp_path / f"a.{extension}"
    Image.new("RGB", (8, 8)).save(path)
    assert shown_by_browsers(path) is shown
