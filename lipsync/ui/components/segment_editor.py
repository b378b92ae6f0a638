"""Segment editor: rows with face, voice, times and text."""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from lipsync.dubbing.fitting import MAX_SPEEDUP
from lipsync.ui.components.html_component import html_component
from lipsync.ui.components.status import Updates
from lipsync.ui.components.upload_fields import FileButton, FileField
from lipsync.ui.languages import strings
from lipsync.ui.script_rows import ScriptRow, segment_text, write_rows

SCRIPT_TYPES = [".srt", ".vtt", ".csv", ".tsv", ".json"]
_ELEMENT = "document.querySelector('#segment-editor .se')?.parentElement"
_TELL = """(told) => {{
  {element}?.dispatchEvent(new CustomEvent('lipsync-told', {{detail: told ? JSON.parse(told) : {{}}}}));
}}"""
AGAIN = f"() => [{_ELEMENT}.again()]"
EDITED = f"() => [{_ELEMENT}.rows()]"
"""JavaScript that returns the rows as JSON, as they are when the event is sent."""


@dataclass(frozen=True)
class SegmentEditor:
    """The editor and what stands around it.

    Attributes:
        view: the rows as they are loaded; the visitor's own changes go to `rows`.
        rows: hidden; the rows as JSON, or text in the language of segments that cannot be read.
        told: hidden; what the editor shows beside the rows, as JSON.
        text: the rows in the language of segments.
        again: hidden; the index of the row to be drawn again, and a number that is new each time.
    """

    view: gr.HTML
    rows: gr.Textbox
    told: gr.Textbox
    more_voices: gr.File
    script: gr.UploadButton
    find: gr.Button
    stop: gr.Button
    note: gr.HTML
    text: gr.Textbox
    again: gr.Textbox
    speedup: gr.Slider

    @property
    def outputs(self) -> list[Any]:
        """The components that `show` updates."""
        return [self.view, self.rows, self.text]

    def show(self, rows: Sequence[ScriptRow]) -> Updates:
        """Return the updates that fill the editor."""
        value = {"serial": secrets.token_hex(4), "rows": [asdict(row) for row in rows]}
        return {self.view: value, self.rows: write_rows(rows), self.text: segment_text(rows)}

    def connect(self) -> None:
        """Connect what happens in the browser alone."""
        self.view.input(None, None, self.rows, js=EDITED)
        self.view.submit(None, None, self.again, js=AGAIN)
        gr.on([self.told.change, self.view.load], None, self.told, None, js=_TELL.format(element=_ELEMENT))


def build_segment_editor() -> SegmentEditor:
    """Build the editor, folded."""
    with gr.Accordion(strings.SPEAKERS, open=False, elem_id="several"):
        gr.Markdown(strings.SPEAKERS_ABOUT)
        with gr.Row():
            find = gr.Button(strings.FIND_SPEAKERS, size="sm", min_width=120, elem_id="find-speakers")
            stop = gr.Button(
                strings.FIND_STOP, size="sm", variant="stop", visible=False, min_width=80, elem_id="find-stop"
            )
            script = FileButton(
                strings.SCRIPT_LOAD, size="sm", file_types=SCRIPT_TYPES, min_width=120, elem_id="load-script"
            )
        note = gr.HTML(elem_id="segments-note")
        view = html_component("segment_editor", _markup(), "segment-editor")
        more_voices = FileField(
            label=strings.MORE_VOICES,
            file_count="multiple",
            file_types=["audio", "video"],
            height=110,
            elem_id="more-voices",
        )
        speedup = gr.Slider(
            1,
            MAX_SPEEDUP,
            value=1,
            step=0.05,
            label=strings.MAX_SPEEDUP,
            info=strings.MAX_SPEEDUP_INFO,
            elem_id="max-speedup",
        )
        with gr.Accordion(strings.SEGMENTS_FOLD, open=False, elem_id="segments-fold"):
            gr.Markdown(strings.SEGMENTS_ABOUT)
            text = gr.Textbox(
                label=strings.SEGMENTS, placeholder=strings.SEGMENTS_EXAMPLE, lines=3, elem_id="segments"
            )
    rows, told, again = (gr.Textbox("", visible=False) for _ in range(3))
    return SegmentEditor(view, rows, told, more_voices, script, find, stop, note, text, again, speedup)


def _markup() -> str:
    words = strings.EDITOR_WORDS
    given = html.escape(json.dumps(words, ensure_ascii=False))
    name, add, clear = (html.escape(words[key]) for key in ("name", "add", "clear"))
    return f"""
<div class="se" role="group" aria-label="{name}" data-words="{given}">
  <div class="se-rows"></div>
  <div class="se-bar">
    <button type="button" data-do="add">{add}</button>
    <button type="button" data-do="clear" hidden>{clear}</button>
    <label class="se-all" hidden>{html.escape(words["speakAll"])} <select data-do="all"></select></label>
  </div>
  <div class="se-said" role="status"></div>
</div>"""
