"""Settings on the page: labels, values of the controls, JSON files."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

from lipsync.errors import OptionError
from lipsync.options import Box, SyncOptions, declared_options
from lipsync.types import TimeRange
from lipsync.ui import strings

FIELDS = {field.name: field for _, field in declared_options()}
"""The declaration of every setting, by name."""
PAGE_SETTINGS = tuple(name for name, field in FIELDS.items() if field.metadata["page"])
"""The settings that have a control on the page, in the order of their declaration."""
RANGE_SETTINGS = ("video_ranges", "voice_ranges")
"""The settings that have a table of time ranges on the page."""
_TYPES = {
    name: kind
    for group in dataclasses.fields(SyncOptions)
    for name, kind in typing.get_type_hints(type(getattr(SyncOptions(), group.name))).items()
}


def label(name: str) -> str:
    """Return the label of a setting."""
    return strings.LABELS.get(name, name.replace("_", " ").capitalize())


def is_box(name: str) -> bool:
    """Whether a setting is a box, which a control holds as text."""
    return Box in (_TYPES[name], *typing.get_args(_TYPES[name]))


def read_value(name: str, held: Any) -> Any:
    """Convert the value of a control, or of JSON, to the value of a setting.

    Raises:
        OptionError: it is not a box of four numbers.
    """
    if not is_box(name) or isinstance(held, tuple):
        # JSON and sliders have a single number type
        whole = _TYPES[name] is int and isinstance(held, float) and held.is_integer()
        return int(held) if whole else held
    words = held if isinstance(held, list) else str(held or "").replace(",", " ").split()
    if not words:
        return FIELDS[name].default
    try:
        numbers = tuple(int(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) != len(Box._fields):
        raise OptionError(
            f"'{name}' cannot be read", given=" ".join(map(str, words)), hint=f"{strings.FOUR_NUMBERS}."
        )
    return numbers


def held_value(name: str, value: Any) -> Any:
    """Convert the value of a setting to the value of its control."""
    if not is_box(name):
        return value
    return "" if value is None or value == FIELDS[name].default else " ".join(map(str, value))


def settings_json(options: SyncOptions) -> str:
    """Return the settings as JSON for `load_settings`. Paths on this machine are left out."""
    values = {
        name: [str(part) for part in value] if name.endswith("_ranges") else value
        for name, value in options.flat().items()
        if not isinstance(value, Path)
    }
    return json.dumps(values, indent=2)


def load_settings(text: str) -> dict[str, Any]:
    """Parse settings from JSON: those on the page, and the time ranges. Paths are ignored.

    Raises:
        OptionError: it is not a JSON object of settings, or a value is invalid.
        RangeError: a time range is invalid.
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
    unknown = sorted(set(given) - set(FIELDS))
    if unknown:
        raise OptionError(
            "There are no such settings", given=", ".join(unknown), hint=f"Known: {', '.join(FIELDS)}."
        )
    try:
        values = {name: read_value(name, value) for name, value in given.items() if name in PAGE_SETTINGS}
        values |= {name: _ranges(given[name]) for name in RANGE_SETTINGS if name in given}
        SyncOptions.from_flat(**values)
    except (TypeError, AttributeError) as error:
        raise OptionError(
            "A setting has a value of the wrong kind", given=str(error), hint=strings.SETTINGS_HINT
        ) from error
    return values


def _ranges(given: Any) -> tuple[TimeRange, ...]:
    """Time ranges from a list of texts, as `settings_json` writes them, or from one text."""
    return TimeRange.parse_list(given if isinstance(given, str) else "\n".join(given))
