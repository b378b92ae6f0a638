"""Gradio controls generated from the declarations in `lipsync.options`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import gradio as gr

from lipsync.options import LinkOptions, declared_options
from lipsync.ui.labels import choice_label, label
from lipsync.ui.languages import strings, translated
from lipsync.ui.model_marks import MARKED, marked_choices
from lipsync.ui.settings_file import FIELDS, PAGE_SETTINGS, held_value, is_box

_SECTIONS = {field.name: group for group, field in declared_options()}
_LONG_UNIT = 9
"""A unit with this many characters is shown after the help text instead of the label."""


def group_sections(group: str) -> dict[str, tuple[str, ...]]:
    """Return the settings of one of `options.PAGE_GROUPS`, by section (a group of `SyncOptions`)."""
    sections: dict[str, tuple[str, ...]] = {}
    for name in PAGE_SETTINGS:
        if FIELDS[name].metadata["page"] == group:
            sections[_SECTIONS[name]] = (*sections.get(_SECTIONS[name], ()), name)
    return sections


def choices(name: str) -> list[tuple[str, Any]]:
    """Return the allowed values of a setting as (label, value); empty where it has no list of values."""
    return [(choice_label(name, value), value) for value in FIELDS[name].metadata["choices"]]


def setting_control(name: str, **more: Any) -> gr.components.FormComponent:
    """Build the control of a setting: drop-down, checkbox, slider or text field; `more` goes to it."""
    field = FIELDS[name]
    offered = marked_choices(name) if name in MARKED else choices(name)
    return _control(field, offered, is_box(name), held_value(name, field.default), **more)


def link_control(name: str, **more: Any) -> gr.components.FormComponent:
    """Build the control of a setting of `LinkOptions`; `more` goes to it."""
    field = next(field for field in dataclasses.fields(LinkOptions) if field.name == name)
    heights = [(str(value), value) for value in field.metadata["choices"]]
    return _control(field, heights, False, field.default, **more)


def _control(
    field: dataclasses.Field[Any],
    choices: Sequence[tuple[str, Any]],
    as_box: bool,
    value: Any,
    **more: Any,
) -> gr.components.FormComponent:
    declared = field.metadata
    unit = f" ({translated(declared['unit'])})" if declared["unit"] else ""
    name, info = label(field.name), translated(declared["help"])
    name, info = (name + unit, info) if len(declared["unit"]) < _LONG_UNIT else (name, info + unit)
    common = {"value": value, "label": name, "info": info, "elem_id": field.name, **more}
    if as_box:
        return gr.Textbox(placeholder=strings.FOUR_NUMBERS, max_lines=1, **common)
    if choices:
        return gr.Dropdown(list(choices), **common)
    if isinstance(field.default, str):
        return gr.Textbox(max_lines=1, **common)
    if isinstance(field.default, bool):
        return gr.Checkbox(**common)
    step = 1 if isinstance(field.default, int) or declared["max"] > 10 else 0.05
    lowest = declared["min"] if declared["off"] is None else declared["off"]
    return gr.Slider(lowest, declared["max"], step=step, **common)
