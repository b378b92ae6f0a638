"""What is in this file? The third page: a report, the words as subtitles, and the way on to a sync."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.errors import InputError
from lipsync.inspection.render import render_fragment
from lipsync.inspection.report import InspectOptions, MediaReport, inspect_media
from lipsync.options import SyncOptions, TranscriptOptions
from lipsync.progress import CancelToken, Progress
from lipsync.speech import to_srt, to_vtt
from lipsync.ui import controls, strings
from lipsync.ui.background import Done, in_thread
from lipsync.ui.formatting import without_folders
from lipsync.ui.outputs import at_work, error_line, progress_line, run_and_stop, status_line
from lipsync.ui.sessions import Sessions
from lipsync.ui.zerogpu.dispatch import without_gpu
from lipsync.utils.atomic_write import write_text
from lipsync.utils.html_report import style

Updates = dict[Any, Any]
PARTS = tuple(field.name for field in fields(InspectOptions))
_PLAYABLE = {(".mp4", "h264"), (".webm", "vp9")}
"""What Gradio plays as it is; anything else it would convert first, out of reach of the cancel button."""
_COLOURS = """
  color: var(--text);
  --back: var(--background-fill-secondary); --card: var(--block-background-fill);
  --text: var(--body-text-color); --soft: var(--body-text-color-subdued);
  --line: var(--border-color-primary); --main: var(--primary-600);
  --warn: #b4470f; --warn-back: #fdebd9; --other: #0b7a5b;
  .dark & { --main: var(--primary-400); --warn: #ffab75; --warn-back: #46301f; --other: #5fd3b0; }
"""
"""The report's colours are those of the page, light or dark."""


# --- the work ------------------------------------------------------------------------------------


def look_into(
    file: str | None, options: InspectOptions, transcript: TranscriptOptions, cancel: CancelToken
) -> Iterator[Progress | Done[MediaReport]]:
    """Look through a file; yields progress, and last the report, which names no folder of this machine.

    Raises:
        InputError: there is no file.
        LipsyncError: what went wrong, in words.
        Cancelled: the token was thrown.
    """
    if not file:
        raise InputError(strings.NO_FILE, hint=strings.NO_FILE_HINT)
    path, device = Path(file), without_gpu(SyncOptions()).generator.device
    for news in in_thread(
        lambda progress: inspect_media(
            path, options, transcript=transcript, device=device, progress=progress, cancel=cancel
        ),
        cancel,
    ):
        cancel.check()  # small files are done before anybody asks
        yield Done(_without_folders(news.value)) if isinstance(news, Done) else news


def _without_folders(report: MediaReport) -> MediaReport:
    missing = {part: without_folders(why) for part, why in report.missing.items()}
    return replace(report, path=Path(report.path.name), missing=missing)


@dataclass(frozen=True)
class ReportFiles:
    """A report as files; those of words are None where nobody speaks."""

    report: Path
    srt: Path | None
    vtt: Path | None


def write_report(report: MediaReport, folder: Path) -> ReportFiles:
    """Write the report as JSON, and its words as subtitles.

    Raises:
        DiskFullError, OutputError: they cannot be written.
    """
    stem = report.path.stem[:80]
    files = ReportFiles(folder / f"{stem}_report.json", None, None)
    write_text(files.report, json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    if report.transcript and report.transcript.segments:
        files = replace(files, srt=folder / f"{stem}.srt", vtt=folder / f"{stem}.vtt")
        write_text(folder / f"{stem}.srt", to_srt(report.transcript))
        write_text(folder / f"{stem}.vtt", to_vtt(report.transcript))
    return files


def report_html(report: MediaReport) -> str:
    """The report as HTML. What comes from the file is escaped; settings are called what they are here."""
    advice = tuple(
        replace(one, text=re.sub(r"--([a-z]+(?:-[a-z]+)*)", _setting, one.text)) for one in report.advice
    )
    body = render_fragment(replace(report, advice=advice))
    return f"<h2>{html.escape(report.path.name)}</h2>{body}"


def _setting(flag: re.Match[str]) -> str:
    return f"“{controls.label(flag[1].replace('-', '_'))}”"


def place_of(report: MediaReport) -> str:
    """Where the file can be given for a sync: "video", "photo" or "voice"."""
    if report.video is None:
        return "voice"
    return "photo" if report.video.is_still else "video"


# --- the page ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inspecting:
    """The components of the page.

    Attributes:
        found: the file that was looked through, and its `place_of`; None before.
    """

    file: gr.File
    parts: gr.CheckboxGroup
    model: gr.components.FormComponent
    language: gr.components.FormComponent
    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    player: gr.Video
    report: gr.HTML
    report_file: gr.DownloadButton
    srt: gr.DownloadButton
    vtt: gr.DownloadButton
    use: gr.Button
    found: gr.State

    @property
    def given(self) -> list[Any]:
        """What a run reads."""
        return [self.file, self.parts, self.model, self.language]

    @property
    def outputs(self) -> list[Any]:
        """What a run may change."""
        return [
            self.run, self.stop, self.status, self.player, self.report, self.report_file, self.srt,
            self.vtt, self.use, self.found,
        ]  # fmt: skip


def build_inspecting() -> Inspecting:
    """Lay out the page: what to look at on the left, what was found on the right."""
    with gr.Row(equal_height=False, elem_id="inspect"):
        with gr.Column(scale=2, min_width=300):
            gr.Markdown(strings.INSPECT_ABOUT)
            file = gr.File(
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
            with gr.Accordion(strings.INSPECT_WORDS, open=False):
                model = controls.control("speech_model", elem_id="inspect-model")
                language = controls.control("spoken_language", elem_id="inspect-language")
            run, stop = run_and_stop(strings.INSPECT_RUN, "inspect-", interactive=False)
        with gr.Column(scale=5, min_width=300):
            status = gr.HTML(status_line(strings.INSPECT_EMPTY), elem_id="inspect-status")
            player = gr.Video(
                label=strings.INSPECT_PLAYER,
                interactive=False,
                height=360,
                visible=False,
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
    return Inspecting(
        file, parts, model, language, run, stop, status, player, report, report_file, srt, vtt, use,
        gr.State(None),
    )  # fmt: skip


def _download(label: str, name: str) -> gr.DownloadButton:
    return gr.DownloadButton(label, visible=False, min_width=120, elem_id=name)


class InspectEvents:
    """The handlers of the page. They keep nothing themselves; what is a visitor's is in its `Session`."""

    def __init__(self, sessions: Sessions, page: Inspecting) -> None:
        self._sessions, self._page = sessions, page

    def give(self, request: gr.Request, file: str | None) -> Any:
        """A file was given, or taken away."""
        self._sessions.of(request.session_hash, file)
        return gr.Button(interactive=bool(file))

    def wait(self) -> Updates:
        """The button was pressed; others may be before."""
        return {self._page.status: status_line(strings.STATUS_WAITING, "busy"), **at_work(self._page, True)}

    def run(
        self, request: gr.Request, file: str | None, parts: Sequence[str], model: str, language: str
    ) -> Iterator[Updates]:
        """Look through the file; tell how far it is, and at last show the report."""
        page, session = self._page, self._sessions.of(request.session_hash, file)
        cancel, folder, kept = session.begin("inspect"), session.place("inspect"), False
        yield {
            page.status: status_line(strings.STATUS_STARTING, "busy"),
            **at_work(self._page, True),
            **self._nothing(),
        }
        try:
            # lips cannot be judged before they are found
            chosen = {*parts, "faces"} if "sync" in parts else {*parts}
            options = InspectOptions(**{name: name in chosen for name in PARTS})
            words = TranscriptOptions(speech_model=model, spoken_language=language.strip() or "auto")
            for news in look_into(file, options, words, cancel):
                if isinstance(news, Done):
                    shown_now = self._show(news.value, str(file), folder)
                    kept = True
                    session.only("inspect", folder)
                    yield {**shown_now, **at_work(self._page, False)}
                else:
                    yield {page.status: progress_line("", news)}
        except Exception as error:  # whatever it is, it is said in words
            kept = False
            yield {page.status: error_line(error), **at_work(self._page, False)}
        finally:
            if not kept:
                shutil.rmtree(folder, ignore_errors=True)

    def stop(self, request: gr.Request) -> Updates:
        """Stop what runs for this visitor."""
        self._sessions.of(request.session_hash).cancel("inspect")
        return {self._page.status: status_line(strings.STATUS_STOPPED), **at_work(self._page, False)}

    def use(self, found: tuple[str, str] | None) -> list[Any]:
        """Give the file to the first page, and go there: its tabs, video, photo and voice."""
        if found is None:
            return [gr.skip()] * 4
        file, place = found
        places = [file if name == place else gr.skip() for name in ("video", "photo", "voice")]
        return [gr.Tabs(selected="one"), *places]

    def _nothing(self) -> Updates:
        """Nothing was found yet."""
        page = self._page
        hidden = {one: gr.DownloadButton(visible=False) for one in (page.report_file, page.srt, page.vtt)}
        return {
            page.player: gr.Video(None, subtitles=None, visible=False),
            page.report: gr.HTML("", visible=False),
            page.use: gr.Button(visible=False),
            page.found: None,
            **hidden,
        }

    def _show(self, report: MediaReport, file: str, folder: Path) -> Updates:
        page, files = self._page, write_report(report, folder)
        place = place_of(report)
        codec = (Path(file).suffix.lower(), report.file.video_codec)
        plays = place == "video" and files.vtt is not None and codec in _PLAYABLE
        return {
            page.status: status_line(strings.INSPECT_DONE.format(name=report.path.name), "done"),
            page.player: gr.Video(
                file if plays else None, subtitles=files.vtt if plays else None, visible=plays
            ),
            page.report: gr.HTML(report_html(report), visible=True),
            page.report_file: _offered(files.report),
            page.srt: _offered(files.srt),
            page.vtt: _offered(files.vtt),
            page.use: gr.Button(visible=True),
            page.found: (file, place),
        }


def _offered(path: Path | None) -> Any:
    return gr.DownloadButton(value=str(path) if path else None, visible=path is not None)
