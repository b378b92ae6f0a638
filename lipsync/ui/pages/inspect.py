"""The inspect tab: report on a file, with its transcript as subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.inspection.report import InspectOptions, MediaReport
from lipsync.options import TranscriptOptions
from lipsync.ui.background import Done
from lipsync.ui.components import controls
from lipsync.ui.components.inputs import Inputs
from lipsync.ui.components.status import (
    INSPECTIONS,
    QUIET,
    UNQUEUED,
    Updates,
    Values,
    connect_cancel,
    error_line,
    progress_line,
    run_and_cancel,
    set_busy,
    status_line,
)
from lipsync.ui.components.tab_selector import TabSelector
from lipsync.ui.components.upload_fields import FileField
from lipsync.ui.inspection import input_of, inspect_file, report_html, write_report
from lipsync.ui.languages import strings
from lipsync.ui.sessions import Sessions
from lipsync.utils.html_report import style

PARTS = tuple(field.name for field in fields(InspectOptions))
"""The parts of a report that can be switched off, by the name of their option."""
_PLAYABLE = {(".mp4", "h264"), (".webm", "vp9")}
"""Formats that Gradio plays as they are. It would convert others first, which cannot be cancelled."""
_COLOURS = """
  color: var(--text);
  --back: var(--background-fill-secondary); --card: var(--block-background-fill);
  --text: var(--body-text-color); --soft: var(--body-text-color-subdued);
  --line: var(--border-color-primary); --main: var(--primary-600);
  --warn: #b4470f; --warn-back: #fdebd9; --other: #0b7a5b;
  .dark & { --main: var(--primary-400); --warn: #ffab75; --warn-back: #46301f; --other: #5fd3b0; }
"""
"""The report's colours, taken from the page's theme, light or dark."""


@dataclass(frozen=True)
class InspectPage:
    """The components of the tab.

    Attributes:
        found: State; the inspected file and its `input_of`, None before.
    """

    file: gr.File
    parts: gr.CheckboxGroup
    model: gr.components.FormComponent
    language: gr.components.FormComponent
    run: gr.Button
    cancel: gr.Button
    status: gr.HTML
    player: gr.Video
    report: gr.HTML
    report_file: gr.DownloadButton
    srt: gr.DownloadButton
    vtt: gr.DownloadButton
    use: gr.Button
    found: gr.State

    @property
    def form(self) -> set[Any]:
        """The components that a run reads."""
        return {self.file, self.parts, self.model, self.language}

    @property
    def outputs(self) -> list[Any]:
        """The components that a run updates."""
        return [
            self.run, self.cancel, self.status, self.player, self.report, self.report_file, self.srt,
            self.vtt, self.use, self.found,
        ]  # fmt: skip


def build_inspect() -> InspectPage:
    """Build the tab: the file and what to analyse on the left, the report on the right."""
    with gr.Row(equal_height=False, elem_id="inspect"):
        with gr.Column(scale=2, min_width=300):
            gr.Markdown(strings.INSPECT_ABOUT)
            file = FileField(
                label=strings.INSPECT_FILE,
                file_types=["video", "image", "audio"],
                height=170,
                elem_id="inspect-file",
            )
            parts = gr.CheckboxGroup(
                [(strings.INSPECT_PART[name], name) for name in PARTS],
                value=[field.name for field in fields(InspectOptions) if field.default],
                label=strings.INSPECT_PARTS,
                elem_id="inspect-parts",
            )
            with gr.Accordion(strings.INSPECT_TRANSCRIPT, open=False):
                model = controls.setting_control("speech_model", elem_id="inspect-model")
                language = controls.setting_control("spoken_language", elem_id="inspect-language")
            run, cancel = run_and_cancel(strings.INSPECT_RUN, "inspect-", interactive=False)
        with gr.Column(scale=5, min_width=300):
            status = gr.HTML(status_line(strings.INSPECT_EMPTY), elem_id="inspect-status")
            player = gr.Video(
                label=strings.INSPECT_PLAYER,
                interactive=False,
                height=360,
                # Not False: Gradio's front end loses subtitles given while a player comes onto the page.
                visible="hidden",
                elem_id="inspect-player",
            )
            with gr.Row():
                use = gr.Button(
                    strings.INSPECT_USE,
                    visible=False,
                    variant="primary",
                    min_width=150,
                    elem_id="inspect-use",
                )
                report_file = _download(strings.INSPECT_JSON, "inspect-json")
                srt = _download(strings.INSPECT_SRT, "inspect-srt")
                vtt = _download(strings.INSPECT_VTT, "inspect-vtt")
            report = gr.HTML(
                visible=False,
                css_template=_COLOURS + style(),
                apply_default_css=False,
                elem_id="inspect-report",
            )
    return InspectPage(
        file=file,
        parts=parts,
        model=model,
        language=language,
        run=run,
        cancel=cancel,
        status=status,
        player=player,
        report=report,
        report_file=report_file,
        srt=srt,
        vtt=vtt,
        use=use,
        found=gr.State(None),
    )


def _download(label: str, name: str) -> gr.DownloadButton:
    return gr.DownloadButton(label, visible=False, min_width=120, elem_id=name)


class InspectEvents:
    """Event handlers of the inspect tab.

    They hold no state; what belongs to a visitor is in the `Session`."""

    def __init__(self, sessions: Sessions, page: InspectPage) -> None:
        self._sessions, self.page = sessions, page

    def connect(self, tabs: TabSelector, inputs: Inputs) -> None:
        """Connect the events; the inspected file can be passed on to the inputs of the sync tab."""
        page = self.page
        targets = [one for file_input in inputs.files.values() for one in file_input.outputs]
        buttons = [page.run, page.cancel, page.status]
        page.file.change(self.give, page.file, page.run, **QUIET)
        waiting = page.run.click(self.wait, None, buttons, **UNQUEUED)
        run = waiting.then(
            self.run,
            page.form,
            page.outputs,
            show_progress="minimal",
            show_progress_on=[page.status],
            **INSPECTIONS,
        )
        connect_cancel(page.cancel, self.cancel, None, buttons, [run])
        page.use.click(
            use_in(tabs, inputs), page.found, list(dict.fromkeys([*tabs.outputs("one"), *targets])), **QUIET
        )

    def give(self, request: gr.Request, file: str | None) -> Any:
        """Handle a file that was added or removed."""
        self._sessions.get(request.session_hash, file)
        return gr.Button(interactive=bool(file))

    def wait(self) -> Updates:
        """Show at once that the run is queued."""
        return {self.page.status: status_line(strings.STATUS_WAITING, "busy"), **set_busy(self.page, True)}

    def run(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Inspect the file; show the progress, and the report at the end."""
        page, file = self.page, values[self.page.file]
        session = self._sessions.get(request.session_hash, file)
        cancel = session.start("inspect")
        try:
            with session.job_folder("inspect") as folder:
                yield {
                    page.status: status_line(strings.STATUS_STARTING, "busy"),
                    **set_busy(page, True),
                    **self._clear(),
                }
                for item in inspect_file(file, *self._options(values), cancel):
                    if isinstance(item, Done):
                        finished = self._show(item.value, str(file), folder.path)
                        folder.replace_older()
                        yield {**finished, **set_busy(page, False)}
                    else:
                        yield {page.status: progress_line("", item)}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {page.status: error_line(error), **set_busy(page, False)}

    def _options(self, values: Values) -> tuple[InspectOptions, TranscriptOptions]:
        parts = set(values[self.page.parts])
        if "sync" in parts:  # which needs the faces
            parts.add("faces")
        language = values[self.page.language].strip() or "auto"
        return (
            InspectOptions(**{name: name in parts for name in PARTS}),
            TranscriptOptions(speech_model=values[self.page.model], spoken_language=language),
        )

    def cancel(self, request: gr.Request) -> Updates:
        """Cancel the visitor's run."""
        self._sessions.get(request.session_hash).cancel("inspect")
        return {self.page.status: status_line(strings.STATUS_STOPPED), **set_busy(self.page, False)}

    def _clear(self) -> Updates:
        """Hide the last report."""
        page = self.page
        hidden = {one: gr.DownloadButton(visible=False) for one in (page.report_file, page.srt, page.vtt)}
        return {
            page.player: gr.Video(None, subtitles=None, visible="hidden"),
            page.report: gr.HTML("", visible=False),
            page.use: gr.Button(visible=False),
            page.found: None,
            **hidden,
        }

    def _show(self, report: MediaReport, file: str, folder: Path) -> Updates:
        page, files = self.page, write_report(report, folder)
        place = input_of(report)
        codec = (Path(file).suffix.lower(), report.file.video_codec)
        plays = place == "video" and files.vtt is not None and codec in _PLAYABLE
        return {
            page.status: status_line(strings.INSPECT_DONE.format(name=report.path.name), "done"),
            page.player: gr.Video(
                file if plays else None,
                subtitles=files.vtt if plays else None,
                visible=plays or "hidden",
            ),
            page.report: gr.HTML(report_html(report), visible=True),
            page.report_file: _offer(files.report),
            page.srt: _offer(files.srt),
            page.vtt: _offer(files.vtt),
            page.use: gr.Button(visible=True),
            page.found: (file, place),
        }


def use_in(tabs: TabSelector, inputs: Inputs) -> Callable[[tuple[str, str] | None], Updates]:
    """Return the handler that selects the sync tab and gives it the inspected file."""

    def use(found: tuple[str, str] | None) -> Updates:
        if found is None:
            return {tabs.outputs("one")[0]: gr.skip()}
        file, place = found
        return {**tabs.show("one"), **inputs.files[place].show(file)}

    return use


def _offer(path: Path | None) -> Any:
    """A download button's update: shown where there is a file."""
    return gr.DownloadButton(value=str(path) if path else None, visible=path is not None)
