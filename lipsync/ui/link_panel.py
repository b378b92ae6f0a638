"""A link: what the site says of it, and fetching it into the player."""

from __future__ import annotations

import dataclasses
import html
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.options import LinkOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sources import FetchedMedia, LinkInfo, LinkSource
from lipsync.types import TimeRange
from lipsync.ui import strings
from lipsync.ui.background import Done, in_thread
from lipsync.ui.controls import link_control
from lipsync.ui.outputs import error_line, progress_line, status_line
from lipsync.ui.range_table import read_ranges, shown
from lipsync.ui.sessions import Sessions
from lipsync.utils.timecodes import typed_time

MAX_MINUTES, MAX_MEGABYTES = 60, 1000
"""What one visitor may fetch at a time."""

Updates = dict[Any, Any]


@dataclass(frozen=True)
class LinkPanel:
    """The components of one link."""

    name: str
    url: gr.Textbox
    look: gr.Button
    about: gr.HTML
    quality: gr.components.FormComponent
    fetch: gr.Button
    stop: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What looking and fetching change."""
        return [self.about, self.fetch, self.stop]


def build_link(name: str) -> LinkPanel:
    """Lay out the field for a link; `name` is "video" or "voice"."""
    with gr.Row():
        url = gr.Textbox(
            label=strings.LINK, placeholder=strings.LINK_HINT, max_lines=1, scale=4, elem_id=f"{name}-link"
        )
        look = gr.Button(strings.LINK_LOOK, scale=1, min_width=80, elem_id=f"{name}-look")
    about = gr.HTML(f"<p>{strings.LINK_ABOUT}</p>", elem_id=f"{name}-link-about")
    quality = link_control("max_height", visible=name == "video")
    with gr.Row():
        fetch = gr.Button(strings.LINK_FETCH, variant="primary", interactive=False, elem_id=f"{name}-fetch")
        stop = gr.Button(strings.LINK_CANCEL, variant="stop", visible=False, elem_id=f"{name}-link-stop")
    return LinkPanel(name, url, look, about, quality, fetch, stop)


class LinkEvents:
    """The handlers of links.

    Args:
        allow: networks that may be reached although they are not public. For tests only.
    """

    def __init__(self, sessions: Sessions, allow: frozenset[Any] = frozenset()) -> None:
        self._sessions, self._allow = sessions, allow

    def _source(self, url: str, max_height: int, audio_only: bool) -> LinkSource:
        options = dataclasses.replace(
            LinkOptions(), max_height=max_height, max_minutes=MAX_MINUTES, max_megabytes=MAX_MEGABYTES
        )
        return LinkSource(url, options, audio_only=audio_only, allow=self._allow)

    def look(self, panel: LinkPanel) -> Callable[..., Iterator[Updates]]:
        """What asking about a link does."""

        def react(url: str, height: int, request: gr.Request) -> Iterator[Updates]:
            cancel = self._sessions.of(request.session_hash).begin(panel.name)
            stop = gr.Button(visible=True)
            yield {panel.about: status_line(strings.LINK_LOOKING, "busy"), panel.stop: stop}
            done: Updates = {panel.stop: gr.Button(visible=False)}
            try:
                source = self._source(url, height, panel.name == "voice")
                for news in in_thread(lambda _: source.probe(cancel), cancel):
                    if isinstance(news, Done):
                        about = describe_link(news.value)
                        yield {panel.about: about, panel.fetch: gr.Button(interactive=True), **done}
            except Exception as error:  # whatever it is, it is said in words
                yield {
                    panel.about: error_line(error),
                    panel.fetch: gr.Button(interactive=False),
                    **done,
                }

        return react

    def fetch(self, panel: LinkPanel, player: Any, table: Any) -> Callable[..., Iterator[Updates]]:
        """What fetching a link does: the file lands in `player`, and the parts move along."""

        def react(request: gr.Request, url: str, height: int, *fields: str) -> Iterator[Updates]:
            session = self._sessions.of(request.session_hash)
            cancel, folder = session.begin(panel.name), session.place(panel.name)
            yield {panel.stop: gr.Button(visible=True), panel.fetch: gr.Button(interactive=False)}
            done: Updates = {panel.stop: gr.Button(visible=False), panel.fetch: gr.Button(interactive=True)}
            kept = False
            try:
                parts: tuple[TimeRange, ...] = read_ranges(fields)
                source = self._source(url, height, panel.name == "voice")
                for news in in_thread(_fetching(source, folder, cancel, parts), cancel):
                    if isinstance(news, Done):
                        fetched, kept = news.value, True
                        session.only(panel.name, folder)
                        words = strings.LINK_FETCHED.format(name=fetched.path.name)
                        if fetched.start:
                            words += strings.LINK_SHIFTED.format(start=typed_time(fetched.start))
                        moved = dict(zip(table.all, shown(fetched.to_file_time(parts)), strict=True))
                        line = status_line(words, "done")
                        yield {player: str(fetched.path), **moved, panel.about: line, **done}
                    else:
                        yield {panel.about: progress_line("", news)}
            except Exception as error:  # whatever it is, it is said in words
                yield {panel.about: error_line(error), **done}
            finally:
                if not kept:
                    shutil.rmtree(folder, ignore_errors=True)

        return react

    def stop(self, panel: LinkPanel) -> Callable[..., Updates]:
        """What cancelling a download does."""

        def react(request: gr.Request) -> Updates:
            self._sessions.of(request.session_hash).cancel(panel.name)
            return {
                panel.about: status_line(strings.STATUS_STOPPED),
                panel.stop: gr.Button(visible=False),
                panel.fetch: gr.Button(interactive=True),
            }

        return react


def _fetching(
    source: LinkSource, into: Path, cancel: CancelToken, ranges: tuple[TimeRange, ...]
) -> Callable[[ProgressCallback], FetchedMedia]:
    return lambda progress: source.fetch(into, progress, cancel, ranges)


def describe_link(info: LinkInfo) -> str:
    """What the site says, as HTML. Its words are text, and the visitor's browser loads the picture."""
    length = (
        strings.LINK_LENGTH.format(length=typed_time(info.seconds)) if info.seconds else strings.LINK_UNKNOWN
    )
    facts = [
        length,
        strings.LINK_BY.format(uploader=info.uploader) if info.uploader else "",
        strings.LINK_LICENCE.format(licence=info.licence) if info.licence else strings.LINK_NO_LICENCE,
    ]
    notes = [strings.LINK_CUTS] if info.can_trim else []
    picture = (
        f'<img src="{html.escape(info.thumbnail, quote=True)}" alt="" referrerpolicy="no-referrer">'
        if info.thumbnail and info.thumbnail.startswith(("http://", "https://"))
        else ""
    )
    lines = "".join(f"<p>{html.escape(note)}</p>" for note in (*notes, *info.warnings))
    about = html.escape(" · ".join(filter(None, facts)))
    words = f"<b>{html.escape(info.title)}</b><p>{about}</p>{lines}"
    return f'<div class="link-card">{picture}<div>{words}</div></div>'
