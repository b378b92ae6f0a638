"""Controls of the page, made from the declarations in `lipsync.options`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import gradio as gr

from lipsync.options import declared_options

_FIELDS = {field.name: field for _, field in declared_options()}


def control(
    name: str, *, label: str, choices: Iterable[str | tuple[str, str]] = ()
) -> gr.components.FormComponent:
    """The control of the setting called `name`: a list, a tick box or a slider, by its declaration.

    `choices` replaces the declared values, by names or by (text to show, value).
    """
    field: dataclasses.Field[Any] = _FIELDS[name]
    declared, default = field.metadata, field.default
    unit = f" ({declared['unit']})" if declared["unit"] else ""
    common: dict[str, Any] = {
        "value": default,
        "label": label + unit,
        "info": declared["help"],
        "elem_id": name,
    }
    if options := list(choices or declared["choices"]):
        return gr.Dropdown(options, **common)
    if isinstance(default, bool):
        return gr.Checkbox(**common)
    step = 1 if isinstance(default, int) or declared["max"] > 10 else 0.05
    return gr.Slider(declared["min"], declared["max"], step=step, **common)
