"""Panel that downloads the chosen models before a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.components.settings import Settings
from lipsync.ui.components.status import (
    QUIET,
    UNQUEUED,
    Updates,
    Values,
    connect_cancel,
    error_line,
    progress_line,
    status_line,
)
from lipsync.ui.languages import strings
from lipsync.ui.model_marks import MARKED, MenuModel, marked_choices, menu_model
from lipsync.ui.sessions import Sessions

_DOWNLOADS: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "weights", **QUIET}
_KIND = "fetch"


@dataclass(frozen=True)
class FetchPanel:
    """The components of the panel, shown while a chosen model is not on this machine."""

    group: gr.Group
    about: gr.HTML
    fetch: gr.Button
    cancel: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """All components."""
        return [self.group, self.about, self.fetch, self.cancel]


def build_fetch_panel() -> FetchPanel:
    """Build the panel."""
    with gr.Group(visible=False) as group:
        about = gr.HTML(elem_id="fetch-about")
        with gr.Row():
            fetch = gr.Button(strings.FETCH, size="sm", elem_id="fetch")
            cancel = gr.Button(
                strings.FETCH_CANCEL, size="sm", variant="stop", visible=False, elem_id="fetch-cancel"
            )
    return FetchPanel(group, about, fetch, cancel)


class FetchEvents:
    """The event handlers of the panel, and the marks in the menus."""

    def __init__(self, sessions: Sessions, panel: FetchPanel, settings: Settings) -> None:
        self._sessions, self._panel = sessions, panel
        self._menus = {name: settings.controls[name] for name in MARKED}
        self._compare = settings.compare

    def connect(self, page: gr.Blocks) -> None:
        """Connect the events; the marks are renewed when the page is loaded."""
        panel, menus = self._panel, [*self._menus.values(), self._compare]
        gr.on([menu.change for menu in menus], self.show, {*menus}, panel.outputs, **UNQUEUED)
        page.load(self.mark, None, menus, **QUIET)
        fetching = panel.fetch.click(self.fetch, {*menus}, [*panel.outputs, *menus], **_DOWNLOADS)
        connect_cancel(panel.cancel, self.cancel, {*menus}, panel.outputs, [fetching])

    def mark(self) -> Updates:
        """Mark the models in the menus."""
        updates: Updates = {menu: gr.Dropdown(marked_choices(name)) for name, menu in self._menus.items()}
        others = [choice for choice in marked_choices("variant") if choice[1] != "auto"]
        return {**updates, self._compare: gr.Dropdown([(strings.COMPARE_NONE, ""), *others])}

    def _absent(self, values: Values) -> dict[str, MenuModel]:
        """The chosen models that are not on this machine, by name."""
        chosen = [(name, values[menu]) for name, menu in self._menus.items()]
        chosen.append(("variant", values[self._compare]))
        found = {value: menu_model(name, value) for name, value in chosen if value}
        return {value: model for value, model in found.items() if model and not model.here}

    def show(self, values: Values) -> Updates:
        """Show the panel if a chosen model is not here."""
        panel, absent = self._panel, self._absent(values)
        text = "; ".join(f"{model.label}: {model.facts}" for model in absent.values())
        return {
            panel.group: gr.Group(visible=bool(absent)),
            panel.about: status_line(strings.FETCH_ABOUT.format(models=text)) if absent else "",
            panel.fetch: gr.Button(visible=True),
            panel.cancel: gr.Button(visible=False),
        }

    def fetch(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Download what is missing, one model after the other."""
        panel = self._panel
        cancel = self._sessions.get(request.session_hash).start(_KIND)
        yield {panel.fetch: gr.Button(visible=False), panel.cancel: gr.Button(visible=True)}
        try:
            for model in self._absent(values).values():
                for item in run_in_thread(lambda progress, one=model: one.fetch(progress, cancel), cancel):  # type: ignore[misc]
                    if not isinstance(item, Done):
                        yield {panel.about: progress_line(model.label, item)}
        except Exception as error:  # shown to the visitor, whatever it is
            failed = {**self.show(values), panel.about: error_line(error)}
            yield {**failed, **self.mark()}
            return
        yield {**self.show(values), **self.mark()}

    def cancel(self, request: gr.Request, values: Values) -> Updates:
        """Cancel the download; what has arrived is kept, and it goes on from there."""
        self._sessions.get(request.session_hash).cancel(_KIND)
        return self.show(values)
