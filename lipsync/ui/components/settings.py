"""Settings of a run in groups; every control is generated from its declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.errors import LipsyncError, OptionError
from lipsync.options import PAGE_GROUPS, PRESETS, SMOOTHINGS, SyncOptions
from lipsync.ui.components.controls import group_sections, setting_control
from lipsync.ui.components.differences import Differences
from lipsync.ui.components.range_table import MAX_ROWS, RangeTable
from lipsync.ui.components.status import QUIET, UNQUEUED, Updates
from lipsync.ui.components.upload_fields import FileButton, photo_field
from lipsync.ui.formatting import error_text
from lipsync.ui.labels import label
from lipsync.ui.languages import strings
from lipsync.ui.model_marks import marked_choices
from lipsync.ui.settings_file import held_value, load_settings

_SHOWN_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "face_index": ("which_face", ("index",)),
    "face_x": ("which_face", ("point",)),
    "face_y": ("which_face", ("point",)),
    "face_time": ("which_face", ("point",)),
    "face_reference": ("which_face", ("reference",)),
    "smoothing_frames": ("smoothing", tuple(name for name in SMOOTHINGS if name != "none")),
}
"""Settings that are shown only while another setting has one of these values."""


@dataclass(frozen=True)
class Settings:
    """The components of the settings.

    Attributes:
        preset: sets the values of some.
        controls: by the name of the setting.
        compare: the second model, or "".
        reference: photo of the speaker, for `face_reference`.
        differences: lists what differs from the preset.
    """

    preset: gr.Radio
    controls: dict[str, Any]
    compare: gr.Dropdown
    reference: gr.Image
    differences: Differences


def build_settings(video_ranges: RangeTable, voice_ranges: RangeTable) -> Settings:
    """Build all settings; loading a settings file also fills the range tables."""
    gr.Markdown(strings.SETTINGS)
    controls: dict[str, Any] = {}
    first, *others = PAGE_GROUPS
    with gr.Accordion(strings.GROUPS[first], open=True, elem_id=f"group-{first}"):
        preset = _build_preset()
        differences = Differences()
        with gr.Row(elem_classes="settings"):  # too few for headings
            controls |= {
                name: setting_control(name) for names in group_sections(first).values() for name in names
            }
            compare = _build_compare()
    for group in others:
        with gr.Accordion(strings.GROUPS[group], open=False, elem_id=f"group-{group}"):
            for section, names in group_sections(group).items():
                gr.Markdown(f"#### {strings.SECTIONS[section]}")
                with gr.Row(elem_classes="settings"):
                    controls |= {name: setting_control(name, visible=_shown_at_first(name)) for name in names}
                if "which_face" in names:
                    reference = _build_reference()
    load = FileButton(
        strings.SETTINGS_LOAD, file_types=[".json"], size="sm", elem_id="load-settings", variant="secondary"
    )
    _connect_preset(preset, controls)
    _connect_visibility({**controls, "face_reference": reference})
    tables = {"video_ranges": video_ranges, "voice_ranges": voice_ranges}
    load.upload(
        lambda path: load_file(path, controls, tables),
        load,
        [*controls.values(), *video_ranges.outputs, *voice_ranges.outputs],
        **QUIET,  # queued: an event past the queue cannot show an error
    )
    return Settings(preset, controls, compare, reference, differences)


def _build_preset() -> gr.Radio:
    return gr.Radio(
        [(strings.PRESETS[name], name) for name in PRESETS],
        value="standard",
        label=strings.PRESET,
        info=f"{strings.PRESET_HELP} · {preset_texts()}",
        elem_id="preset",
    )


def preset_texts() -> str:
    """What each preset sets, in the words of the page."""
    texts = []
    for name, values in PRESETS.items():
        settings = ", ".join(f"{label(one)} {value}" for one, value in values.items())
        texts.append(strings.PRESET_SETS.format(preset=strings.PRESETS[name], settings=settings))
    return " · ".join(texts)


def _build_compare() -> gr.Dropdown:
    models = [(label, name) for label, name in marked_choices("variant") if name != "auto"]
    return gr.Dropdown(
        [(strings.COMPARE_NONE, ""), *models],
        value="",
        label=strings.COMPARE,
        info=strings.COMPARE_HELP,
        elem_id="compare",
    )


def _build_reference() -> gr.Image:
    return photo_field(
        label=strings.REFERENCE,
        height=200,
        placeholder=strings.REFERENCE_HELP,
        visible="hidden",
        elem_id="face_reference",
    )


def _connect_preset(preset: gr.Radio, controls: dict[str, Any]) -> None:
    """Let the preset set the values of its settings."""

    def apply(chosen: str) -> Updates:
        return {controls[name]: value for name, value in PRESETS[chosen].items()}

    preset.input(apply, preset, [controls[name] for name in PRESETS["standard"]], **UNQUEUED)


def _shown_at_first(name: str) -> bool | str:
    leader, values = _SHOWN_WITH.get(name, ("", ()))
    return SyncOptions().flat()[leader] in values or "hidden" if leader else True


def _connect_visibility(components: dict[str, Any]) -> None:
    """Show and hide every dependent setting with the value of the one it depends on."""
    for leader in dict.fromkeys(leader for leader, _ in _SHOWN_WITH.values()):
        shown_for = {
            components[name]: values for name, (other, values) in _SHOWN_WITH.items() if other == leader
        }
        components[leader].change(_shower(shown_for), components[leader], list(shown_for), **UNQUEUED)


def _shower(shown_for: dict[Any, tuple[str, ...]]) -> Callable[[str], Updates]:
    """The handler of a change of the setting that others depend on."""

    def react(chosen: str) -> Updates:
        return {
            component: gr.update(visible=chosen in values or "hidden")
            for component, values in shown_for.items()
        }

    return react


def load_file(path: str, controls: dict[str, Any], tables: dict[str, RangeTable]) -> Updates:
    """Show the values of a settings file; those that it does not name stay, and after an error all do."""
    try:
        values = load_settings(Path(path).read_text("utf-8", errors="replace"))
        for name in tables:
            if (count := len(values.get(name, ()))) > MAX_ROWS:
                raise OptionError(
                    f"'{name}' has more parts than the page shows",
                    given=count,
                    hint=strings.ROWS_HINT.format(count=MAX_ROWS),
                )
    except LipsyncError as error:
        gr.Warning(error_text(error), title=strings.NOT_DONE, duration=15)
        return dict.fromkeys(controls.values(), gr.skip())
    gr.Info(strings.SETTINGS_LOADED, title=strings.SETTINGS_LOAD)
    updates: Updates = {
        control: held_value(name, values[name]) for name, control in controls.items() if name in values
    }
    for name, table in tables.items():
        if name in values:
            updates |= table.show(values[name])
    return updates
