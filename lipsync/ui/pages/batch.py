"""Many at once: several videos with one voice, or pairs; the results as one zip."""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.context import ModelProvider
from lipsync.errors import InputError
from lipsync.options import SyncOptions
from lipsync.ui import handlers, strings
from lipsync.ui.background import Done
from lipsync.ui.outputs import at_work, error_line, progress_line, run_and_stop, status_line
from lipsync.ui.sessions import Session

Updates = dict[Any, Any]
_ABREAST = 320
"""Pixels of width that a place for files needs beside another; on a phone one is below the other."""


@dataclass(frozen=True)
class Batch:
    """The components of the batch."""

    videos: gr.File
    voices: gr.File
    consent: gr.Checkbox
    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    zip: gr.File

    @property
    def outputs(self) -> list[Any]:
        """What a batch changes."""
        return [self.run, self.stop, self.status, self.zip]


def build_batch() -> Batch:
    """Lay out the batch."""
    with gr.Column(elem_id="batch"):
        gr.Markdown(strings.BATCH_ABOUT)
        with gr.Row():
            videos = gr.File(
                label=strings.BATCH_VIDEOS,
                file_count="multiple",
                file_types=["video", "image"],
                height=170,
                min_width=_ABREAST,
                elem_id="batch-videos",
            )
            voices = gr.File(
                label=strings.BATCH_VOICES,
                file_count="multiple",
                file_types=["audio", "video"],
                height=170,
                min_width=_ABREAST,
                elem_id="batch-voices",
            )
        consent = gr.Checkbox(label=strings.CONSENT, container=False, elem_id="batch-consent")
        run, stop = run_and_stop(strings.BATCH_RUN, "batch-")
        status = gr.HTML(elem_id="batch-status")
        archive = gr.File(label=strings.BATCH_ZIP, visible=False, interactive=False, elem_id="batch-zip")
    return Batch(videos, voices, consent, run, stop, status, archive)


def run_batch(
    batch: Batch,
    session: Session,
    videos: list[str],
    voices: list[str],
    options: SyncOptions,
    consent: bool,
    models: ModelProvider,
) -> Iterator[Updates]:
    """Run them one after the other; tells how far it is, and what came of each."""
    folder, kept = session.place("batch"), False
    cancel = session.begin("batch")
    idle = at_work(batch, False)
    yield {
        **at_work(batch, True),
        batch.status: status_line(strings.STATUS_STARTING, "busy"),
        batch.zip: gr.File(visible=False),
    }
    try:
        if not consent:
            raise InputError(strings.CONSENT_MISSING, hint=strings.CONSENT_HINT)
        for news in handlers.make_batch(videos, voices, options, folder, cancel, models):
            if isinstance(news, Done):
                archive, told = news.value
                kept = True
                session.only("batch", folder)
                yield {batch.status: _told(told), batch.zip: gr.File(str(archive), visible=True), **idle}
            else:
                yield {batch.status: progress_line(*news)}
    except Exception as error:  # whatever it is, it is said in words
        kept = False
        yield {batch.status: error_line(error), **idle}
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _told(told: list[tuple[str, str, bool]]) -> str:
    """What came of each video, as HTML."""
    rows = "".join(
        f"<li>{'✓' if done else '✕'} <b>{html.escape(name)}</b> {html.escape(words)}</li>"
        for name, words, done in told
    )
    done = strings.BATCH_DONE.format(done=sum(ok for *_, ok in told), total=len(told))
    return f"{status_line(done, 'done')}<ul>{rows}</ul>"
