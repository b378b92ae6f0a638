"""Settings: declared once, checked where they are made."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lipsync.errors import OptionError
from lipsync.faces import DETECTORS
from lipsync.options import (
    LANGUAGES,
    Box,
    FaceOptions,
    MediaOptions,
    SyncOptions,
    declared_options,
    markdown_table,
)


def test_every_setting_has_help_and_a_default_that_is_allowed() -> None:
    SyncOptions()
    for _, field in declared_options():
        assert field.metadata["help"], field.name


def test_names_are_unique_across_the_groups() -> None:
    counts = Counter(field.name for _, field in declared_options())
    assert [name for name, count in counts.items() if count > 1] == []


def test_detectors_on_offer_are_the_registered_ones() -> None:
    offered = next(field for _, field in declared_options() if field.name == "detector")
    assert set(offered.metadata["choices"]) == set(DETECTORS)


def numbers() -> list[dataclasses.Field[Any]]:
    return [field for _, field in declared_options() if field.metadata["min"] is not None]


@pytest.mark.parametrize("field", numbers(), ids=lambda field: field.name)
def test_numbers_outside_their_range_are_refused(field: dataclasses.Field[Any]) -> None:
    for limit, beyond in (("min", -1), ("max", 1)):
        kind = type(field.default)
        edge = kind(field.metadata[limit])
        SyncOptions.from_flat(**{field.name: edge})
        outside = edge + beyond
        if outside == field.metadata["off"]:
            SyncOptions.from_flat(**{field.name: outside})
            outside = edge + kind(beyond) / 2
        with pytest.raises(OptionError, match=field.name):
            SyncOptions.from_flat(**{field.name: outside})
    with pytest.raises(OptionError, match="out of range" if kind is float else "a whole number"):
        SyncOptions.from_flat(**{field.name: float("nan")})


def test_an_unknown_value_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match="pingpong, loop"):
        SyncOptions.from_flat(length_mode="backwards")


@pytest.mark.parametrize("language", ["xx", "German", "EN", ""])
def test_an_unknown_language_is_told_before_work_begins(language: str) -> None:
    with pytest.raises(OptionError, match=r"spoken_language.*auto or one of: af, .* de, "):
        SyncOptions.from_flat(spoken_language=language)


def test_a_model_for_english_takes_no_other_language() -> None:
    with pytest.raises(OptionError, match=r"tiny.en.*de.*speech_model"):
        SyncOptions.from_flat(speech_model="tiny.en", spoken_language="de")
    SyncOptions.from_flat(speech_model="tiny.en", spoken_language="en")
    SyncOptions.from_flat(speech_model="tiny.en", speech_model_folder="models/own", spoken_language="de")


def test_the_languages_are_those_of_whisper() -> None:
    tokenizer = pytest.importorskip("faster_whisper.tokenizer")
    assert set(LANGUAGES) == set(tokenizer._LANGUAGE_CODES)


def test_a_misspelt_setting_does_not_vanish() -> None:
    with pytest.raises(OptionError, match="pad_topp"):
        SyncOptions.from_flat(pad_topp=3)


def test_flat_settings_land_in_their_groups() -> None:
    options = SyncOptions.from_flat(pad_top=3, mask="box", quality=20)
    assert (options.faces.pad_top, options.blend.mask, options.media.quality) == (3, "box", 20)
    assert options.faces.pad_bottom == SyncOptions().faces.pad_bottom


def test_boxes_name_their_edges_and_print_as_plain_tuples() -> None:
    given = (10, 60, 20, 90)
    faces = FaceOptions(box=given)  # type: ignore[arg-type]  # what scripts pass
    assert faces.box == given and (faces.box.left, faces.box.bottom) == (20, 60)
    crop = MediaOptions(crop=[0, -1, 5, -1]).crop  # type: ignore[arg-type]  # what JSON holds
    assert crop == Box(top=0, bottom=-1, left=5, right=-1)
    # Keys of resume folders and of the detection cache are hashes of this text.
    assert repr(faces).endswith("pads_px=(0, 0, 0, 0), box=(10, 60, 20, 90))")


@pytest.mark.parametrize("name", ["crop", "box", "pads_px"])
def test_a_box_has_four_edges(name: str) -> None:
    with pytest.raises(OptionError, match=f"'{name}' is of the wrong kind.*top, bottom, left, right"):
        SyncOptions.from_flat(**{name: (1, 2, 3)})


def test_the_table_in_the_readme_is_the_declarations() -> None:
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    hint = "put the output of `python -c 'import lipsync.options as o; print(o.markdown_table())'` there"
    assert markdown_table() in readme, hint
