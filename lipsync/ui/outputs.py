"""The right side: the button, preview, and what a run made."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Protocol

import gradio as gr

from lipsync.errors import Cancelled
from lipsync.progress import Progress
from lipsync.ui import strings
from lipsync.ui.formatting import describe_progress, in_words


@dataclass(frozen=True)
class Outputs:
    """The components of the right side."""

    tabs: gr.Tabs
    overlay: gr.Image
    previewed: gr.Image
    time: gr.Slider
    redraw: gr.Button
    note: gr.Markdown
    faces: gr.Gallery
    people: gr.State
    foreseen: gr.HTML
    consent: gr.Checkbox
    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    live: gr.Image
    result: gr.Video
    other: gr.Video
    about: gr.Markdown
    download: gr.DownloadButton
    settings: gr.DownloadButton
    score: gr.HTML
    score_file: gr.DownloadButton
    subtitles: gr.DownloadButton
    slider: gr.ImageSlider
    beside_button: gr.Button
    beside: gr.Video
    made: gr.State
    ticket: gr.State

    @property
    def of_run(self) -> list[Any]:
        """What a run may change."""
        return [
            self.tabs, self.run, self.stop, self.status, self.live, self.result, self.other, self.about,
            self.download, self.settings, self.score, self.score_file, self.subtitles, self.slider,
            self.beside_button, self.beside, self.made,
        ]  # fmt: skip


def build_outputs() -> Outputs:
    """Lay out the right side: the button on top, where it stays whatever is shown below."""
    foreseen = gr.HTML(status_line(strings.STATUS_EMPTY), elem_id="foreseen")
    consent = gr.Checkbox(label=strings.CONSENT, container=False, elem_id="consent")
    run, stop = run_and_stop(strings.RUN_NOTHING, size="lg")
    status = gr.HTML(elem_id="status")
    with gr.Tabs(elem_id="right") as tabs:
        with gr.Tab(strings.TAB_PREVIEW, id="preview"):
            with gr.Row(elem_classes="pair"):
                overlay = _picture(strings.PREVIEW_SOURCE, "overlay")
                previewed = _picture(strings.PREVIEW_RESULT, "previewed")
            note = gr.Markdown(strings.PREVIEW_EMPTY, elem_id="preview-note")
            faces = gr.Gallery(
                label=strings.FACES,
                columns=6,
                height=130,
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                visible=False,
                buttons=[],
                elem_id="faces",
            )
            with gr.Row(elem_classes="bottom"):
                time = gr.Slider(
                    0,
                    1,
                    value=0,
                    step=0.04,
                    label=strings.PREVIEW_TIME,
                    scale=3,
                    min_width=240,
                    elem_id="preview-time",
                )
                redraw = gr.Button(strings.PREVIEW_BUTTON, scale=1, min_width=150, elem_id="redraw")
        with gr.Tab(strings.TAB_RESULT, id="result"):
            live = _picture(strings.LIVE, "live", height=360, visible=False)
            with gr.Row(elem_classes="pair"):
                result = gr.Video(label=strings.RESULT, interactive=False, height=360, elem_id="result")
                other = gr.Video(interactive=False, height=360, visible=False, elem_id="other-result")
            about = gr.Markdown(strings.RESULT_EMPTY, elem_id="about-result")
            with gr.Row():
                download = gr.DownloadButton(
                    strings.DOWNLOAD, visible=False, variant="primary", elem_id="download"
                )
                settings = gr.DownloadButton(
                    strings.DOWNLOAD_SETTINGS, visible=False, min_width=120, elem_id="settings-used"
                )
                score_file = gr.DownloadButton(
                    strings.DOWNLOAD_SCORE, visible=False, min_width=120, elem_id="score-used"
                )
                subtitles = gr.DownloadButton(
                    strings.DOWNLOAD_SUBTITLES, visible=False, min_width=120, elem_id="subtitles-used"
                )
            score = gr.HTML(visible=False, elem_id="score")
        with gr.Tab(strings.TAB_COMPARE, id="compare"):
            gr.Markdown(strings.BESIDE_EMPTY)
            slider = gr.ImageSlider(label=strings.SLIDER, interactive=False, max_height=380, elem_id="slider")
            beside_button = gr.Button(strings.BESIDE_BUTTON, interactive=False, elem_id="make-beside")
            beside = gr.Video(
                label=strings.RESULT_BESIDE, interactive=False, height=300, visible=False, elem_id="beside"
            )
    return Outputs(
        tabs, overlay, previewed, time, redraw, note, faces, gr.State([]), foreseen, consent, run, stop,
        status, live, result, other, about, download, settings, score, score_file, subtitles, slider,
        beside_button, beside, gr.State(None), gr.State(""),
    )  # fmt: skip


def _picture(label: str, name: str, height: int = 300, visible: bool = True) -> gr.Image:
    return gr.Image(
        label=label,
        interactive=False,
        height=height,
        visible=visible,
        type="filepath",
        buttons=["fullscreen"],
        alt_text=label,
        elem_id=name,
    )


def run_and_stop(
    label: str, prefix: str = "", *, interactive: bool = True, **more: Any
) -> tuple[gr.Button, gr.Button]:
    """The button that begins the work of a page, and beside it the one that ends it.

    Args:
        prefix: of their names in the page, which end in "run" and "cancel".
        interactive: whether the first can be pressed yet.
        more: goes to both.
    """
    with gr.Row():
        run = gr.Button(
            label, variant="primary", scale=3, interactive=interactive, elem_id=f"{prefix}run", **more
        )
        stop = gr.Button(
            strings.CANCEL,
            variant="stop",
            scale=1,
            min_width=100,
            interactive=False,
            elem_id=f"{prefix}cancel",
            **more,
        )
    return run, stop


class RunAndStop(Protocol):
    """A page with these two buttons."""

    @property
    def run(self) -> gr.Button:
        """Begins the work."""
        ...

    @property
    def stop(self) -> gr.Button:
        """Ends it."""
        ...


def at_work(page: RunAndStop, busy: bool) -> dict[Any, Any]:
    """What becomes of the two buttons while there is work, and when there is none."""
    return {page.run: gr.Button(interactive=not busy), page.stop: gr.Button(interactive=busy)}


def status_line(words: str, kind: str = "info", share: float | None = None) -> str:
    """A line for the status as HTML, with a bar where `share` (0 to 1) of the work is known.

    Args:
        kind: "info", "busy", "done" or "bad"; said by a sign as well as by a colour.
    """
    sign = {"info": "", "busy": "", "done": "✓ ", "bad": "✕ "}[kind]
    bar = (
        ""
        if kind != "busy"
        else "<progress max='1'" + (f" value='{share:.3f}'" if share is not None else "") + "></progress>"
    )
    role = "alert" if kind == "bad" else "status"
    return f'<div class="status {kind}" role="{role}">{sign}{html.escape(words)}{bar}</div>'


def error_line(error: Exception) -> str:
    """A status line for what went wrong; that the visitor stopped it is no fault."""
    return status_line(in_words(error), "info" if isinstance(error, Cancelled) else "bad")


def progress_line(what: str, progress: Progress) -> str:
    """A status line that says how far the work is."""
    return status_line(
        describe_progress(what, progress), "busy", progress.fraction if progress.total else None
    )
