"""Schema of the endpoints: descriptions of parameters, types of settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from lipsync.ui.settings_file import FIELDS, PAGE_SETTINGS, RANGE_SETTINGS


def settings_schema() -> dict[str, Any]:
    """JSON schema of every setting that callers may give, by name."""
    return {name: _setting_schema(FIELDS[name]) for name in (*PAGE_SETTINGS, *RANGE_SETTINGS)}


def _setting_schema(field: dataclasses.Field[Any]) -> dict[str, Any]:
    unit = f" ({field.metadata['unit']})" if field.metadata["unit"] else ""
    schema: dict[str, Any] = {"description": field.metadata["help"] + unit}
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number"}
    schema["type"] = kinds.get(type(field.default), "string")
    if field.metadata["choices"]:
        schema["enum"] = list(field.metadata["choices"])
    if isinstance(field.default, (bool, int, float, str)):
        schema["default"] = field.default
    return schema


def describe(component: Any, text: str) -> None:
    """Add a description to what the endpoints say of a parameter."""
    schema = {**component.api_info(), "description": text}
    setattr(component, "api_info", lambda: schema)  # noqa: B010


def argument_texts(docstring: str) -> dict[str, str]:
    """The description of every argument, from the section `Args:` of a docstring."""
    section = docstring.partition("Args:\n")[2].partition("\n\n")[0]
    texts: dict[str, str] = {}
    for line in section.splitlines():
        name, colon, text = line.strip().partition(": ")
        if colon and line.startswith("    ") and not line.startswith("     "):
            texts[name] = text
        else:  # the rest of the one before
            texts[next(reversed(texts))] += f" {line.strip()}"
    return texts
