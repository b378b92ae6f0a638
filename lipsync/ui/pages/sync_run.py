"""Events of the sync tab that run a job: run, cancel, side-by-side video."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.context import ModelProvider
from lipsync.errors import InputError, LipsyncError
from lipsync.media import write_image
from lipsync.progress import Progress
from lipsync.types import SyncResult
from lipsync.ui import handlers, strings
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.components.outputs import Outputs
from lipsync.ui.components.score_card import score_html
from lipsync.ui.components.settings import Settings
from lipsync.ui.components.status import (
    HEAVY,
    QUIET,
    UNQUEUED,
    Updates,
    Values,
    applied_once,
    error_line,
    progress_line,
    set_busy,
    status_line,
)
from lipsync.ui.formatting import error_text, result_markdown
from lipsync.ui.handlers import RunOutputs
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.sessions import Sessions

_LIVE_SECONDS = 60
"""Age up to which the finished frames of a run are kept: a browser that is slow, or on a slow connection,
requests a frame long after it was announced, and shows none at all where it always comes too late."""


class RunEvents:
    """Event handlers of the run buttons.

    They hold no state; what belongs to a visitor is in the `Session`."""

    def __init__(
        self, sessions: Sessions, models: ModelProvider, form: SyncForm, settings: Settings, outputs: Outputs
    ) -> None:
        self._sessions, self._models = sessions, models
        self._form, self._compare, self._out = form, settings.compare, outputs

    def connect(self) -> None:
        """Connect the events."""
        out, form = self._out, self._form
        shown: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": [out.status], **HEAVY}
        out.run.click(
            self.start,
            {out.consent, *form.components},
            [out.ticket, out.status, out.run, out.cancel],
            **QUIET,
        )
        run = out.ticket.change(
            applied_once(self.run), {self._compare, out.preview.time, *form.components}, out.of_run, **shown
        )
        side_by_side = out.compare.make.click(applied_once(self.side_by_side), out.made, out.of_run, **shown)
        out.cancel.click(
            self.cancel,
            None,
            [out.status, out.run, out.cancel, out.result.live, out.result.video],
            **UNQUEUED,
            cancels=[run, side_by_side],
        )

    def start(self, request: gr.Request, values: Values) -> Updates:
        """Check at once whether a run can start; if so, queue it with a new ticket."""
        out = self._out
        self._sessions.get(request.session_hash, *self._form.uploads(values))
        try:
            self._form.request(values).files()
            if not values[out.consent]:
                raise InputError(strings.CONSENT_MISSING, hint=strings.CONSENT_HINT)
        except LipsyncError as error:
            return {out.status: status_line(error_text(error), "bad")}
        return {
            out.ticket: secrets.token_hex(8),
            out.status: status_line(strings.STATUS_WAITING, "busy"),
            **set_busy(out, True),
        }

    def run(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Run the job; show its progress, and its outputs at the end."""
        out = self._out
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        cancel = session.start("run")
        try:
            with session.job_folder("run") as folder:
                yield {
                    out.status: status_line(strings.STATUS_STARTING, "busy"),
                    **self._show_live(True),
                    **set_busy(out, True),
                }
                given = self._form.request(values, session.detection_cache)
                for item in handlers.run_sync(
                    given, values[self._compare], folder.path, cancel, self._models
                ):
                    if isinstance(item, Done):
                        finished = self._show_outputs(item.value, values[out.preview.time], folder.path)
                        folder.replace_older()
                        yield {**finished, **set_busy(out, False)}
                    else:
                        label, progress = item
                        frame = self._live_frame(progress, folder.path)
                        yield {out.status: progress_line(label, progress), **frame}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {out.status: error_line(error), **self._show_live(False), **set_busy(out, False)}

    def _show_live(self, running: bool) -> Updates:
        """Show the newest frame in place of the result video during a run."""
        tab = self._out.result
        shown: Updates = {tab.video: gr.Video(visible=not running)}
        if running:
            return {
                **shown,
                **self._out.tabs.show("result"),
                tab.live: gr.Image(None, visible=True),
            }
        return {**shown, tab.live: gr.Image(visible=False)}

    def _live_frame(self, progress: Progress, folder: Path) -> Updates:
        """Show a finished frame under a new file name, as the browser caches by name."""
        if progress.preview is None:
            return {}
        path = folder / f"live_{secrets.token_hex(4)}.jpg"
        oldest = time.time() - _LIVE_SECONDS
        for earlier in folder.glob("live_*.jpg"):
            if earlier.stat().st_mtime < oldest:
                earlier.unlink()
        write_image(path, progress.preview)
        return {self._out.result.live: str(path)}

    def _show_outputs(self, outputs: RunOutputs, at: float, folder: Path) -> Updates:
        out, compare = self._out, self._out.compare
        pair = [folder / "before.jpg", folder / "after.jpg"]
        for path, frame in zip(pair, handlers.frame_pair(outputs, at), strict=True):
            write_image(path, frame)
        side_by_side = outputs.side_by_side
        about = "\n\n".join(result_markdown(result) for result in outputs.results)
        if outputs.failed:
            about += f"\n\n- {strings.RESULT_SECOND_FAILED.format(why=outputs.failed)}"
        return {
            **self._show_videos(*outputs.results),
            **self._show_downloads(outputs),
            **out.tabs.show("result"),
            out.result.about: about,
            out.made: outputs,
            out.status: status_line(about.replace("*", "").splitlines()[0], "done"),
            compare.slider: tuple(map(str, pair)),
            compare.make: gr.Button(interactive=True),
            compare.video: gr.Video(str(side_by_side) if side_by_side else None, visible=bool(side_by_side)),
        }

    def _show_videos(self, first: SyncResult, *others: SyncResult) -> Updates:
        tab = self._out.result
        label = strings.RESULT_OTHER.format(variant=first.variant) if others else strings.RESULT
        return {
            tab.live: gr.Image(visible=False),
            tab.video: gr.Video(
                str(first.path),
                label=label,
                visible=True,
                subtitles=str(first.subtitles) if first.subtitles else None,
            ),
            tab.other: gr.Video(
                str(others[0].path) if others else None,
                label=strings.RESULT_OTHER.format(variant=others[0].variant) if others else "",
                visible=bool(others),
            ),
        }

    def _show_downloads(self, outputs: RunOutputs) -> Updates:
        tab, first, scores = self._out.result, outputs.results[0], score_html(outputs.results)
        return {
            tab.download: gr.DownloadButton(value=str(first.path), visible=True),
            tab.settings: gr.DownloadButton(value=str(outputs.settings), visible=True),
            tab.score: gr.HTML(scores, visible=bool(scores)),
            tab.score_file: gr.DownloadButton(
                value=str(outputs.scores) if outputs.scores else None, visible=bool(outputs.scores)
            ),
            tab.subtitles: gr.DownloadButton(
                value=str(first.subtitles) if first.subtitles else None, visible=bool(first.subtitles)
            ),
        }

    def side_by_side(self, made: RunOutputs | None, request: gr.Request) -> Iterator[Updates]:
        """Write the side-by-side video of the last run."""
        out = self._out
        if made is None:
            return
        cancel = self._sessions.get(request.session_hash).start("run")
        yield set_busy(out, True)
        try:
            folder = made.settings.parent
            for item in run_in_thread(
                lambda progress: handlers.write_comparison(made, folder, progress, cancel), cancel
            ):
                if isinstance(item, Done):
                    line = status_line(strings.SIDE_BY_SIDE_DONE, "done")
                    video = gr.Video(str(item.value), visible=True)
                    yield {out.compare.video: video, out.status: line, **set_busy(out, False)}
                else:
                    yield {out.status: progress_line("", item)}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {out.status: error_line(error), **set_busy(out, False)}

    def cancel(self, request: gr.Request) -> Updates:
        """Cancel the visitor's run."""
        self._sessions.get(request.session_hash).cancel("run")
        return {
            self._out.status: status_line(strings.STATUS_STOPPED),
            **self._show_live(False),
            **set_busy(self._out, False),
        }
