"""Previewed frame on which the face box is dragged and faces are clicked."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from lipsync.blending import draw_overlay
from lipsync.media.video.images import resize_image
from lipsync.types import Preview
from lipsync.ui.components.data_urls import jpeg_data_url
from lipsync.ui.components.html_component import html_component
from lipsync.ui.components.status import UNQUEUED, Updates
from lipsync.ui.languages import strings

_MAX_SIDE = 1280
"""Longest side of the picture that is sent; the box is in pixels of the frame itself."""
_EDITED = "() => document.querySelector('#overlay .stage').parentElement.edited()"


def build_face_box() -> gr.HTML:
    """Build the component; its value is what `face_box_value` returns."""
    return html_component("face_box", _markup(), "overlay")


def face_box_value(drawn: Preview, *, fixed: bool) -> dict[str, Any]:
    """The value of the component.

    Args:
        drawn: the previewed frame.
        fixed: whether the box was set by hand, so that it can be given up.
    """
    height, width = drawn.source.shape[:2]
    picture = draw_overlay(drawn, box=False)
    scale = min(1.0, _MAX_SIDE / max(height, width))
    if scale < 1:
        picture = resize_image(picture, max(1, round(width * scale)), max(1, round(height * scale)))
    return {
        "picture": jpeg_data_url(picture),
        "width": width,
        "height": height,
        "box": None if drawn.box is None else list(map(int, drawn.box)),
        "people": [list(map(int, one.box)) for one in drawn.people],
        "selected": [one.selected for one in drawn.people],
        "fixed": fixed,
    }


def connect_face_box(view: gr.HTML, handler: Callable[..., Updates], inputs: list[Any], outputs: Any) -> None:
    """Call a handler with what was done on the picture, and with `inputs`.

    What was done: {"box": [top, bottom, left, right] or null} or {"face": index in `people`}.
    """
    edited = gr.JSON(visible=False)
    view.input(
        handler,
        [edited, *inputs],
        outputs,
        js=f"(_, ...others) => [({_EDITED})(), ...others]",
        trigger_mode="always_last",
        **UNQUEUED,
    )


def _markup() -> str:
    text = {name: html.escape(words) for name, words in strings.FACE_BOX.items()}
    given = html.escape(json.dumps(strings.FACE_BOX_WORDS, ensure_ascii=False))
    handles = "".join(
        f'<i data-edges="{edges}"></i>' for edges in ("tl", "tr", "bl", "br", "t", "b", "l", "r")
    )
    return f"""
<div class="stage" role="group" aria-label="{text["name"]}" data-words="{given}">
  <div class="stage-title">{text["name"]}</div>
  <div class="stage-frame" hidden><img alt="{text["name"]}"><div class="stage-people"></div>
    <div class="stage-box" tabindex="0" role="group" hidden>{handles}</div></div>
  <div class="stage-bar" hidden><span>{text["keys"]}</span>
    <button type="button" data-do="find">{text["find"]}</button></div>
  <div class="stage-said" role="status"></div>
</div>"""
