"""Link panel: metadata of a linked video, and its download into a player."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.options import LinkOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sources import FetchedMedia, LinkInfo, LinkSource
from lipsync.types import TimeRange
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.components.controls import link_control
from lipsync.ui.components.file_input import FileInput
from lipsync.ui.components.status import (
    QUIET,
    Updates,
    Values,
    connect_cancel,
    error_line,
    progress_line,
    status_line,
)
from lipsync.ui.languages import strings
from lipsync.ui.sessions import Sessions
from lipsync.utils.timecodes import typed_time

MAX_MINUTES, MAX_MEGABYTES = 60, 1000
"""Limits of one download on the page."""
_DOWNLOADS: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "links", **QUIET}


@dataclass(frozen=True)
class LinkPanel:
    """The components of one link; `name` is "video" or "voice"."""

    name: str
    url: gr.Textbox
    check: gr.Button
    about: gr.HTML
    quality: gr.components.FormComponent
    download: gr.Button
    cancel: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """The components that checking and downloading update."""
        return [self.about, self.download, self.cancel]

    @property
    def audio_only(self) -> bool:
        """Whether only the audio is needed."""
        return self.name == "voice"


def build_link(name: str) -> LinkPanel:
    """Build a link panel; `name` is "video" or "voice"."""
    with gr.Row():
        url = gr.Textbox(
            label=strings.LINK,
            placeholder=strings.LINK_PLACEHOLDER,
            max_lines=1,
            scale=4,
            elem_id=f"{name}-link",
        )
        check = gr.Button(strings.LINK_CHECK, scale=1, min_width=80, elem_id=f"{name}-check")
    about = gr.HTML(f"<p>{strings.LINK_ABOUT}</p>", elem_id=f"{name}-link-about")
    quality = link_control("max_height", visible=name == "video")
    with gr.Row():
        download = gr.Button(
            strings.LINK_DOWNLOAD, variant="primary", interactive=False, elem_id=f"{name}-download"
        )
        cancel = gr.Button(strings.LINK_CANCEL, variant="stop", visible=False, elem_id=f"{name}-link-cancel")
    return LinkPanel(name, url, check, about, quality, download, cancel)


class LinkEvents:
    """The event handlers of one link panel.

    Args:
        panel: the panel.
        target: the input that the downloaded file is given to.
        allow: networks that may be reached although they are not public. For tests only.
    """

    def __init__(
        self,
        sessions: Sessions,
        panel: LinkPanel,
        target: FileInput,
        allow: frozenset[Any] = frozenset(),
    ) -> None:
        self._sessions, self._panel, self._allow = sessions, panel, allow
        self._target = target

    def connect(self) -> None:
        """Connect the panel's buttons."""
        panel = self._panel
        link = {panel.url, panel.quality}
        checking = gr.on(
            [panel.check.click, panel.url.submit],
            self.check,
            link,
            panel.outputs,
            **_DOWNLOADS,
        )
        downloading = panel.download.click(
            self.download,
            {*link, *self._target.table.fields},
            [*panel.outputs, *self._target.outputs],
            **_DOWNLOADS,
        )
        connect_cancel(panel.cancel, self.cancel, None, panel.outputs, [checking, downloading])

    def _source(self, values: Values) -> LinkSource:
        options = dataclasses.replace(
            LinkOptions(),
            max_height=values[self._panel.quality],
            max_minutes=MAX_MINUTES,
            max_megabytes=MAX_MEGABYTES,
        )
        return LinkSource(
            values[self._panel.url], options, audio_only=self._panel.audio_only, allow=self._allow
        )

    def check(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Show what the site says about the link."""
        panel = self._panel
        cancel = self._sessions.get(request.session_hash).start(panel.name)
        yield {panel.about: status_line(strings.LINK_CHECKING, "busy"), panel.cancel: gr.Button(visible=True)}
        done: Updates = {panel.cancel: gr.Button(visible=False)}
        try:
            source = self._source(values)
            for item in run_in_thread(lambda _: source.probe(cancel), cancel):
                if isinstance(item, Done):
                    about = link_html(item.value)
                    yield {panel.about: about, panel.download: gr.Button(interactive=True), **done}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {panel.about: error_line(error), panel.download: gr.Button(interactive=False), **done}

    def download(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """Download into the player, and convert the time ranges to times of the file."""
        panel = self._panel
        session = self._sessions.get(request.session_hash)
        cancel = session.start(panel.name)
        done: Updates = {
            panel.cancel: gr.Button(visible=False),
            panel.download: gr.Button(interactive=True),
        }
        try:
            with session.job_folder(panel.name) as folder:
                yield {panel.cancel: gr.Button(visible=True), panel.download: gr.Button(interactive=False)}
                ranges = self._target.table.read(values)
                source = self._source(values)
                for item in run_in_thread(_fetch(source, folder.path, cancel, ranges), cancel):
                    if isinstance(item, Done):
                        folder.replace_older()
                        yield {**self._fetched(item.value, ranges), **done}
                    else:
                        yield {panel.about: progress_line("", item)}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {panel.about: error_line(error), **done}

    def _fetched(self, fetched: FetchedMedia, ranges: tuple[TimeRange, ...]) -> Updates:
        text = strings.LINK_DOWNLOADED.format(name=fetched.path.name)
        if fetched.start:
            text += strings.LINK_SHIFTED.format(start=typed_time(fetched.start))
        return {
            **self._target.show(str(fetched.path), fetched.to_file_time(ranges)),
            self._panel.about: status_line(text, "done"),
        }

    def cancel(self, request: gr.Request) -> Updates:
        """Cancel the check or download."""
        panel = self._panel
        self._sessions.get(request.session_hash).cancel(panel.name)
        return {
            panel.about: status_line(strings.STATUS_STOPPED),
            panel.cancel: gr.Button(visible=False),
            panel.download: gr.Button(interactive=True),
        }


def _fetch(
    source: LinkSource, into: Path, cancel: CancelToken, ranges: tuple[TimeRange, ...]
) -> Callable[[ProgressCallback], FetchedMedia]:
    return lambda progress: source.fetch(into, progress, cancel, ranges)


def link_html(info: LinkInfo) -> str:
    """Render a link's metadata as HTML; its texts are escaped."""
    duration = (
        strings.LINK_DURATION.format(length=typed_time(info.seconds))
        if info.seconds
        else strings.LINK_NO_DURATION
    )
    facts = [
        duration,
        strings.LINK_BY.format(uploader=info.uploader) if info.uploader else "",
        strings.LINK_LICENCE.format(licence=info.licence) if info.licence else strings.LINK_NO_LICENCE,
    ]
    notes = [strings.LINK_PARTS] if info.can_trim else []
    image = (
        f'<img src="data:image/jpeg;base64,{base64.b64encode(info.picture).decode()}" alt="">'
        if info.picture
        else ""
    )
    lines = "".join(f"<p>{html.escape(note)}</p>" for note in (*notes, *info.warnings))
    about = html.escape(" · ".join(filter(None, facts)))
    text = f"<b>{html.escape(info.title)}</b><p>{about}</p>{lines}"
    return f'<div class="link-card">{image}<div>{text}</div></div>'
