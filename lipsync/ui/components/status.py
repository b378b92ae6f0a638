"""Status lines and the pair of run and cancel buttons, shared by all tabs."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import gradio as gr

from lipsync.errors import Cancelled, LipsyncError
from lipsync.pipeline.overall import RunProgress
from lipsync.progress import Progress
from lipsync.ui.formatting import error_text, progress_text, strip_folders, waiting_text
from lipsync.ui.jobs import Stopping, Waiting
from lipsync.ui.languages import strings

Updates: TypeAlias = dict[Any, Any]
"""What a handler returns: new values or properties, by component."""
Values: TypeAlias = Mapping[Any, Any]
"""What a handler receives from an event whose inputs are a set: values by component."""
QUIET: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
"""Event arguments: no progress animation, no API endpoint.

Without the empty list Gradio's front end would note the progress of each output, and set it on all that have
ever been outputs, several times an event; each of them is looked for in the whole page.
"""
UNQUEUED: dict[str, Any] = {"queue": False, **QUIET}
"""Event arguments: answered at once, past the queue."""
_MAX_GIVEN = 120
"""Characters of a given value that an error shows without a fold."""


def own_lane(name: str) -> dict[str, Any]:
    """Event arguments of what runs models beside the runs: one at a time over all visitors, in its own lane.

    Runs, batches and the endpoints that make videos wait in a `jobs.Lane` instead.
    """
    return {"concurrency_limit": 1, "concurrency_id": name, "api_visibility": "private"}


PREVIEWS, INSPECTIONS, COMPARISONS = map(own_lane, ("previews", "inspections", "comparisons"))
WATCHED: dict[str, Any] = {"concurrency_limit": None, "api_visibility": "private"}
"""Event arguments of what watches a job, or waits for its turn by itself."""


def run_and_cancel(
    label: str, prefix: str = "", *, interactive: bool = True, **more: Any
) -> tuple[gr.Button, gr.Button]:
    """Build the button that starts a tab's job and, next to it, the one that cancels it.

    Args:
        prefix: of their element ids, which end in "run" and "cancel".
        interactive: whether the first is enabled at the start.
        more: arguments for both.
    """
    with gr.Row():
        run = gr.Button(
            label, variant="primary", scale=3, interactive=interactive, elem_id=f"{prefix}run", **more
        )
        cancel = gr.Button(
            strings.CANCEL,
            variant="stop",
            scale=1,
            min_width=100,
            interactive=False,
            elem_id=f"{prefix}cancel",
            **more,
        )
    return run, cancel


def connect_cancel(
    button: gr.Button, handler: Callable[..., Updates], inputs: Any, outputs: list[Any], cancels: list[Any]
) -> None:
    """Have a button cancel events, and show what `handler` says of that.

    It says it twice: an update of a cancelled event that a busy browser is still applying could cover it.
    """
    said = button.click(handler, inputs, outputs, **UNQUEUED, cancels=cancels)
    said.then(handler, inputs, outputs, **UNQUEUED)


class RunButtons(Protocol):
    """A tab with these two buttons."""

    @property
    def run(self) -> gr.Button:
        """Starts the job."""
        ...

    @property
    def cancel(self) -> gr.Button:
        """Cancels it."""
        ...


def set_busy(buttons: RunButtons, busy: bool) -> Updates:
    """Enable the button that applies while a job runs, and while none does."""
    return {buttons.run: gr.Button(interactive=not busy), buttons.cancel: gr.Button(interactive=busy)}


def status_line(text: str, kind: str = "info", share: float | None = None) -> str:
    """Render a status line as HTML.

    Args:
        kind: "info", "busy", "done" or "bad"; shown by a sign as well as by a colour.
        share: completed share of the work, 0..1, for the progress bar of "busy"; None while unknown.
    """
    sign = {"info": "", "busy": "", "done": "✓ ", "bad": "✕ "}[kind]
    bar = (
        ""
        if kind != "busy"
        else "<progress max='1'" + (f" value='{share:.3f}'" if share is not None else "") + "></progress>"
    )
    role = "alert" if kind == "bad" else "status"
    return f'<div class="status {kind}" role="{role}">{sign}{html.escape(text)}{bar}</div>'


def error_line(error: Exception) -> str:
    """Render an error as a status line: what happened and what to do, and a fold for a long value.

    A cancel is shown as information.
    """
    if isinstance(error, Cancelled):
        return status_line(error_text(error))
    if not isinstance(error, LipsyncError) or len(error.given) <= _MAX_GIVEN:
        return status_line(error_text(error), "bad")
    short = LipsyncError(error.what, hint=error.hint)
    details = html.escape(strip_folders(error.given))
    fold = f"<details><summary>{strings.ERROR_DETAILS}</summary>{details}</details>"
    return status_line(error_text(short), "bad").replace("</div>", f"{fold}</div>")


def waiting_line(waiting: Waiting | Stopping) -> str:
    """Render what a job waits for: those before it and for how long, or its end."""
    text = strings.STATUS_STOPPING if isinstance(waiting, Stopping) else waiting_text(waiting)
    return status_line(text, "busy")


def notices_html(notices: Iterable[str]) -> str:
    """Render what speaks against a run as a list; "" for nothing."""
    lines = "".join(f"<li>{html.escape(notice)}</li>" for notice in notices)
    return f'<ul class="notices" role="status">{lines}</ul>' if lines else ""


def share_of(progress: Progress) -> float | None:
    """The completed share, of the run where that is known; None for a stage of unknown length."""
    return progress.fraction if progress.total or isinstance(progress, RunProgress) else None


def progress_line(label: str, progress: Progress) -> str:
    """Render a progress report as a status line with a bar."""
    return status_line(progress_text(label, progress), "busy", share_of(progress))
