"""Events of the sync tab that run a job: run, cancel, side-by-side video."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.context import ModelProvider
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.media import write_image
from lipsync.media.video.smart_copy import NotCopyableError
from lipsync.progress import CancelToken, Progress
from lipsync.types import SyncResult
from lipsync.ui import handlers
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.components.outputs import Outputs
from lipsync.ui.components.score_card import score_html
from lipsync.ui.components.settings import Settings
from lipsync.ui.components.status import (
    COMPARISONS,
    QUIET,
    UNQUEUED,
    WATCHED,
    Updates,
    Values,
    error_line,
    progress_line,
    set_busy,
    status_line,
    waiting_line,
)
from lipsync.ui.components.wipe import wipe_value
from lipsync.ui.estimates import Estimate, PastRuns
from lipsync.ui.formatting import result_markdown
from lipsync.ui.handlers import RunOutputs
from lipsync.ui.history import history_choices
from lipsync.ui.jobs import MAX_WAITING, Lane, Report, Stopping, VisitJob, Waiting
from lipsync.ui.languages import strings
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.redraw import redraw_request
from lipsync.ui.request import SyncRequest
from lipsync.ui.sessions import RUN, Session, Sessions
from lipsync.ui.spoken_rows import with_silence

_LIVE_SECONDS = 60
"""Age up to which the finished frames of a run are kept: a browser that is slow, or on a slow connection,
requests a frame long after it was announced, and shows none at all where it always comes too late."""


class RunEvents:
    """Event handlers of the run buttons.

    They hold no state; what belongs to a visitor is in the `Session`."""

    def __init__(
        self,
        sessions: Sessions,
        models: ModelProvider,
        form: SyncForm,
        settings: Settings,
        outputs: Outputs,
        past: PastRuns,
        lane: Lane,
    ) -> None:
        self._sessions, self._models, self._past, self._lane = sessions, models, past, lane
        self._form, self._compare, self._out = form, settings.compare, outputs

    def connect(self) -> None:
        """Connect the events."""
        out, form = self._out, self._form
        shown: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": [out.status], **COMPARISONS}
        pressed = {out.consent, self._compare, *form.components}
        started = [out.ticket, out.status, out.run, out.cancel]
        out.run.click(self.start, pressed, started, **QUIET)
        again = form.editor.again
        again.change(self.start_again, {again, *pressed}, started, **QUIET)
        out.consent.change(self.consent, None, out.status, **QUIET)
        watched = {"show_progress": "minimal", "show_progress_on": [out.status], **WATCHED}
        out.ticket.change(self.run, {out.preview.time, *form.components}, out.of_run, **watched)
        out.compare.make.click(self.side_by_side, out.made, out.of_run, **shown)
        out.cancel.click(self.cancel, None, [out.cancel], **UNQUEUED)

    def start(self, request: gr.Request, values: Values) -> Updates:
        """Check at once whether a run can start; if so, start it, with a new ticket to watch it."""
        return self._start(request, values, None)

    def start_again(self, request: gr.Request, values: Values) -> Updates:
        """Start to draw one row again."""
        row, _, _ = (values[self._form.editor.again] or "").partition(" ")
        return self._start(request, values, int(row)) if row.isdecimal() else {self._out.ticket: gr.skip()}

    def _start(self, request: gr.Request, values: Values, row: int | None) -> Updates:
        out = self._out
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        if session.job is not None and session.job.running:  # pressed twice
            return {out.ticket: secrets.token_hex(8), **set_busy(out, True)}
        try:
            given = self._form.request(values, session.run_cache)
            planned = with_silence(given, session.folder)
            planned.files()
            if row is not None and not session.history:
                raise InputError(strings.REDRAW_NOTHING, hint=strings.REDRAW_NOTHING_HINT)
            if not values[out.consent]:
                raise InputError(strings.CONSENT_MISSING, hint=strings.CONSENT_HINT)
            if len(self._lane) >= MAX_WAITING:
                raise InputError(strings.QUEUE_FULL, hint=strings.QUEUE_FULL_HINT)
            expected = self._past.estimate(planned.plan(), given.options)
        except LipsyncError as error:
            session.failed.add(RUN)
            return {out.status: error_line(error)}
        session.running.add(RUN)
        session.failed.discard(RUN)
        cancel = session.start(RUN)
        if row is not None:
            made = partial(self._redraw, session, given, row)
        else:
            made = partial(self._make, session, given, values[self._compare])
        work = partial(self._work, session, given, made, cancel, expected)
        session.job = VisitJob(work, cancel)
        return {
            out.ticket: secrets.token_hex(8),
            out.status: status_line(strings.STATUS_STARTING, "busy"),
            **set_busy(out, True),
        }

    def _work(
        self,
        session: Session,
        given: SyncRequest,
        make: Callable[..., Iterator[Report | Done[RunOutputs]]],
        cancel: CancelToken,
        expected: Estimate | None,
    ) -> Iterator[Waiting | Report | Done[RunOutputs]]:
        """The run, at its turn; its results are the visitor's from then on."""
        try:
            with session.job_folder(RUN) as folder:
                seconds = expected.seconds if expected else None
                made = make(folder.path, cancel, seconds)
                for item in self._lane.in_turn(made, cancel, seconds):
                    if isinstance(item, Done):
                        for result in () if item.value.request.redraw else item.value.results:
                            self._past.add(result, given.options)
                        folder.keep()
                        session.remember(item.value)
                    yield item
        finally:
            session.running.discard(RUN)

    def _make(
        self,
        session: Session,
        given: SyncRequest,
        compare_with: str,
        folder: Path,
        cancel: CancelToken,
        seconds: float | None,
    ) -> Iterator[Report | Done[RunOutputs]]:
        """Speak the texts, and run the job."""
        spoken = yield from handlers.speak_texts(given, session.folder, cancel)
        yield from handlers.run_sync(spoken, compare_with, folder, cancel, self._models, seconds)

    def _redraw(
        self,
        session: Session,
        given: SyncRequest,
        row: int,
        folder: Path,
        cancel: CancelToken,
        seconds: float | None,
    ) -> Iterator[Report | Done[RunOutputs]]:
        """Draw one row again; the whole, and say so, where the last result cannot be copied in part."""
        spoken = yield from handlers.speak_texts(given, session.folder, cancel)
        last = session.history[-1]
        try:
            part = redraw_request(spoken, last.request, last.results[0], row)
            yield from handlers.run_sync(part, "", folder, cancel, self._models, seconds)
        except NotCopyableError:
            whole = replace(spoken, notes=(*spoken.notes, strings.REDRAW_WHOLE))
            yield from handlers.run_sync(whole, "", folder, cancel, self._models, seconds)

    def consent(self, request: gr.Request) -> Any:
        """Take away the error that the box was not ticked."""
        session = self._sessions.get(request.session_hash)
        shown = "run" in session.failed
        session.failed.discard("run")
        return "" if shown else gr.skip()

    def run(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Watch the visitor's run; show its progress, and its outputs at the end."""
        out = self._out
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        if session.job is None:
            return
        yield {**self._show_live(True), **set_busy(out, True)}
        try:
            for item in session.job.watch():
                if isinstance(item, Done):
                    yield {
                        **self.show_outputs(item.value, values[out.preview.time], session),
                        **self._idle(session),
                    }
                elif isinstance(item, Waiting | Stopping):
                    yield {out.status: waiting_line(item)}
                else:
                    label, progress = item
                    yield {out.status: progress_line(label, progress), **self._live_frame(progress, session)}
        except Exception as error:  # shown to the visitor, whatever it is
            if not isinstance(error, Cancelled):
                session.failed.add(RUN)
            yield {out.status: error_line(error), **self._show_live(False), **self._idle(session)}

    def _idle(self, session: Session) -> Updates:
        """The buttons while nothing runs."""
        return {**set_busy(self._out, False), self._out.run: gr.Button(interactive=session.ready)}

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

    def _live_frame(self, progress: Progress, session: Session) -> Updates:
        """Show a finished frame under a new file name, as the browser caches by name."""
        if progress.preview is None:
            return {}
        folder = session.folder / "live"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"live_{secrets.token_hex(4)}.jpg"
        oldest = time.time() - _LIVE_SECONDS
        for earlier in folder.glob("live_*.jpg"):
            if earlier.stat().st_mtime < oldest:
                earlier.unlink(missing_ok=True)
        write_image(path, progress.preview)
        return {self._out.result.live: str(path)}

    def show_outputs(self, outputs: RunOutputs, at: float, session: Session) -> Updates:
        """The updates that show the results of a run; the pair of frames is at `at` seconds."""
        out, compare = self._out, self._out.compare
        # Under new names, as the browser caches by name.
        pair = [
            outputs.settings.with_name(f"{name}_{secrets.token_hex(4)}.jpg") for name in ("before", "after")
        ]
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
            out.result.history: gr.CheckboxGroup(
                history_choices(session), value=[], visible=len(session.history) > 1
            ),
            out.result.again: gr.Button(visible=len(session.history) > 1),
            out.made: outputs,
            out.status: status_line(about.replace("*", "").splitlines()[0], "done"),
            compare.slider: tuple(map(str, pair)),
            compare.make: gr.Button(interactive=True),
            **self._show_comparison(outputs, side_by_side),
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
            tab.download: gr.DownloadButton(value=str(outputs.downloads[0]), visible=True),
            tab.settings: gr.DownloadButton(value=str(outputs.settings), visible=True),
            tab.score: gr.HTML(scores, visible=bool(scores)),
            tab.score_file: gr.DownloadButton(
                value=str(outputs.scores) if outputs.scores else None, visible=bool(outputs.scores)
            ),
            tab.subtitles: gr.DownloadButton(
                value=str(first.subtitles) if first.subtitles else None, visible=bool(first.subtitles)
            ),
        }

    def _show_comparison(self, outputs: RunOutputs, side_by_side: Path | None) -> Updates:
        compare = self._out.compare
        if side_by_side is None:
            return {compare.wipe: {}, compare.video: gr.Video(None, visible=False)}
        return {
            compare.wipe: wipe_value(outputs.results),
            compare.video: gr.Video(str(side_by_side), visible=True),
        }

    def side_by_side(self, made: RunOutputs | None, request: gr.Request) -> Iterator[Updates]:
        """Write the side-by-side video of the last run."""
        out = self._out
        if made is None:
            return
        session = self._sessions.get(request.session_hash)
        cancel = session.start("run")
        yield set_busy(out, True)
        try:
            folder = made.settings.parent
            for item in run_in_thread(
                lambda progress: handlers.write_comparison(made, folder, progress, cancel), cancel
            ):
                if isinstance(item, Done):
                    line = status_line(strings.SIDE_BY_SIDE_DONE, "done")
                    comparison = self._show_comparison(made, item.value)
                    yield {**comparison, out.status: line, **self._idle(session)}
                else:
                    yield {out.status: progress_line("", item)}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {out.status: error_line(error), **self._idle(session)}

    def cancel(self, request: gr.Request) -> Updates:
        """Cancel the visitor's run; who watches it is told, and within a second or two its end."""
        self._sessions.get(request.session_hash).cancel(RUN)
        return {self._out.cancel: gr.Button(interactive=False)}
