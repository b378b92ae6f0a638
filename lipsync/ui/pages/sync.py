"""The sync tab: inputs and settings on the left, outputs on the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.context import ModelProvider
from lipsync.ui.components.changes import watched
from lipsync.ui.components.fetch_panel import FetchEvents, FetchPanel, build_fetch_panel
from lipsync.ui.components.inputs import Inputs, build_inputs
from lipsync.ui.components.link_panel import LinkEvents
from lipsync.ui.components.outputs import Outputs, build_outputs
from lipsync.ui.components.settings import Settings, build_settings
from lipsync.ui.components.speech_panel import SpeechEvents
from lipsync.ui.components.timeline import TimelineEvents
from lipsync.ui.components.upload_fields import convert_uploads
from lipsync.ui.estimates import PastRuns
from lipsync.ui.jobs import Lane
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.pages.sync_preview import PreviewEvents
from lipsync.ui.pages.sync_run import RunEvents
from lipsync.ui.pages.sync_segments import SegmentEvents
from lipsync.ui.pages.sync_visit import VisitEvents
from lipsync.ui.sessions import Sessions


@dataclass(frozen=True)
class SyncPage:
    """The components of the tab."""

    inputs: Inputs
    settings: Settings
    outputs: Outputs
    form: SyncForm
    fetch: FetchPanel


def build_sync() -> SyncPage:
    """Build the tab."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=340, elem_id="left-side"):
            with gr.Column(elem_id="inputs-side"):
                inputs = build_inputs()
            with gr.Column(elem_id="settings-side"):
                fetch = build_fetch_panel()
                settings = build_settings(inputs.video_ranges, inputs.voice_ranges)
        with gr.Column(scale=6, min_width=340, elem_id="right-side"):
            outputs = build_outputs()
    return SyncPage(inputs, settings, outputs, SyncForm(inputs, settings), fetch)


def connect_sync(
    blocks: gr.Blocks,
    page: SyncPage,
    sessions: Sessions,
    models: ModelProvider,
    lane: Lane,
    allow: frozenset[Any] = frozenset(),
) -> Any:
    """Connect the events of the tab; returns the event after which a reloaded visit is known again.

    Args:
        models: shared by all visitors.
        lane: of all that make videos.
        allow: networks that links may reach although they are not public. For tests only.
    """
    inputs = page.inputs
    FetchEvents(sessions, page.fetch, page.settings).connect(blocks)
    for panel in (inputs.video_link, inputs.voice_link):
        LinkEvents(sessions, panel, inputs.files[panel.name], allow).connect()
    for copy in inputs.copies:
        copy.connect(sessions)
    TimelineEvents(sessions, inputs.timeline, inputs.video, (inputs.voice, inputs.voice_video)).connect()
    convert_uploads((inputs.photo, page.settings.reference), sessions)
    others = (inputs.voice, inputs.voice_video)
    language = page.settings.controls["spoken_language"]
    SpeechEvents(sessions, inputs.speech, inputs.files["voice"], others, language).connect()
    values = watched(page.form.components)
    settings = page.settings
    settings.differences.connect(settings.preset, settings.controls, values.change)
    SegmentEvents(sessions, inputs, page.form).connect(values)
    past = PastRuns()
    PreviewEvents(sessions, models, inputs, page.form, page.outputs, past).connect(values)
    runs = RunEvents(sessions, models, page.form, page.settings, page.outputs, past, lane)
    runs.connect()
    return VisitEvents(sessions, inputs, page.form, page.settings, page.outputs, runs).connect(blocks)
