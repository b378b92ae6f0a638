"""A file input on a tab of its own, with an alternative to it on another tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.ui.components.status import Updates
from lipsync.ui.components.tab_selector import TabSelector

_REPLACE = "(given, other) => given ? null : other"


@dataclass(frozen=True)
class FileInput:
    """One of two ways to give the same file; the last used one counts.

    Attributes:
        component: takes the file.
        tabs, tab: where it is.
        other: the component of the other way.
    """

    component: Any
    tabs: TabSelector
    tab: str
    other: Any

    @property
    def outputs(self) -> list[Any]:
        """The components that `show` updates."""
        return [*self.tabs.outputs(self.tab), self.component, self.other]

    def show(self, path: str) -> Updates:
        """Return the updates that give it a file: with its tab in front, and without the other's file."""
        return {**self.tabs.show(self.tab), self.component: path, self.other: None}

    def connect(self) -> None:
        """Remove the other's file as soon as the visitor gives one here.

        In the browser, and on the visitor's own act: Gradio dispatches `change` again whenever something
        about a component is updated, seconds later too, which would undo what the visitor did in between.
        """
        triggers = [self.component.input]
        if isinstance(self.component, gr.Video):  # a recording is no `input` of it
            triggers.append(self.component.stop_recording)
        gr.on(triggers, None, [self.component, self.other], self.other, js=_REPLACE)
