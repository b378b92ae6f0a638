"""Every setting on the page is made from its declaration, and comes back from its control."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lipsync.data_types import TimeRange
from lipsync.errors import LipsyncError
from lipsync.options import PAGE_GROUPS, PRESETS, SyncOptions, declared_options
from lipsync.ui.controls import ON_PAGE, control, in_group, load_settings, read, settings_text, show


def test_no_setting_is_forgotten_and_no_path_is_on_the_page() -> None:
    assert sorted(ON_PAGE) == sorted(name for group in PAGE_GROUPS for name in in_group(group))
    left = {field.name for _, field in declared_options()} - set(ON_PAGE)
    assert left == {"video_ranges", "voice_ranges", "weights", "detector_weights"}


@pytest.mark.parametrize("name", ON_PAGE)
def test_a_control_holds_the_default_and_gives_it_back(name: str) -> None:
    default = SyncOptions().flat()[name]
    assert read(name, control(name).value) == default
    assert read(name, show(name, default)) == default


def test_four_numbers_are_read_as_people_write_them() -> None:
    assert read("box", "10, 90 20,80") == (10, 90, 20, 80)
    assert show("box", (10, 90, 20, 80)) == "10 90 20 80"
    with pytest.raises(LipsyncError, match="Four whole numbers"):
        read("box", "10 x 20 80")


def test_presets_are_settings() -> None:
    for preset in PRESETS.values():
        SyncOptions.from_flat(**preset)
    assert SyncOptions.from_flat(**PRESETS["standard"]) == SyncOptions()


def test_settings_go_through_json() -> None:
    options = SyncOptions.from_flat(
        crop=(0, -1, 5, 60),
        pad_top=3.5,
        video_ranges=(TimeRange(1, 2), TimeRange(3)),
        weights=Path("/secret.pth"),
    )
    text = settings_text(options)
    assert "secret" not in text
    back = SyncOptions.from_flat(**load_settings(text))
    assert back.flat() == {**options.flat(), "weights": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"what": 1}', "no such settings"),
        ('{"feather": 900}', "out of range"),
        ('{"mask": ["box"]}', "no such value"),
        ('{"video_ranges": ["2-1"]}', "runs backwards"),
        ('{"video_ranges": 7}', "wrong kind"),
        ('{"box": "1 2 3"}', "cannot be read"),
    ],
)
def test_bad_settings_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(LipsyncError, match=words):
        load_settings(text)


def test_paths_in_settings_are_not_followed() -> None:
    assert load_settings(json.dumps({"weights": "/etc/passwd", "detector_weights": "/x"})) == {}
