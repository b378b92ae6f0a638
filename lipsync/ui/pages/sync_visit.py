"""Events that bring a visit back: joining after a reload, history of results."""

from __future__ import annotations

import contextlib
import secrets
from typing import Any

import gradio as gr

from lipsync.errors import InputError, LipsyncError
from lipsync.ui.components.inputs import Inputs
from lipsync.ui.components.outputs import Outputs
from lipsync.ui.components.settings import Settings
from lipsync.ui.components.status import QUIET, Updates, Values, error_line
from lipsync.ui.history import joined
from lipsync.ui.languages import strings
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.pages.sync_run import RunEvents
from lipsync.ui.script_rows import read_rows
from lipsync.ui.sessions import Sessions

_READ = "() => [sessionStorage.getItem('lipsync visit') ?? '']"
"""A tab's own storage: it outlives a reload, and no other tab or browser can read it."""
_KEEP = "(visit) => { sessionStorage.setItem('lipsync visit', visit); }"


class VisitEvents:
    """Event handlers of a visit as a whole.

    They hold no state; what belongs to a visitor is in the `Session`."""

    def __init__(
        self,
        sessions: Sessions,
        inputs: Inputs,
        form: SyncForm,
        settings: Settings,
        outputs: Outputs,
        runs: RunEvents,
    ) -> None:
        self._sessions, self._form, self._out, self._runs = sessions, form, outputs, runs
        self._inputs, self._compare = inputs, settings.compare

    def connect(self, page: gr.Blocks) -> Any:
        """Connect the events; returns that of joining."""
        out = self._out
        visit = gr.Textbox(visible=False)
        tables = [one for table in self._form.ranges.values() for one in table.outputs]
        files = [one for given in self._inputs.files.values() for one in given.outputs]
        editor = self._inputs.editor
        restored = dict.fromkeys(
            [visit, *self._form.components, *tables, *files, *editor.outputs, out.ticket, *out.of_run]
        )
        joined = page.load(self.join, visit, list(restored), js=_READ, **QUIET)
        self._visit = visit
        joined.then(None, visit, None, js=_KEEP, **QUIET)
        out.result.again.click(self.show_again, {out.result.history, out.preview.time}, out.of_run, **QUIET)
        return joined

    def join(self, visit: str, request: gr.Request) -> Updates:
        """Give a page that was reloaded its inputs, settings and results again, and let it watch the run."""
        session = self._sessions.join(visit, str(request.session_hash)) if visit else None
        if session is None:
            return {self._visit: self._sessions.get(request.session_hash).visit}
        out = self._out
        session.moment_chosen_for = None  # the page begins at 0 again
        updates: Updates = {self._visit: session.visit, **self._fields(session.values)}
        if session.history:
            updates |= self._runs.show_outputs(session.history[-1], 0.0, session)
        if session.job is not None and session.job.running:
            updates[out.ticket] = secrets.token_hex(8)
        return updates

    def _fields(self, values: Values) -> Updates:
        """The fields as they were, with the tabs of the given files in front."""
        known = {component for component in self._form.components if component in values}
        updates: Updates = {component: values[component] for component in known}
        for given in self._inputs.files.values():
            if path := values.get(given.component):
                updates |= given.show(path)
        editor = self._inputs.editor
        if values.get(editor.rows):
            with contextlib.suppress(LipsyncError):  # said above the button
                updates |= editor.show(read_rows(values[editor.rows]))
        for table in self._form.ranges.values():
            filled = [
                number
                for number, row in enumerate(table.rows, 1)
                if values.get(row.start) or values.get(row.end)
            ]
            updates |= table._show_rows(max(filled, default=1))
        return updates

    def show_again(self, request: gr.Request, values: Values) -> Updates:
        """Show one result of the visit again, or two of them as a comparison."""
        session = self._sessions.get(request.session_hash)
        chosen = [
            one for one in session.history if one.settings.parent.name in values[self._out.result.history]
        ]
        try:
            if not 1 <= len(chosen) <= 2:
                raise InputError(strings.HISTORY_COUNT, hint=strings.HISTORY_COUNT_HINT)
            at = float(values[self._out.preview.time] or 0)
            return self._runs.show_outputs(joined(chosen), at, session)
        except LipsyncError as error:
            return {self._out.status: error_line(error)}
