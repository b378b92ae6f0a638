"""Labels of settings and values, also for messages of the core."""

from __future__ import annotations

from typing import Any

from lipsync.options import LENGTH_MODES, SILENCES, LinkOptions, declared_options
from lipsync.ui.languages import strings, translated
from lipsync.utils.setting_names import reword

_WORDS_OF_CORE: dict[str, dict[Any, str]] = {"length_mode": LENGTH_MODES, "in_silence": SILENCES}
"""Values of settings whose words are in `lipsync.options`."""
_NAMES = {field.name for _, field in declared_options()} | set(LinkOptions.__dataclass_fields__)


def label(name: str) -> str:
    """The label of a setting."""
    return strings.LABELS.get(name) or translated(name.replace("_", " ").capitalize())


def choice_label(name: str, value: Any) -> str:
    """The label of a value of a setting."""
    words = strings.CHOICES.get(name) or translated(_WORDS_OF_CORE.get(name, {}))
    return words.get(value, str(value))


def in_labels(text: str) -> str:
    """A message of the core in the visitor's language, with labels in place of the names of settings."""
    return reword(translated(text), _NAMES, _worded)


def _worded(name: str, value: str | None) -> str:
    if value is None:
        return strings.SETTING.format(label=label(name))
    shown = {"True": strings.ON, "False": strings.OFF}.get(value) or choice_label(name, value)
    return strings.SETTING_VALUE.format(label=label(name), value=shown)
