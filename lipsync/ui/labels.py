"""Labels of settings and values, also for messages of the core."""

from __future__ import annotations

from typing import Any

from lipsync.options import LENGTH_MODES, SILENCES, LinkOptions, declared_options
from lipsync.ui import strings
from lipsync.utils.setting_names import reword

_CHOICES: dict[str, dict[Any, str]] = {
    **strings.CHOICES,
    "length_mode": LENGTH_MODES,
    "in_silence": SILENCES,
}
_NAMES = {field.name for _, field in declared_options()} | set(LinkOptions.__dataclass_fields__)


def label(name: str) -> str:
    """The label of a setting."""
    return strings.LABELS.get(name, name.replace("_", " ").capitalize())


def choice_label(name: str, value: Any) -> str:
    """The label of a value of a setting."""
    return _CHOICES.get(name, {}).get(value, str(value))


def in_labels(text: str) -> str:
    """A message of the core with the page's labels in place of the names of settings."""
    return reword(text, _NAMES, _worded)


def _worded(name: str, value: str | None) -> str:
    if value is None:
        return f"“{label(name)}”"
    shown = {"True": strings.ON, "False": strings.OFF}.get(value) or choice_label(name, value)
    return f"“{label(name)}: {shown}”"
