"""The page: its parts put together, and every event joined to its handler.

inputs, settings (left)   outputs (right)
          └── events ────────┘         all heavy ones wait in one queue, "networks"
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.pipeline.model_provider import CachedModels
from lipsync.ui import strings
from lipsync.ui.api import build_api
from lipsync.ui.inputs import Inputs, build_inputs
from lipsync.ui.link_panel import LinkEvents
from lipsync.ui.outputs import Outputs, build_outputs
from lipsync.ui.pages.batch import Batch, build_batch
from lipsync.ui.pages.inspect import InspectEvents, Inspecting, build_inspecting
from lipsync.ui.pages.sync import Events
from lipsync.ui.range_table import RangeTable
from lipsync.ui.sessions import GRACE_SECONDS, Sessions
from lipsync.ui.settings import Settings, build_settings
from lipsync.ui.theme import CSS, theme

MAX_UPLOAD = "2gb"
MAX_WAITING = 20
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_HEAVY: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "networks", "api_visibility": "private"}
_LINKS: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "links", **_QUIET}


def launch_settings() -> dict[str, Any]:
    """What `launch` needs to know of the page."""
    return {
        "theme": theme(),
        "css": CSS,
        "max_file_size": MAX_UPLOAD,
        "show_error": True,
        "footer_links": ["api", "settings"],
    }


def build_page(*, allow_networks: Iterable[Any] = (), grace: float = GRACE_SECONDS) -> gr.Blocks:
    """Lay out the page and join its parts; the caller queues and launches it.

    Args:
        allow_networks: networks that links may reach although they are not public. For tests only:
            no setting leads here.
        grace: seconds that a visitor's files outlive the visit.
    """
    # Files are removed when their visitor has left, and in any case when they are a day old.
    page: gr.Blocks
    with gr.Blocks(title=strings.TITLE, delete_cache=(3600, 86400), fill_width=True) as page:
        gr.Markdown(strings.HEADING, elem_id="heading")
        with gr.Tabs(elem_id="pages") as pages:
            with gr.Tab(strings.PAGE_ONE, id="one"), gr.Row(equal_height=False):
                with gr.Column(scale=5, min_width=340, elem_id="left-side"):
                    with gr.Column(elem_id="inputs-side"):
                        inputs = build_inputs()
                    with gr.Column(elem_id="settings-side"):
                        settings = build_settings(inputs.video_ranges, inputs.voice_ranges)
                with gr.Column(scale=6, min_width=340, elem_id="right-side"):
                    outputs = build_outputs()
            with gr.Tab(strings.BATCH, id="many"):
                batch = build_batch()
            with gr.Tab(strings.INSPECT, id="inspect"):
                inspecting = build_inspecting()
        gr.Markdown(strings.FOOTER, elem_id="foot")
        kept = {path for block in page.blocks.values() for path in getattr(block, "keep_in_cache", ())}
        sessions = Sessions(Path(page.GRADIO_CACHE), kept, grace)
        models = CachedModels()
        build_api(sessions, models)  # first, so that the endpoints have the plain names
        events = Events(sessions, models, inputs, settings, outputs)
        _join_inputs(events, inputs)
        _join_links(LinkEvents(sessions, frozenset(allow_networks)), inputs)
        _join_preview(events, inputs, settings, outputs)
        _join_run(events, settings, outputs)
        _join_batch(events, batch)
        _join_inspecting(InspectEvents(sessions, inspecting), inspecting, pages, inputs)
        page.unload(events.leave)
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=None)
    return page


def _join_inputs(events: Events, inputs: Inputs) -> None:
    video, voice = inputs.video_ranges, inputs.voice_ranges
    marked: list[tuple[RangeTable, Any, list[Any]]] = [
        (video, events.mark_video, [inputs.video]),
        (voice, events.mark_voice, [inputs.voice, inputs.voice_video]),
    ]
    for table, mark, files in marked:
        triggers = [field.change for field in table.fields] + [file.change for file in files]
        gr.on(triggers, mark, [*files, *table.fields], table.notes, trigger_mode="always_last", **_QUIET)


def _join_links(events: LinkEvents, inputs: Inputs) -> None:
    video, voice = inputs.video_ranges, inputs.voice_ranges
    for panel, player, table in (
        (inputs.picture_link, inputs.video, video),
        (inputs.voice_link, inputs.voice, voice),
    ):
        given = [panel.url, panel.quality]
        look = gr.on([panel.look.click, panel.url.submit], events.look(panel), given, panel.outputs, **_LINKS)
        fetch = panel.fetch.click(
            events.fetch(panel, player, table),
            [*given, *table.fields],
            [*panel.outputs, player, *table.all],
            **_LINKS,
        )
        panel.stop.click(
            events.stop(panel), None, panel.outputs, queue=False, **_QUIET, cancels=[look, fetch]
        )


def _join_preview(events: Events, inputs: Inputs, settings: Settings, outputs: Outputs) -> None:
    moment = [*events.form, outputs.time]
    drawn = [outputs.note, outputs.overlay, outputs.previewed, outputs.faces, outputs.people]
    fields = [*inputs.video_ranges.fields, *inputs.voice_ranges.fields]
    said = [inputs.segments, inputs.more_voices]
    changed = [*inputs.files, settings.reference, *said, *fields, *settings.controls.values()]
    # A change while one is being drawn is answered afterwards, once, with the newest values.
    planned = gr.on(
        # a text counts when it is finished: half a segment is an error
        [one.blur if one is inputs.segments else one.change for one in changed],
        events.plan,
        moment,
        [outputs.run, outputs.foreseen, outputs.time],
        trigger_mode="always_last",
        **_QUIET,
    )
    preview: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": [outputs.note], **_HEAVY}
    planned.then(events.preview, moment, drawn, trigger_mode="always_last", **preview)
    gr.on(
        [outputs.redraw.click, outputs.time.release],
        events.preview,
        moment,
        drawn,
        trigger_mode="always_last",
        **preview,
    )
    face = [settings.controls[name] for name in ("which_face", "face_x", "face_y", "face_time")]
    outputs.faces.select(events.choose_face, outputs.people, face, **_QUIET)


def _join_run(events: Events, settings: Settings, outputs: Outputs) -> None:
    started = [outputs.ticket, outputs.status, outputs.run, outputs.stop]
    outputs.run.click(events.start, [outputs.consent, *events.form], started, **_QUIET)
    run = outputs.ticket.change(
        events.run,
        [settings.compare, outputs.time, *events.form],
        outputs.of_run,
        show_progress="minimal",
        show_progress_on=[outputs.status],
        **_HEAVY,
    )
    beside = outputs.beside_button.click(
        events.beside,
        outputs.made,
        outputs.of_run,
        show_progress="minimal",
        show_progress_on=[outputs.status],
        **_HEAVY,
    )
    outputs.stop.click(
        events.cancel,
        None,
        [outputs.status, outputs.run, outputs.stop, outputs.live, outputs.result],
        queue=False,
        **_QUIET,
        cancels=[run, beside],
    )


def _join_batch(events: Events, batch: Batch) -> None:
    given = [batch.videos, batch.voices, batch.consent, *events.form]
    run = batch.run.click(
        events.batch(batch),
        given,
        batch.outputs,
        show_progress="minimal",
        show_progress_on=[batch.status],
        **_HEAVY,
    )
    batch.stop.click(events.stop_batch(batch), None, batch.outputs[:3], queue=False, **_QUIET, cancels=[run])


def _join_inspecting(events: InspectEvents, page: Inspecting, pages: gr.Tabs, inputs: Inputs) -> None:
    page.file.change(events.give, page.file, page.run, **_QUIET)
    waiting = page.run.click(events.wait, None, page.outputs[:3], queue=False, **_QUIET)
    run = waiting.then(
        events.run,
        page.given,
        page.outputs,
        show_progress="minimal",
        show_progress_on=[page.status],
        **_HEAVY,
    )
    page.stop.click(events.stop, None, page.outputs[:3], queue=False, **_QUIET, cancels=[run])
    places = [inputs.video, inputs.photo, inputs.voice]
    page.use.click(events.use, page.found, [pages, *places], **_QUIET)
