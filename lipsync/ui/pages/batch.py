"""The batch tab: several videos with one voice or one each, results as a zip file."""

from __future__ import annotations

import html
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from lipsync.batch.run import Cluster
from lipsync.context import ModelProvider
from lipsync.errors import InputError
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken
from lipsync.ui import handlers
from lipsync.ui.background import Done
from lipsync.ui.components.status import (
    QUIET,
    UNQUEUED,
    WATCHED,
    Updates,
    Values,
    error_line,
    progress_line,
    run_and_cancel,
    set_busy,
    status_line,
    waiting_line,
)
from lipsync.ui.components.tab_selector import TabSelector
from lipsync.ui.components.upload_fields import FileField
from lipsync.ui.handlers import BatchOutputs, VideoOutcome
from lipsync.ui.jobs import MAX_WAITING, Lane, Report, Stopping, VisitJob, Waiting
from lipsync.ui.languages import strings
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.sessions import BATCH, Session, Sessions

_MIN_COLUMN_WIDTH = 320
"""Pixels per column of files; on a phone the columns are stacked."""


@dataclass(frozen=True)
class BatchPage:
    """The components of the tab."""

    videos: gr.File
    voices: gr.File
    consent: gr.Checkbox
    run: gr.Button
    cancel: gr.Button
    status: gr.HTML
    zip: gr.File

    @property
    def outputs(self) -> list[Any]:
        """The components that a batch updates."""
        return [self.run, self.cancel, self.status, self.zip]


def build_batch() -> BatchPage:
    """Build the tab."""
    with gr.Column(elem_id="batch"):
        gr.Markdown(strings.BATCH_ABOUT)
        with gr.Row():
            videos = FileField(
                label=strings.BATCH_VIDEOS,
                file_count="multiple",
                file_types=["video", "image"],
                height=170,
                min_width=_MIN_COLUMN_WIDTH,
                elem_id="batch-videos",
            )
            voices = FileField(
                label=strings.BATCH_VOICES,
                file_count="multiple",
                file_types=["audio", "video"],
                height=170,
                min_width=_MIN_COLUMN_WIDTH,
                elem_id="batch-voices",
            )
        consent = gr.Checkbox(label=strings.CONSENT, container=False, elem_id="batch-consent")
        run, cancel = run_and_cancel(strings.BATCH_RUN, "batch-")
        status = gr.HTML(elem_id="batch-status")
        archive = FileField(label=strings.BATCH_ZIP, visible=False, interactive=False, elem_id="batch-zip")
    return BatchPage(videos, voices, consent, run, cancel, status, archive)


