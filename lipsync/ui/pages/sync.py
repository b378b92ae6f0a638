"""What happens on the page: each handler reads the form, does its work for one visitor, and tells of it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.context import ModelProvider
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.media import write_image
from lipsync.options import SyncOptions
from lipsync.pipeline.job import plan
from lipsync.progress import Progress
from lipsync.segments import parse_segments
from lipsync.ui import controls, handlers, strings
from lipsync.ui.background import Done, in_thread
from lipsync.ui.formatting import describe_result, in_words
from lipsync.ui.handlers import Given, Made
from lipsync.ui.inputs import Inputs
from lipsync.ui.outputs import Outputs, at_work, error_line, progress_line, status_line
from lipsync.ui.pages.batch import Batch, run_batch
from lipsync.ui.range_table import MOST, mark_problems, read_ranges
from lipsync.ui.score_card import score_html
from lipsync.ui.sessions import Session, Sessions
from lipsync.ui.settings import Settings
from lipsync.utils.timecodes import spoken_duration

Updates = dict[Any, Any]
_FILES = 5
"""Places on the form that a file can be in: they come first."""
_LIVE = 10
"""Finished frames that stay while a run goes on: a browser that is far away, or has much to do, asks for
one seconds after it was told of it."""


class Events:
    """The handlers of one page. They keep nothing themselves; what is a visitor's is in its `Session`."""

    def __init__(
        self, sessions: Sessions, models: ModelProvider, inputs: Inputs, settings: Settings, outputs: Outputs
    ) -> None:
        self._sessions, self._networks = sessions, models
        self._in, self._settings, self._out = inputs, settings, outputs

    # --- the form --------------------------------------------------------------------------------

    @property
    def form(self) -> list[Any]:
        """The components that `_read` takes the values of."""
        fields = [*self._in.video_ranges.fields, *self._in.voice_ranges.fields]
        said = [self._in.segments, self._in.more_voices]
        return [*self._in.files, self._settings.reference, *said, *fields, *self._settings.controls.values()]

    def _read(self, values: Sequence[Any]) -> Given:
        """Raises `LipsyncError` for parts or settings that cannot be read."""
        video, photo, voice, voice_video, person, segments, more_voices, *rest = values
        video_parts, voice_parts = rest[: 2 * MOST], rest[2 * MOST : 4 * MOST]
        chosen = dict(zip(self._settings.controls, rest[4 * MOST :], strict=True))
        options = SyncOptions.from_flat(
            **{name: controls.read(name, value) for name, value in chosen.items()},
            face_reference=Path(person) if person and chosen["which_face"] == "reference" else None,
            video_ranges=read_ranges(video_parts),
            voice_ranges=read_ranges(voice_parts),
        )
        return Given(
            video or photo,
            voice or voice_video,
            options,
            segments=parse_segments(segments or "", allow_files=False),
            more_voices=tuple(more_voices or ()),
        )

    def _session(self, request: gr.Request, values: Sequence[Any] = ()) -> Session:
        more_voices = values[_FILES + 1] or () if values else ()
        return self._sessions.of(request.session_hash, *values[:_FILES], *more_voices)

    def _given(self, session: Session, values: Sequence[Any]) -> Given:
        """What was given, for work that looks for faces."""
        return replace(self._read(values), cache=session.faces)

    # --- what is given ---------------------------------------------------------------------------

    def plan(self, request: gr.Request, *values: Any) -> Updates:
        """Say what the button will do; the last value is the moment to preview."""
        out, *form = self._out, *values[:-1]
        self._session(request, form)
        label, moment = strings.RUN_NOTHING, gr.skip()
        try:
            given = self._read(form)
            if given.complete:
                foreseen = plan(*given.files(), given.options, **given.spoken)
                label = strings.RUN_READY.format(length=spoken_duration(foreseen.seconds))
                words = strings.STATUS_READY.format(
                    frames=foreseen.frames,
                    width=foreseen.width,
                    height=foreseen.height,
                    fps=float(foreseen.fps),
                )
                line = status_line(words)
                last = round(float((foreseen.frames - 1) / foreseen.fps), 2)
                moment = gr.Slider(maximum=max(last, 0.04), value=min(float(values[-1] or 0), last))
            else:
                label = (
                    strings.RUN_NO_VOICE if given.video else strings.RUN_NO_PICTURE if given.voice else label
                )
                line = status_line(label if given.video or given.voice else strings.STATUS_EMPTY)
        except Exception as error:  # whatever it is, it is said in words
            label, line = strings.RUN_WRONG, error_line(error)
        return {out.run: gr.Button(label), out.foreseen: line, out.time: moment}

    def mark_video(self, video: str | None, *fields: str) -> list[str]:
        """Mark the parts of the video that cannot be used."""
        return mark_problems(video, False, fields)

    def mark_voice(self, voice: str | None, voice_video: str | None, *fields: str) -> list[str]:
        """Mark the parts of the voice that cannot be used."""
        return mark_problems(voice or voice_video, True, fields)

    # --- preview ---------------------------------------------------------------------------------

    def preview(self, request: gr.Request, *values: Any) -> Updates:
        """Draw one frame; the last value is the moment. Quiet while something is missing."""
        out, form, at = self._out, values[:-1], float(values[-1] or 0)
        session = self._session(request, form)
        cancel = session.begin("preview")
        try:
            given = self._given(session, form)
            if not given.complete:
                return {out.note: strings.PREVIEW_EMPTY, out.overlay: None, out.previewed: None}
            folder = session.place("preview")
            files = handlers.draw_preview(given, at, folder, cancel, self._networks)
        except Cancelled:
            return {out.note: gr.skip()}
        except Exception as error:  # whatever it is, it is said in words
            return {out.note: f"✕ {in_words(error)}"}
        session.only("preview", folder)
        drawn = files.preview
        words = strings.PREVIEW_DONE if drawn.box else strings.PREVIEW_NO_FACE
        people = [
            (str(path), (strings.FACE_SPEAKS if person.chosen else strings.FACE).format(number=number))
            for number, (path, person) in enumerate(zip(files.faces, drawn.people, strict=False), 1)
        ]
        return {
            out.overlay: str(files.overlay),
            out.previewed: str(files.result),
            out.note: words.format(time=at, variant=drawn.variant, hint=strings.PREVIEW_HINT),
            out.faces: gr.Gallery(people, visible=bool(people)),
            out.people: [(person.x, person.y, drawn.picture_time) for person in drawn.people],
        }

    def choose_face(self, people: list[tuple[float, float, float]], chosen: gr.SelectData) -> list[Any]:
        """Make the person on the clicked thumbnail the one who speaks."""
        x, y, time = people[chosen.index]
        return ["point", round(x, 4), round(y, 4), round(time, 3)]

    # --- run -------------------------------------------------------------------------------------

    def start(self, request: gr.Request, consent: bool, *form: Any) -> Updates:
        """See at once whether a run can begin; if so, queue it by a new ticket."""
        out = self._out
        self._session(request, form)
        try:
            given = self._read(form)
            given.files()
            if not consent:
                raise InputError(strings.CONSENT_MISSING, hint=strings.CONSENT_HINT)
        except LipsyncError as error:
            return {out.status: status_line(in_words(error), "bad")}
        return {
            out.ticket: secrets.token_hex(8),
            out.status: status_line(strings.STATUS_WAITING, "busy"),
            **at_work(self._out, True),
        }

    def run(self, request: gr.Request, compare: str, at: float, *form: Any) -> Iterator[Updates]:
        """Run; tell how far it is, and at last show what was made."""
        out = self._out
        session = self._session(request, form)
        cancel = session.begin("run")
        folder = session.place("run")
        kept = False
        yield {
            out.status: status_line(strings.STATUS_STARTING, "busy"),
            **self._live(True),
            **at_work(self._out, True),
        }
        try:
            given = self._given(session, form)
            for news in handlers.make(given, compare, folder, cancel, self._networks):
                if isinstance(news, Done):
                    shown_now = self._show(news.value, at, folder)
                    kept = True
                    session.only("run", folder)
                    yield {**shown_now, **at_work(self._out, False)}
                else:
                    yield {out.status: progress_line(*news), **self._newest_picture(news[1], folder)}
        except Exception as error:  # whatever it is, it is said in words
            kept = False
            yield {out.status: error_line(error), **self._live(False), **at_work(self._out, False)}
        finally:
            if not kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _live(self, running: bool) -> Updates:
        """The place of the result: the frames that are done while it runs, the video before and after."""
        out = self._out
        shown: Updates = {out.result: gr.Video(visible=not running)}
        if running:
            return {**shown, out.tabs: gr.Tabs(selected="result"), out.live: gr.Image(None, visible=True)}
        return {**shown, out.live: gr.Image(visible=False)}

    def _newest_picture(self, progress: Progress, folder: Path) -> Updates:
        """Show a finished frame; each has a name of its own, or the browser would keep the first."""
        if progress.preview is None:
            return {}
        path = folder / f"live_{secrets.token_hex(4)}.jpg"
        for earlier in sorted(folder.glob("live_*.jpg"), key=lambda one: one.stat().st_mtime)[:-_LIVE]:
            earlier.unlink(missing_ok=True)
        write_image(path, progress.preview)
        return {self._out.live: str(path)}

    def _show(self, made: Made, at: float, folder: Path) -> Updates:
        out = self._out
        first, *others = made.results
        pair = [folder / "before.jpg", folder / "after.jpg"]
        for path, frame in zip(pair, handlers.frame_pair(made, at), strict=True):
            write_image(path, frame)
        other = gr.Video(
            str(others[0].path) if others else None,
            label=strings.RESULT_OTHER.format(variant=others[0].variant) if others else "",
            visible=bool(others),
        )
        label = strings.RESULT_OTHER.format(variant=first.variant) if others else strings.RESULT
        cards = score_html(made.results)
        about = "\n\n".join(describe_result(result) for result in made.results)
        return {
            out.tabs: gr.Tabs(selected="result"),
            out.live: gr.Image(visible=False),
            out.result: gr.Video(
                str(first.path),
                label=label,
                visible=True,
                subtitles=str(first.subtitles) if first.subtitles else None,
            ),
            out.subtitles: gr.DownloadButton(
                value=str(first.subtitles) if first.subtitles else None, visible=bool(first.subtitles)
            ),
            out.other: other,
            out.about: about,
            out.download: gr.DownloadButton(value=str(first.path), visible=True),
            out.settings: gr.DownloadButton(value=str(made.settings), visible=True),
            out.score: gr.HTML(cards, visible=bool(cards)),
            out.score_file: gr.DownloadButton(
                value=str(made.scores) if made.scores else None, visible=bool(made.scores)
            ),
            out.slider: tuple(map(str, pair)),
            out.beside_button: gr.Button(interactive=True),
            out.beside: gr.Video(str(made.beside) if made.beside else None, visible=bool(made.beside)),
            out.made: made,
            out.status: status_line(about.replace("*", "").splitlines()[0], "done"),
        }

    def beside(self, made: Made | None, request: gr.Request) -> Iterator[Updates]:
        """Write original and result side by side, when asked for."""
        out = self._out
        if made is None:
            return
        cancel = self._session(request).begin("run")
        yield at_work(self._out, True)
        try:
            folder = made.settings.parent
            for news in in_thread(
                lambda progress: handlers.put_beside(made, folder, progress, cancel), cancel
            ):
                if isinstance(news, Done):
                    line = status_line(strings.BESIDE_DONE, "done")
                    video = gr.Video(str(news.value), visible=True)
                    yield {out.beside: video, out.status: line, **at_work(self._out, False)}
                else:
                    yield {out.status: progress_line("", news)}
        except Exception as error:  # whatever it is, it is said in words
            yield {out.status: error_line(error), **at_work(self._out, False)}

    def cancel(self, request: gr.Request) -> Updates:
        """Stop what runs for this visitor."""
        self._session(request).cancel("run")
        return {
            self._out.status: status_line(strings.STATUS_STOPPED),
            **self._live(False),
            **at_work(self._out, False),
        }

    def batch(self, batch: Batch) -> Callable[..., Iterator[Updates]]:
        """What running many at once does."""

        def react(
            request: gr.Request, videos: list[str] | None, voices: list[str] | None, consent: bool, *form: Any
        ) -> Iterator[Updates]:
            session = self._sessions.of(request.session_hash, *(videos or []), *(voices or []))
            try:
                nothing = ["", None, *[""] * 4 * MOST]  # segments and parts belong to the one video
                options = self._read([*form[:_FILES], *nothing, *form[_FILES + len(nothing) :]]).options
            except LipsyncError as error:
                yield {batch.status: error_line(error)}
                return
            given = videos or [], voices or []
            yield from run_batch(batch, session, *given, options, consent, self._networks)

        return react

    def stop_batch(self, batch: Batch) -> Callable[..., Updates]:
        """What cancelling them does."""

        def react(request: gr.Request) -> Updates:
            self._session(request).cancel("batch")
            return {batch.status: status_line(strings.STATUS_STOPPED), **at_work(batch, False)}

        return react

    def leave(self, request: gr.Request) -> None:
        """The visitor has closed the page."""
        self._sessions.leave(request.session_hash)
