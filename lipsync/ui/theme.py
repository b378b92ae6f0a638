"""Colours, fonts and script of the page."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

_FOLDER = Path(__file__).parent
CSS = (_FOLDER / "page.css").read_text("utf-8")
HEAD = f"<script>{(_FOLDER / 'page.js').read_text('utf-8')}</script>"


def theme() -> gr.themes.Base:
    """Return the theme: plain, with a text contrast of at least 4.5:1 (WCAG 2.1 AA), light and dark."""
    font = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    return gr.themes.Soft(font=font).set(
        block_info_text_color="*neutral_600",
        block_label_text_color="*primary_700",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_background_fill="none",
        block_title_background_fill_dark="none",
        block_title_padding="0",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        checkbox_label_background_fill_selected="*primary_600",
        checkbox_label_background_fill_selected_dark="*primary_600",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color_dark="*neutral_300",
        button_secondary_border_color="*neutral_300",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_border_width="1px",
        block_border_width="1px",
        input_border_width="1px",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_500",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        body_background_fill="*neutral_50",
    )