class BatchEvents:
    """Event handlers of the batch tab.

    They hold no state; what belongs to a visitor is in the `Session`.

    Args:
        models: shared by all visitors.
        form: of the sync tab, whose settings are used.
        lane: of all that make videos.
        pages: the tabs of the page, of which this is "many".
        cluster: where the videos of a batch are made at the same time; None for here.
    """

    def __init__(
        self,
        sessions: Sessions,
        models: ModelProvider,
        page: BatchPage,
        form: SyncForm,
        lane: Lane,
        pages: TabSelector,
        cluster: Cluster | None = None,
    ) -> None:
        self._sessions, self._models, self._page, self._form = sessions, models, page, form
        self._lane, self._pages, self._cluster = lane, pages, cluster
        # A new value watches the batch. Not within the tab: Gradio announces any answer about what is in a
        # tab that was not opened yet as a change, also that nothing has changed.
        self._ticket = gr.State("")

    def connect(self, joined: Any) -> None:
        """Connect the events.

        Args:
            joined: the event after which a visit that was reloaded is known again.
        """
        page = self._page
        given = {page.videos, page.voices, page.consent, *self._form.components}
        page.run.click(self.start, given, [self._ticket, *page.outputs], **QUIET)
        watched = {"show_progress": "minimal", "show_progress_on": [page.status], **WATCHED}
        self._ticket.change(self.watch, None, page.outputs, **watched)
        page.cancel.click(self.cancel, None, [page.cancel], **UNQUEUED)
        restored = [*self._pages.outputs("many"), self._ticket, page.videos, page.voices, page.consent]
        joined.then(self.join, None, restored, **QUIET)

    def start(self, request: gr.Request, values: Values) -> Updates:
        """Start a batch, with a new ticket to watch it; or say why it cannot."""
        page = self._page
        videos, voices = values[page.videos] or [], values[page.voices] or []
        session = self._sessions.get(request.session_hash, *videos, *voices)
        watched: Updates = {self._ticket: secrets.token_hex(8), **set_busy(page, True)}
        if session.batch is not None and session.batch[0].running:  # pressed twice
            return watched
        try:
            options = self._form.options(values)  # without the time ranges, which are of the one video
            if not values[page.consent]:
                raise InputError(strings.CONSENT_MISSING, hint=strings.CONSENT_HINT)
            handlers.batch_pairs(videos, voices)
            if len(self._lane) >= MAX_WAITING:
                raise InputError(strings.QUEUE_FULL, hint=strings.QUEUE_FULL_HINT)
        except Exception as error:  # shown to the visitor, whatever it is
            return {page.status: error_line(error), page.zip: gr.File(visible=False)}
        cancel = session.start(BATCH)
        work = partial(self._work, session, (videos, voices, options), cancel)
        kept = {one: values[one] for one in (page.videos, page.voices, page.consent)}
        session.batch = (VisitJob(work, cancel), kept)
        line = status_line(strings.STATUS_STARTING, "busy")
        return {**watched, page.status: line, page.zip: gr.File(visible=False)}

    def _work(
        self, session: Session, given: tuple[list[str], list[str], SyncOptions], cancel: CancelToken
    ) -> Iterator[Waiting | Report | Done[BatchOutputs]]:
        """The batch, at its turn; its archive takes the place of that of the batch before."""
        videos, voices, options = given
        with session.job_folder(BATCH) as folder:
            made = handlers.run_batch(
                videos, voices, options, folder.path, cancel, self._models, self._cluster
            )
            for item in self._lane.in_turn(made, cancel):
                if isinstance(item, Done):
                    folder.replace_older()
                yield item

    def join(self, request: gr.Request) -> Updates:
        """Give a page that was reloaded the files of its batch again, and let it watch that."""
        session = self._sessions.get(request.session_hash)
        if session.batch is None:
            return {self._ticket: gr.skip()}
        shown = self._pages.show("many") if session.batch[0].running else {}
        return {self._ticket: secrets.token_hex(8), **session.batch[1], **shown}

    def watch(self, request: gr.Request) -> Iterator[Updates]:
        """Watch the visitor's batch; show the progress, and each outcome at the end."""
        page, session = self._page, self._sessions.get(request.session_hash)
        if session.batch is None:
            return
        yield set_busy(page, True)
        try:
            for item in session.batch[0].watch():
                if isinstance(item, Waiting | Stopping):
                    yield {page.status: waiting_line(item)}
                elif isinstance(item, Done):
                    yield {**self._show_outputs(item.value), **set_busy(page, False)}
                else:
                    yield {page.status: progress_line(*item)}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {page.status: error_line(error), **set_busy(page, False)}

    def _show_outputs(self, outputs: BatchOutputs) -> Updates:
        page = self._page
        return {
            page.status: items_html(outputs.items),
            page.zip: gr.File(str(outputs.archive), visible=True),
        }

    def cancel(self, request: gr.Request) -> Updates:
        """Cancel the visitor's batch; who watches it is told, and within a second or two what was made."""
        self._sessions.get(request.session_hash).cancel(BATCH)
        return {self._page.cancel: gr.Button(interactive=False)}


def items_html(items: Sequence[VideoOutcome]) -> str:
    """Render the outcome of each video as HTML."""
    rows = "".join(
        f"<li>{'✓' if item.made else '✕'} <b>{html.escape(item.video)}</b> {html.escape(item.notes)}</li>"
        for item in items
    )
    done = strings.BATCH_DONE.format(done=sum(item.made for item in items), total=len(items))
    return f"{status_line(done, 'done')}<ul>{rows}</ul>"
