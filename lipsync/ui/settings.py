"""The settings in their three groups; every control comes from its declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.errors import LipsyncError
from lipsync.options import PAGE_GROUPS, PRESETS, SMOOTHINGS, SyncOptions
from lipsync.ui import range_table, strings
from lipsync.ui.controls import RANGES, choices, control, in_group, load_settings, show
from lipsync.ui.formatting import in_words
from lipsync.ui.range_table import RangeTable

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


_ONLY_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "face_index": ("which_face", ("index",)),
    "face_x": ("which_face", ("point",)),
    "face_y": ("which_face", ("point",)),
    "face_time": ("which_face", ("point",)),
    "face_reference": ("which_face", ("reference",)),
    "smoothing_frames": ("smoothing", tuple(name for name in SMOOTHINGS if name != "none")),
}
"""Settings that mean something only while another one has one of these values; else they are hidden."""


@dataclass(frozen=True)
class Settings:
    """The components.

    Attributes:
        controls: by the name of the setting, in the order that forms are read in.
        compare: the second model, or "".
        reference: a picture of the person who speaks, for `face_reference`.
    """

    controls: dict[str, Any]
    compare: gr.Dropdown
    reference: gr.Image


def build_settings(video_ranges: RangeTable, voice_ranges: RangeTable) -> Settings:
    """Lay out all settings; loading a file of settings also fills the tables of parts."""
    gr.Markdown(strings.SETTINGS)
    controls: dict[str, Any] = {}
    first, *others = PAGE_GROUPS
    with gr.Accordion(strings.GROUPS[first], open=True, elem_id=f"group-{first}"):
        preset = _preset()
        with gr.Row(elem_classes="settings"):  # a handful, which needs no headings
            controls |= {name: control(name) for names in in_group(first).values() for name in names}
            compare = _compare()
    for group in others:
        with gr.Accordion(strings.GROUPS[group], open=False, elem_id=f"group-{group}"):
            for section, names in in_group(group).items():
                gr.Markdown(f"#### {strings.SECTIONS[section]}")
                with gr.Row(elem_classes="settings"):
                    controls |= {name: control(name, visible=_shown_at_first(name)) for name in names}
                if "which_face" in names:
                    reference = _reference()
    load = gr.UploadButton(
        strings.SETTINGS_LOAD, file_types=[".json"], size="sm", elem_id="load-settings", variant="secondary"
    )
    changed = [controls[name] for name in PRESETS["standard"]]
    preset.input(lambda chosen: list(PRESETS[chosen].values()), preset, changed, **_QUIET)
    _join_visibility({**controls, "face_reference": reference})
    load.upload(
        _loader(list(controls)),
        load,
        [*controls.values(), *video_ranges.all, *voice_ranges.all],
        **{**_QUIET, "queue": True},  # what is not queued cannot say that it failed
    )
    return Settings(controls, compare, reference)


def _preset() -> gr.Radio:
    return gr.Radio(
        [(strings.PRESETS[name], name) for name in PRESETS],
        value="standard",
        label=strings.PRESET,
        info=strings.PRESET_HELP,
        elem_id="preset",
    )


def _compare() -> gr.Dropdown:
    models = [(words, name) for words, name in choices("variant") if name != "auto"]
    return gr.Dropdown(
        [(strings.COMPARE_NONE, ""), *models],
        value="",
        label=strings.COMPARE,
        info=strings.COMPARE_HELP,
        elem_id="compare",
    )


def _reference() -> gr.Image:
    return gr.Image(
        label=strings.REFERENCE,
        type="filepath",
        sources=["upload", "webcam"],
        height=200,
        placeholder=strings.REFERENCE_HELP,
        visible="hidden",
        elem_id="face_reference",
    )


def _shown_at_first(name: str) -> bool | str:
    leader, values = _ONLY_WITH.get(name, ("", ()))
    return SyncOptions().flat()[leader] in values or "hidden" if leader else True


def _join_visibility(components: dict[str, Any]) -> None:
    """Let every setting that depends on another come and go with it."""
    for leader in dict.fromkeys(leader for leader, _ in _ONLY_WITH.values()):
        names = [name for name, (of, _) in _ONLY_WITH.items() if of == leader]
        show_them = _follower([_ONLY_WITH[name][1] for name in names])
        components[leader].change(
            show_them, components[leader], [components[name] for name in names], **_QUIET
        )


def _follower(values: list[tuple[str, ...]]) -> Callable[[str], Any]:
    """What a change of the setting they depend on does to them."""

    def react(chosen: str) -> Any:
        updates = [gr.update(visible=chosen in of or "hidden") for of in values]
        return updates if len(updates) > 1 else updates[0]

    return react


def _loader(names: list[str]) -> Any:
    """What giving a file of settings does: every control takes its value, the others stay."""

    def load(path: str) -> list[Any]:
        try:
            text = Path(path).read_text("utf-8", errors="replace")
            values = load_settings(text)
            tables = [range_table.shown(values.get(name, ())) for name in RANGES]
        except LipsyncError as error:
            gr.Warning(in_words(error), title=strings.NOT_DONE, duration=15)
            return [gr.skip()] * (len(names) + 2 * len(range_table.shown(())))
        gr.Info(strings.SETTINGS_LOADED, title=strings.SETTINGS_LOAD)
        shown = [show(name, values[name]) if name in values else gr.skip() for name in names]
        return [*shown, *tables[0], *tables[1]]

    return load
