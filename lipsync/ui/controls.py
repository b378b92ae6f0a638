"""Controls of the page, made from the declarations in `lipsync.options`; and their values read back."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.errors import OptionError
from lipsync.options import LENGTH_MODES, SILENCES, Box, LinkOptions, SyncOptions, declared_options
from lipsync.types import TimeRange
from lipsync.ui import strings

_FIELDS = {field.name: field for _, field in declared_options()}
_SECTIONS = {field.name: group for group, field in declared_options()}
ON_PAGE = tuple(name for name, field in _FIELDS.items() if field.metadata["page"])
"""The settings that have a control, in the order of their declaration."""
RANGES = ("video_ranges", "voice_ranges")
_LONG_UNIT = 12
"""A unit of so many characters stands behind the help, where there is room."""
_TYPES = {
    name: kind
    for group in dataclasses.fields(SyncOptions)
    for name, kind in typing.get_type_hints(type(getattr(SyncOptions(), group.name))).items()
}
_WORDS: dict[str, dict[Any, str]] = {**strings.CHOICES, "length_mode": LENGTH_MODES, "in_silence": SILENCES}
"""What values are called."""


def in_group(group: str) -> dict[str, tuple[str, ...]]:
    """The settings that stand in one of `options.PAGE_GROUPS`, by the group of `SyncOptions`."""
    sections: dict[str, tuple[str, ...]] = {}
    for name in ON_PAGE:
        if _FIELDS[name].metadata["page"] == group:
            sections[_SECTIONS[name]] = (*sections.get(_SECTIONS[name], ()), name)
    return sections


def choices(name: str) -> list[tuple[str, Any]]:
    """The values that a setting can have, each with what it is called; empty where any number will do."""
    values = _FIELDS[name].metadata["choices"]
    words = _WORDS.get(name, {})
    return [(words.get(value, str(value)), value) for value in values]


def control(name: str, **more: Any) -> gr.components.FormComponent:
    """The control of a setting: a list, a tick box, a slider or a line of text, by its declaration."""
    field = _FIELDS[name]
    return _component(field, choices(name), _is_numbers(name), show(name, field.default), **more)


def link_control(name: str, **more: Any) -> gr.components.FormComponent:
    """The control of a setting of `LinkOptions`; `more` goes to the component."""
    field = next(field for field in dataclasses.fields(LinkOptions) if field.name == name)
    heights = [(str(value), value) for value in field.metadata["choices"]]
    return _component(field, heights, False, field.default, **more)


def label(name: str) -> str:
    """What a setting is called on the page."""
    return strings.LABELS.get(name, name.replace("_", " ").capitalize())


def _component(
    field: dataclasses.Field[Any],
    choices: Sequence[tuple[str, Any]],
    numbers: bool,
    value: Any,
    **more: Any,
) -> gr.components.FormComponent:
    declared = field.metadata
    unit = f" ({declared['unit']})" if declared["unit"] else ""
    name, info = label(field.name), declared["help"]
    name, info = (name + unit, info) if len(unit) < _LONG_UNIT else (name, info + unit)
    common = {"value": value, "label": name, "info": info, "elem_id": field.name, **more}
    if numbers:
        return gr.Textbox(placeholder=strings.FOUR_NUMBERS, max_lines=1, **common)
    if choices:
        return gr.Dropdown(list(choices), **common)
    if isinstance(field.default, str):
        return gr.Textbox(max_lines=1, **common)
    if isinstance(field.default, bool):
        return gr.Checkbox(**common)
    step = 1 if isinstance(field.default, int) or declared["max"] > 10 else 0.05
    return gr.Slider(declared["min"], declared["max"], step=step, **common)


def _is_numbers(name: str) -> bool:
    kind = _TYPES[name]
    return Box in (kind, *typing.get_args(kind))


def read(name: str, shown: Any) -> Any:
    """The value of a setting from what its control holds.

    Raises:
        OptionError: four numbers were expected and are not there.
    """
    if not _is_numbers(name) or isinstance(shown, tuple):
        # JSON and sliders know one kind of number
        return int(shown) if _TYPES[name] is int and isinstance(shown, float) else shown
    words = shown if isinstance(shown, list) else str(shown or "").replace(",", " ").split()
    if not words:
        return _FIELDS[name].default
    try:
        numbers = tuple(int(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise OptionError(
            f"'{name}' cannot be read", given=" ".join(map(str, words)), hint=f"{strings.FOUR_NUMBERS}."
        )
    return numbers


def show(name: str, value: Any) -> Any:
    """What the control of a setting holds for this value."""
    if not _is_numbers(name):
        return value
    return "" if value is None or value == _FIELDS[name].default else " ".join(map(str, value))


def settings_text(options: SyncOptions) -> str:
    """The settings as JSON that `load_settings`, and `from_flat`, take. Paths on this machine stay out."""
    values = {
        name: [str(part) for part in value] if name.endswith("_ranges") else value
        for name, value in options.flat().items()
        if not isinstance(value, Path)
    }
    return json.dumps(values, indent=2)


def load_settings(text: str) -> dict[str, Any]:
    """The settings from JSON: those with a control, and the parts to use. Paths are left out.

    Raises:
        OptionError: it is no such JSON, or a value does not fit.
        RangeError: a part cannot be read.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise OptionError(
            "These settings cannot be read", given=str(error), hint=strings.SETTINGS_HINT
        ) from error
    if not isinstance(given, dict):
        raise OptionError(
            "These settings cannot be read", given=type(given).__name__, hint=strings.SETTINGS_HINT
        )
    unknown = sorted(set(given) - set(_FIELDS))
    if unknown:
        raise OptionError(
            "There are no such settings", given=", ".join(unknown), hint=f"Known: {', '.join(_FIELDS)}."
        )
    try:
        values = {name: read(name, value) for name, value in given.items() if name in ON_PAGE}
        values |= {name: _parts(given[name]) for name in RANGES if name in given}
        SyncOptions.from_flat(**values)
    except (TypeError, AttributeError) as error:
        raise OptionError(
            "A setting has a value of the wrong kind", given=str(error), hint=strings.SETTINGS_HINT
        ) from error
    return values


def _parts(given: Any) -> tuple[TimeRange, ...]:
    """Parts as a list of texts, as `settings_text` writes them, or as one text."""
    return TimeRange.parse_list(given if isinstance(given, str) else "\n".join(given))
