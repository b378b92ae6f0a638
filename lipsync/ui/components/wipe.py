"""Before and after as one playing picture with a line that wipes over it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr

from lipsync.types import SyncResult
from lipsync.ui.components.html_component import html_component
from lipsync.ui.labels import choice_label
from lipsync.ui.languages import strings

_SPEEDS = ("1", "0.5", "0.25", "0.1")


def build_wipe() -> gr.HTML:
    """Build the component; it plays the video of the player with the element id "side-by-side"."""
    return html_component("wipe", _markup(), "wipe")


def wipe_value(results: Sequence[SyncResult]) -> dict[str, Any]:
    """The value of the component: the columns of the side-by-side video, and its frame rate."""
    return {
        "names": [strings.WIPE["before"], *(choice_label("variant", one.variant) for one in results)],
        "fps": float(results[0].fps),
    }


def _markup() -> str:
    text = {name: html.escape(words) for name, words in strings.WIPE.items()}
    speeds = "".join(f'<option value="{speed}">{speed}×</option>' for speed in _SPEEDS)
    buttons = "".join(
        f'<button type="button" data-do="{act}" title="{text[act]}" aria-label="{text[act]}">{sign}</button>'
        for act, sign in (("play", "▶"), ("back", "◂|"), ("next", "|▸"))
    )
    return f"""
<div class="wipe" role="group" aria-label="{text["name"]}" hidden>
  <div class="wipe-stage"><canvas role="img" aria-label="{text["name"]}"></canvas>
    <div class="wipe-line"></div><span class="wipe-name"></span><span class="wipe-name"></span></div>
  <input class="wipe-split" type="range" min="0" max="100" value="50" step="0.5" aria-label="{text["split"]}">
  <div class="wipe-bar">{buttons}
    <select class="wipe-speed" aria-label="{text["speed"]}">{speeds}</select>
    <select class="wipe-columns" aria-label="{text["column"]}"></select></div>
</div>"""
