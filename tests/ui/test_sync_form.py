"""The form of the sync tab: every control is read by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from lipsync.errors import LipsyncError
from lipsync.options import SyncOptions, declared_options
from lipsync.types import TimeRange
from lipsync.ui.pages.sync import SyncPage, build_sync
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.settings_file import PAGE_SETTINGS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        with gr.Blocks():
            yield build_sync()


@pytest.fixture
def form(page: SyncPage) -> SyncForm:
    return page.form


def untouched(form: SyncForm) -> dict[Any, Any]:
    """What Gradio passes to a handler on a first visit."""
    return {component: component.value for component in form.components}


def filled(form: SyncForm, **given: Any) -> dict[Any, Any]:
    """The same with some controls filled in, by name."""
    return {**untouched(form), **{form.fields[name]: value for name, value in given.items()}}


def test_every_setting_is_on_the_form(form: SyncForm) -> None:
    named = {*form.fields, *form.ranges}
    assert set(PAGE_SETTINGS) <= named
    off_page = {field.name for _, field in declared_options()} - named
    assert all(name.endswith(("weights", "folder")) for name in off_page)


def test_an_untouched_form_has_the_defaults(form: SyncForm) -> None:
    given = form.request(untouched(form))
    assert given.options == SyncOptions()
    assert not given.is_complete
    assert form.uploads(untouched(form)) == []


def test_every_control_reaches_its_own_setting(form: SyncForm) -> None:
    values = filled(form, pad_top=7, pad_left=3, feather=20, mask="box", box="10 90 20 80", static=True)
    flat = form.request(values).options.flat()
    changed = {name: value for name, value in flat.items() if value != SyncOptions().flat()[name]}
    assert changed == {
        "pad_top": 7,
        "pad_left": 3,
        "feather": 20,
        "mask": "box",
        "box": (10, 90, 20, 80),
        "static": True,
    }


def test_ranges_are_of_the_table_they_were_typed_in(form: SyncForm) -> None:
    video, voice = form.ranges["video_ranges"].rows[0], form.ranges["voice_ranges"].rows[1]
    values = untouched(form) | {video.start: "1", video.end: "2", voice.start: "3"}
    media = form.request(values).options.media
    assert (media.video_ranges, media.voice_ranges) == ((TimeRange(1, 2),), (TimeRange(3),))
    assert form.options(values) == SyncOptions()  # those of a batch
    with pytest.raises(LipsyncError, match="Part 1"):
        form.request(values | {video.end: "0"})


def test_files_of_either_way_are_used_and_noted_as_uploads(form: SyncForm) -> None:
    given = {
        "photo": "a.jpg",
        "voice_video": "b.mp4",
        "more_voices": ["c.wav", "d.wav"],
        "face_reference": "e.jpg",
    }
    values = filled(form, **given, rows="0-1 face=0 voice=0-1 file=1")
    request = form.request(values)
    assert (request.video, request.voice, request.more_voices) == ("a.jpg", "b.mp4", ("c.wav", "d.wav"))
    assert len(request.segments) == 1
    assert sorted(form.uploads(values)) == ["a.jpg", "b.mp4", "c.wav", "d.wav", "e.jpg"]
    assert request.options.faces.face_reference is None  # a photo counts while the setting says so
    chosen = form.request(values | {form.fields["which_face"]: "reference"}).options.faces
    assert chosen.face_reference == Path("e.jpg")
