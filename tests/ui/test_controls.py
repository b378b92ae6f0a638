"""Every setting on the page is built from its declaration and read back from its control."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lipsync.errors import LipsyncError
from lipsync.options import PAGE_GROUPS, PRESETS, LinkOptions, SyncOptions, declared_options
from lipsync.types import TimeRange
from lipsync.ui import strings
from lipsync.ui.components.controls import choices, group_sections, setting_control
from lipsync.ui.components.differences import describe, usual_values
from lipsync.ui.components.settings import _SHOWN_WITH
from lipsync.ui.settings_file import (
    PAGE_SETTINGS,
    RANGE_SETTINGS,
    held_value,
    load_settings,
    read_value,
    settings_json,
)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_what_a_preset_sets_is_no_difference(preset: str) -> None:
    usual = usual_values(preset)
    assert set(usual) >= set(PAGE_SETTINGS)
    assert {name: usual[name] for name in PRESETS[preset]} == PRESETS[preset]


def test_differences_are_told_in_the_words_of_the_page() -> None:
    assert describe("pad_bottom", 30, 10).endswith("30 (instead of 10)")
    assert describe("box", "1 2 3 4", "") == "Fixed face box 1 2 3 4 (instead of not set)"
    assert "built-in" in describe("variant", "builtin", "auto")


def test_no_setting_is_forgotten_and_no_path_is_on_the_page() -> None:
    groups = [names for group in PAGE_GROUPS for names in group_sections(group).values()]
    assert sorted(PAGE_SETTINGS) == sorted(name for names in groups for name in names)
    left = {field.name: field for _, field in declared_options() if field.name not in PAGE_SETTINGS}
    assert {name for name, field in left.items() if "Path" not in str(field.type)} == set(RANGE_SETTINGS)


def test_labels_belong_to_existing_settings_and_values() -> None:
    fields = {field.name for _, field in declared_options()}
    assert set(strings.LABELS) <= fields | {field.name for field in dataclasses.fields(LinkOptions)}
    assert set(strings.SECTIONS) >= {group for group, _ in declared_options()}
    for name, words in strings.CHOICES.items():
        assert set(words) <= {value for _, value in choices(name)}
        assert len({shown for shown, _ in choices(name)}) == len(choices(name))  # none looks like another
    for name, (leader, values) in _SHOWN_WITH.items():
        assert name in fields
        assert set(values) <= {value for _, value in choices(leader)}


@pytest.mark.parametrize("name", PAGE_SETTINGS)
def test_a_control_holds_the_default_and_gives_it_back(name: str) -> None:
    default = SyncOptions().flat()[name]
    assert read_value(name, setting_control(name).value) == default
    assert read_value(name, held_value(name, default)) == default


def test_four_numbers_are_read_as_people_write_them() -> None:
    assert read_value("box", "10, 90 20,80") == (10, 90, 20, 80)
    assert held_value("box", (10, 90, 20, 80)) == "10 90 20 80"
    with pytest.raises(LipsyncError, match="Four whole numbers"):
        read_value("box", "10 x 20 80")


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
    text = settings_json(options)
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
        ('{"mask": ["box"]}', "wrong kind"),
        ('{"mask": "boxes"}', "no such value"),
        ('{"video_ranges": ["2-1"]}', "runs backwards"),
        ('{"video_ranges": 7}', "wrong kind"),
        ('{"box": "1 2 3"}', "cannot be read"),
    ],
)
def test_invalid_settings_are_rejected(text: str, words: str) -> None:
    with pytest.raises(LipsyncError, match=words):
        load_settings(text)


def test_paths_in_settings_are_not_followed() -> None:
    paths = [field.name for _, field in declared_options() if "Path" in str(field.type)]
    assert len(paths) >= 5
    assert load_settings(json.dumps(dict.fromkeys(paths, "/etc/passwd"))) == {}
