"""Selection of tabs by events, as one click on the tab's button in the browser."""

from __future__ import annotations

import json
import secrets
from typing import Any

import gradio as gr

from lipsync.ui.components.status import Updates

_CLICK = """() => {{
  const bar = document.querySelector({bar});
  const inMenu = () => [...bar.querySelectorAll('.overflow-dropdown button')]
    .find((one) => one.textContent.trim() === {label});
  (bar.querySelector({button}) ?? inMenu())?.click();
}}"""


class TabSelector:
    """Brings a tab to the front when an event asks for it, exactly once.

    `gr.Tabs(selected=...)` is never sent: Gradio keeps it as a property and applies it again, with the second
    copy of a generator's last update and whenever an outer tab is opened, over the visitor's own later click.

    Args:
        tabs: must have an `elem_id`, and tabs with ids.
    """

    def __init__(self, tabs: gr.Tabs) -> None:
        self._requests: dict[str, gr.State] = {}
        self._scripts: dict[str, str] = {}
        for tab in tabs.children:
            name = str(getattr(tab, "id", ""))
            self._scripts[name] = _CLICK.format(
                bar=json.dumps(f"#{tabs.elem_id} > .tab-wrapper"),
                button=json.dumps(f'[role=tab][data-tab-id="{name}"]'),
                label=json.dumps(getattr(tab, "label", "")),
            )
            self._requests[name] = gr.State("")
            self._requests[name].change(None, None, None, js=self._scripts[name])

    def outputs(self, *names: str) -> list[Any]:
        """The components that `show` updates, for these tabs."""
        return [self._requests[name] for name in names]

    def show(self, name: str) -> Updates:
        """Return the update that brings a tab to the front."""
        return {self._requests[name]: secrets.token_hex(8)}

    def script(self, name: str) -> str:
        """Return the JavaScript function that brings a tab to the front, for events without a server."""
        return self._scripts[name]
