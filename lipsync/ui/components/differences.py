"""Settings that differ from the chosen preset, listed and reset."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, Literal

import gradio as gr

from lipsync.options import PRESETS
from lipsync.ui.components.changes import new_values
from lipsync.ui.components.status import QUIET, UNQUEUED, Updates, Values
from lipsync.ui.labels import choice_label, label
from lipsync.ui.languages import strings
from lipsync.ui.settings_file import FIELDS, held_value


class Differences:
    """The list, its button and their events."""

    def __init__(self) -> None:
        self._text = gr.HTML(visible="hidden", elem_id="differences")
        self._reset = gr.Button(strings.RESET, size="sm", visible="hidden", elem_id="reset-settings")

    def connect(self, preset: gr.Radio, controls: Mapping[str, Any], changed: Any) -> None:
        """Connect the events.

        Args:
            preset: its values are names of `options.PRESETS`.
            controls: by the name of the setting.
            changed: the event of a new value in any of the controls.
        """

        def show(values: Values) -> Updates:
            usual = usual_values(values[preset])
            given = {name: values[control] for name, control in controls.items()}
            changed = [name for name, value in given.items() if not _same(value, usual[name])]
            lines = [describe(name, given[name], usual[name]) for name in changed]
            text = html.escape(strings.DIFFERENCES.format(changes="; ".join(lines))) if lines else ""
            visible: bool | Literal["hidden"] = True if lines else "hidden"
            return {self._text: gr.HTML(text, visible=visible), self._reset: gr.Button(visible=visible)}

        def reset(chosen: str) -> Updates:
            usual = usual_values(chosen)
            return {control: usual[name] for name, control in controls.items()}

        listed = [preset, *controls.values()]
        triggers = [changed, preset.change]
        # One after the other: a second change within milliseconds is asked beside the first, and must not be
        # answered before it.
        in_turn: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "differences", **QUIET}
        new_values(listed, triggers)(show, set(listed), [self._text, self._reset], **in_turn)
        self._reset.click(reset, preset, [*controls.values()], **UNQUEUED)


def usual_values(preset: str) -> dict[str, Any]:
    """What the controls of all settings hold with a preset and nothing else changed, by name."""
    values = {name: field.default for name, field in FIELDS.items()} | PRESETS[preset]
    return {name: held_value(name, value) for name, value in values.items()}


def describe(name: str, value: Any, usual: Any) -> str:
    """A setting, its value and the usual one, in the words of the page."""
    shown, instead = (_worded(name, one) for one in (value, usual))
    return strings.DIFFERENCE.format(label=label(name), value=shown, usual=instead)


def _worded(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return strings.ON if value else strings.OFF
    if isinstance(value, float):
        return f"{value:g}"
    return choice_label(name, value) if value not in ("", None) else strings.NOT_SET


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one in ("", None) and other in ("", None))
