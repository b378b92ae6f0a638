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
from lipsync.ui.languages import strings
from lipsync.utils.given_values import short_repr
from lipsync.utils.suggestions import did_you_mean

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


def is_box(name: str) -> bool:
    """Whether a setting is a box, which a control holds as text."""
    return Box in (_TYPES[name], *typing.get_args(_TYPES[name]))


def read_value(name: str, held: Any) -> Any:
    """Convert the value of a control, or of JSON, to the value of a setting.

    Only what JSON and controls cannot express is converted: the declaration checks the rest.

    Raises:
        OptionError: a text is not a box of four numbers.
    """
    if not is_box(name):
        # JSON and sliders have a single number type
        whole = _TYPES[name] is int and isinstance(held, float) and held.is_integer()
        return int(held) if whole else held
    if held is None or held == "" or held == []:
        return FIELDS[name].default
    return _parse_box(name, held) if isinstance(held, str) else held


def _parse_box(name: str, text: str) -> Any:
    words = text.replace(",", " ").split()
    try:
        numbers = tuple(int(word) for word in words)
    except ValueError:
        numbers = ()
    if words and len(numbers) != len(Box._fields):
        raise OptionError(f"'{name}' cannot be read", given=short_repr(text), hint=f"{strings.FOUR_NUMBERS}.")
    return numbers if words else FIELDS[name].default


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
    except (ValueError, RecursionError) as error:
        raise OptionError(
            "These settings cannot be read", given=str(error), hint=strings.SETTINGS_HINT
        ) from error
    return read_settings(given)


def read_settings(given: Any) -> dict[str, Any]:
    """Settings from the content of a JSON file; otherwise as `load_settings`."""
    if not isinstance(given, dict):
        raise OptionError(
            "These settings cannot be read", given=short_repr(given), hint=strings.SETTINGS_HINT
        )
    unknown = sorted(map(str, set(given) - set(FIELDS)))
    if unknown:
        meant = " ".join(filter(None, (did_you_mean(name, FIELDS) for name in unknown)))
        hint = meant or strings.SETTINGS_UNKNOWN_HINT
        raise OptionError("There are no such settings", given=short_repr(", ".join(unknown)), hint=hint)
    values = {name: read_value(name, value) for name, value in given.items() if name in PAGE_SETTINGS}
    values |= {name: _ranges(given[name]) for name in RANGE_SETTINGS if name in given}
    SyncOptions.from_flat(**values)
    return values


def _ranges(given: Any) -> Any:
    """Time ranges from a list of texts, as `settings_json` writes them, or from one text."""
    if isinstance(given, (list, tuple)) and all(isinstance(part, str) for part in given):
        given = "\n".join(given)
    return TimeRange.parse_list(given) if isinstance(given, str) else given
