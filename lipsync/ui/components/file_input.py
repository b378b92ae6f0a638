"""A file input on a tab of its own, with an alternative to it on another tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.types import TimeRange
from lipsync.ui.components.range_table import RangeTable
from lipsync.ui.components.status import Updates
from lipsync.ui.components.tab_selector import TabSelector

_REPLACE = """(given, other, ...parts) => {
  // A first file keeps the parts, which a settings file may have brought.
  const isFirst = Boolean(given) !== Boolean(other);
  // What stays is undefined: a value that is set is a change, also where it is the same.
  return [given && other ? null : undefined, ...parts.map((part) => part && !isFirst ? '' : undefined)];
}"""


@dataclass(frozen=True)
class FileInput:
    """One of two ways to give the same file; the last used one counts.

    Attributes:
        component: takes the file.
        tabs, tab: where it is.
        other: the component of the other way.
        table: parts of the file to use.
    """

    component: Any
    tabs: TabSelector
    tab: str
    other: Any
    table: RangeTable

    @property
    def outputs(self) -> list[Any]:
        """The components that `show` updates."""
        return [*self.tabs.outputs(self.tab), self.component, self.other, *self.table.outputs]

    def show(self, path: str, parts: tuple[TimeRange, ...] = ()) -> Updates:
        """Return the updates that give it a file and its parts, with its tab in front and no other file."""
        return {
            **self.tabs.show(self.tab),
            **self.table.show(parts),
            self.component: path,
            self.other: None,
        }

    def connect(self) -> None:
        """Remove the other's file as soon as the visitor gives one here, and parts together with their file.

        In the browser, and on the visitor's own act: Gradio dispatches `change` again whenever something
        about a component is updated, seconds later too, which would undo what the visitor did in between.
        """
        triggers = [self.component.input]
        if isinstance(self.component, gr.Video):  # a recording is no `input` of it
            triggers.append(self.component.stop_recording)
        values = [self.other, *self.table.fields]
        gr.on(triggers, None, [self.component, *values], values, js=_REPLACE)
