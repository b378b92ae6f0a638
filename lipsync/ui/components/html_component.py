"""HTML components of our own: markup, style sheet and script of one name."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

_FOLDER = Path(__file__).parent


def html_component(name: str, markup: str, elem_id: str) -> gr.HTML:
    """Build a component, whose value is a dictionary that is empty at first.

    Args:
        name: of its .css and .js file in this folder.
    """
    return gr.HTML(
        {},
        html_template=markup,
        css_template=(_FOLDER / f"{name}.css").read_text("utf-8"),
        js_on_load=(_FOLDER / f"{name}.js").read_text("utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
    )
