"""Outputs of the sync tab: run button, preview, result, comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lipsync.ui.components.face_box import build_face_box
from lipsync.ui.components.status import run_and_cancel, status_line
from lipsync.ui.components.tab_selector import TabSelector
from lipsync.ui.components.time_slider import TimeSlider
from lipsync.ui.components.wipe import build_wipe
from lipsync.ui.languages import strings


@dataclass(frozen=True)
class PreviewTab:
    """One frame, with the face box and mask, and the faces to choose from.

    Attributes:
        overlay: on which the box is dragged, as `face_box` builds it.
        face: enlarged, before and after.
        people: State; a list of (face_x, face_y, face_time) of the faces in `faces`.
    """

    overlay: gr.HTML
    result: gr.Image
    face: gr.Image
    note: gr.Markdown
    faces: gr.Gallery
    time: gr.Slider
    redraw: gr.Button
    people: gr.State
    play: gr.Button
    clip: gr.Video

    @property
    def outputs(self) -> list[Any]:
        """The components that a preview updates."""
        return [
            self.note, self.overlay, self.result, self.face, self.faces, self.people, self.clip, self.time,
        ]  # fmt: skip


@dataclass(frozen=True)
class ResultTab:
    """The finished video, its score and the downloads."""

    live: gr.Image
    video: gr.Video
    other: gr.Video
    about: gr.Markdown
    download: gr.DownloadButton
    settings: gr.DownloadButton
    score_file: gr.DownloadButton
    subtitles: gr.DownloadButton
    score: gr.HTML
    history: gr.CheckboxGroup
    again: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """All components."""
        return [
            self.live, self.video, self.other, self.about, self.download, self.settings, self.score_file,
            self.subtitles, self.score, self.history, self.again,
        ]  # fmt: skip


@dataclass(frozen=True)
class CompareTab:
    """Before and after: a slider over one frame, and both playing in step."""

    slider: gr.ImageSlider
    make: gr.Button
    wipe: gr.HTML
    video: gr.Video

    @property
    def outputs(self) -> list[Any]:
        """All components."""
        return [self.slider, self.make, self.wipe, self.video]


@dataclass(frozen=True)
class Outputs:
    """The components of the outputs.

    Attributes:
        plan: what the run would make.
        notices: what speaks against it, said before the run.
        ticket: State; a new value starts a queued run.
        made: State; the `RunOutputs` of the last run, or None.
    """

    plan: gr.HTML
    notices: gr.HTML
    consent: gr.Checkbox
    run: gr.Button
    cancel: gr.Button
    status: gr.HTML
    tabs: TabSelector
    preview: PreviewTab
    result: ResultTab
    compare: CompareTab
    made: gr.State
    ticket: gr.State

    @property
    def of_run(self) -> list[Any]:
        """The components that a run updates."""
        return [
            *self.tabs.outputs("result"), self.run, self.cancel, self.status, self.made,
            *self.result.outputs, *self.compare.outputs,
        ]  # fmt: skip


def build_outputs() -> Outputs:
    """Build the outputs; the run button is on top, where it stays in place."""
    plan = gr.HTML(status_line(strings.STATUS_EMPTY), elem_id="plan")
    notices = gr.HTML(elem_id="notices")
    consent = gr.Checkbox(label=strings.CONSENT, container=False, elem_id="consent")
    run, cancel = run_and_cancel(strings.RUN_NOTHING, size="lg", interactive=False)
    status = gr.HTML(elem_id="status")
    gr.Checkbox(label=strings.NOTIFY, container=False, elem_id="notify")  # for page.js
    with gr.Tabs(elem_id="right") as tabs:
        with gr.Tab(strings.TAB_PREVIEW, id="preview"):
            preview = _build_preview()
        with gr.Tab(strings.TAB_RESULT, id="result"):
            result = _build_result()
        with gr.Tab(strings.TAB_COMPARE, id="compare"):
            compare = _build_compare()
    return Outputs(
        plan=plan,
        notices=notices,
        consent=consent,
        run=run,
        cancel=cancel,
        status=status,
        tabs=TabSelector(tabs),
        preview=preview,
        result=result,
        compare=compare,
        made=gr.State(None),
        ticket=gr.State(""),
    )


def _build_preview() -> PreviewTab:
    with gr.Row(elem_classes="pair"):
        overlay = build_face_box()
        result = _image(strings.PREVIEW_RESULT, "previewed", height=280)
    face = _image(strings.PREVIEW_FACE, "face-zoom", height=200, visible=False)
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
        time = TimeSlider(
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
    play = gr.Button(strings.CLIP_BUTTON, size="sm", elem_id="play-clip")
    clip = gr.Video(
        label=strings.CLIP, interactive=False, autoplay=True, height=360, visible=False, elem_id="clip"
    )
    return PreviewTab(overlay, result, face, note, faces, time, redraw, gr.State([]), play, clip)


def _build_result() -> ResultTab:
    live = _image(strings.LIVE, "live", height=360, visible=False)
    with gr.Row(elem_classes="pair"):
        video = gr.Video(label=strings.RESULT, interactive=False, height=360, elem_id="result")
        other = gr.Video(interactive=False, height=360, visible=False, elem_id="other-result")
    about = gr.Markdown(strings.RESULT_EMPTY, elem_id="about-result")
    with gr.Row():
        download = gr.DownloadButton(strings.DOWNLOAD, visible=False, variant="primary", elem_id="download")
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
    history = gr.CheckboxGroup(
        [], label=strings.HISTORY, info=strings.HISTORY_HELP, visible=False, elem_id="history"
    )
    again = gr.Button(strings.HISTORY_SHOW, size="sm", visible=False, elem_id="show-again")
    return ResultTab(
        live, video, other, about, download, settings, score_file, subtitles, score, history, again
    )


def _build_compare() -> CompareTab:
    gr.Markdown(strings.COMPARE_EMPTY)
    slider = gr.ImageSlider(label=strings.SLIDER, interactive=False, max_height=380, elem_id="slider")
    make = gr.Button(strings.SIDE_BY_SIDE_BUTTON, interactive=False, elem_id="make-side-by-side")
    wipe = build_wipe()
    video = gr.Video(
        label=strings.SIDE_BY_SIDE, interactive=False, height=300, visible=False, elem_id="side-by-side"
    )
    return CompareTab(slider, make, wipe, video)


def _image(label: str, name: str, height: int = 300, visible: bool = True) -> gr.Image:
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
