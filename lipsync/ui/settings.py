"""The settings in their three groups; every control comes from its declaration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.errors import LipsyncError
from lipsync.generators import GENERATORS
from lipsync.options import PAGE_GROUPS, PRESETS
from lipsync.ui import ranges, texts
from lipsync.ui.controls import RANGES, control, in_group, load_settings, show
from lipsync.ui.ranges import RangeTable
from lipsync.ui.words import in_words

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Settings:
    """The components: `controls` by the name of the setting, in the order that forms are read in."""

    controls: dict[str, Any]
    compare: gr.Dropdown


def build_settings(video_ranges: RangeTable, voice_ranges: RangeTable) -> Settings:
    """Lay out all settings; loading a file of settings also fills the tables of parts."""
    gr.Markdown(texts.SETTINGS)
    controls: dict[str, Any] = {}
    for group in PAGE_GROUPS:
        with gr.Accordion(texts.GROUPS[group], open=group == "main", elem_id=f"group-{group}"):
            if group == "main":
                preset = gr.Radio(
                    [(texts.PRESETS[name], name) for name in PRESETS],
                    value="standard",
                    label=texts.PRESET,
                    info=texts.PRESET_HELP,
                    elem_id="preset",
                )
            controls |= {name: control(name) for name in in_group(group)}
            if group == "main":
                compare = gr.Dropdown(
                    [(texts.COMPARE_NONE, ""), *((name, name) for name in GENERATORS)],
                    value="",
                    label=texts.COMPARE,
                    info=texts.COMPARE_HELP,
                    elem_id="compare",
                )
    load = gr.UploadButton(
        texts.SETTINGS_LOAD, file_types=[".json"], size="sm", elem_id="load-settings", variant="secondary"
    )
    changed = [controls[name] for name in PRESETS["standard"]]
    preset.input(lambda chosen: list(PRESETS[chosen].values()), preset, changed, **_QUIET)
    load.upload(
        _loader(list(controls)),
        load,
        [*controls.values(), *video_ranges.all, *voice_ranges.all],
        **{**_QUIET, "queue": True},  # what is not queued cannot say that it failed
    )
    return Settings(controls, compare)


def _loader(names: list[str]) -> Any:
    """What giving a file of settings does: every control takes its value, the others stay."""

    def load(path: str) -> list[Any]:
        try:
            text = Path(path).read_text("utf-8", errors="replace")
            values = load_settings(text)
            tables = [ranges.shown(values.get(name, ())) for name in RANGES]
        except LipsyncError as error:
            gr.Warning(in_words(error), title=texts.NOT_DONE, duration=15)
            return [gr.skip()] * (len(names) + 2 * len(ranges.shown(())))
        gr.Info(texts.SETTINGS_LOADED, title=texts.SETTINGS_LOAD)
        shown = [show(name, values[name]) if name in values else gr.skip() for name in names]
        return [*shown, *tables[0], *tables[1]]

    return load
