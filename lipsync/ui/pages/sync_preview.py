"""Events of the sync tab before a run: plan, preview, face choice, range checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import gradio as gr

from lipsync.context import ModelProvider
from lipsync.errors import Cancelled
from lipsync.pipeline.loudest import loudest_moment
from lipsync.pipeline.preview import VOICE_SECONDS, preview_face
from lipsync.progress import CancelToken
from lipsync.types import Plan, Preview
from lipsync.ui import handlers
from lipsync.ui.background import Done
from lipsync.ui.components.changes import new_values
from lipsync.ui.components.face_box import connect_face_box, face_box_value
from lipsync.ui.components.inputs import Inputs
from lipsync.ui.components.outputs import Outputs
from lipsync.ui.components.range_table import RangeTable
from lipsync.ui.components.status import (
    PREVIEWS,
    QUIET,
    Updates,
    Values,
    error_line,
    notices_html,
    status_line,
)
from lipsync.ui.components.timeline import kept_waveform
from lipsync.ui.estimates import PastRuns
from lipsync.ui.formatting import duration_text, error_text, lengths_text, progress_text
from lipsync.ui.handlers import PreviewFiles
from lipsync.ui.labels import in_labels
from lipsync.ui.languages import strings
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.request import SyncRequest
from lipsync.ui.sessions import Session, Sessions
from lipsync.ui.spoken_rows import with_silence, with_speech
from lipsync.ui.zerogpu.dispatch import local_options

_SHORT_VOICE_SECONDS = 0.3
"""A voice shorter than a syllable or two."""
_FORGET_BOX = "(given, other, box) => Boolean(given) !== Boolean(other) ? box : ''"
"""A first file keeps the box, which a settings file may have brought."""
_FACE_SETTINGS = ("which_face", "face_x", "face_y", "face_time")
"""The settings that a click on a face sets."""


class PreviewEvents:
    """Event handlers of the inputs, settings and preview.

    They hold no state; what belongs to a visitor is in the `Session`."""

    def __init__(
        self,
        sessions: Sessions,
        models: ModelProvider,
        inputs: Inputs,
        form: SyncForm,
        outputs: Outputs,
        past: PastRuns,
    ) -> None:
        self._sessions, self._models = sessions, models
        self._in, self._form, self._out, self._past = inputs, form, outputs, past

    def connect(self, values: gr.Textbox) -> None:
        """Connect the events; `values` changes with the form."""
        self._connect_range_checks(values)
        form, preview_tab = self._form, self._out.preview
        inputs = {*form.components, preview_tab.time}
        # A change during a preview is answered afterwards, once, with the newest values.
        planned = new_values([values])(
            self.plan,
            inputs,
            [self._out.run, self._out.plan, self._out.notices, self._out.status, preview_tab.time],
            trigger_mode="always_last",
            **QUIET,
        )
        shown: dict[str, Any] = {
            "show_progress": "minimal",
            "show_progress_on": [preview_tab.note],
            **PREVIEWS,
        }
        drawn = [*preview_tab.outputs, self._out.notices, self._out.run]
        planned.then(self.preview, inputs, drawn, trigger_mode="always_last", **shown)
        gr.on(
            [preview_tab.redraw.click, preview_tab.time.release],
            self.preview_chosen,
            inputs,
            drawn,
            trigger_mode="always_last",
            **shown,
        )
        preview_tab.play.click(
            self.play, inputs, [preview_tab.note, preview_tab.clip], trigger_mode="always_last", **shown
        )
        face = [form.fields[name] for name in _FACE_SETTINGS]
        preview_tab.faces.select(self.choose_face, preview_tab.people, face, **QUIET)
        box = form.fields["box"]
        connect_face_box(preview_tab.overlay, self.edit_face, [preview_tab.people], [box, *face])
        self._forget_box(box)

    def _forget_box(self, box: Any) -> None:
        """Give up a box that was set on another video, as its parts are; in the browser."""
        video, photo = self._in.video, self._in.photo
        for given, other in ((video, photo), (photo, video)):
            triggers = [given.input, *([given.stop_recording] if given is video else [])]
            gr.on(triggers, None, [given, other, box], box, js=_FORGET_BOX, **QUIET)

    def _connect_range_checks(self, values: gr.Textbox) -> None:
        inputs = self._in
        checked: list[tuple[RangeTable, Callable[[Values], Updates], list[Any]]] = [
            (inputs.video_ranges, self.check_video_ranges, [inputs.video]),
            (inputs.voice_ranges, self.check_voice_ranges, [inputs.voice, inputs.voice_video]),
        ]
        for table, check, files in checked:
            given = {*files, *table.fields}
            new_values(given, [values.change])(check, given, table.notes, trigger_mode="always_last", **QUIET)

    def check_video_ranges(self, values: Values) -> Updates:
        """Mark the invalid ranges of the video."""
        return self._in.video_ranges.check(values, values[self._in.video], audio=False)

    def check_voice_ranges(self, values: Values) -> Updates:
        """Mark the invalid ranges of the voice."""
        path = values[self._in.voice] or values[self._in.voice_video]
        return self._in.voice_ranges.check(values, path, audio=True)

    def plan(self, request: gr.Request, values: Values) -> Updates:
        """Show what a run would make, on the button and above it."""
        out = self._out
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        gone: Updates = {out.status: ""} if "run" in session.failed else {}  # the error of a run before
        session.failed.discard("run")
        session.values = dict(values)  # for a reload
        session.ready = False
        try:
            given = self._form.request(values)
            if given.is_complete:
                given = with_silence(given, session.folder)
                return {**gone, **self._planned(given, values[out.preview.time], session)}
            label = _missing(given)
            line = status_line(label if given.video or given.voice else strings.STATUS_EMPTY)
        except Exception as error:  # shown to the visitor, whatever it is
            label, line = strings.RUN_INVALID, error_line(error)
        return {**gone, out.run: gr.Button(label, interactive=False), out.plan: line, out.notices: ""}

    def _planned(self, given: SyncRequest, at: float | None, session: Session) -> Updates:
        out, plan = self._out, given.plan()
        line = strings.STATUS_READY.format(
            frames=plan.frames, width=plan.width, height=plan.height, fps=float(plan.fps)
        )
        if not given.segments:
            line = f"{line} {lengths_text(plan, given.options.media)}".strip()
        if estimate := self._past.estimate(plan, given.options):
            took = duration_text(round(estimate.seconds))
            line += strings.STATUS_ESTIMATE.format(time=took, size=estimate.bytes / 1e6)
        session.ready = True
        last = _last_moment(plan.frames, plan.fps)
        if (at or 0) > last:
            session.moment_chosen_for = None  # it is gone
        label = strings.RUN_READY.format(length=duration_text(plan.seconds))
        return {
            out.run: gr.Button(label, interactive="run" not in session.running),
            out.plan: status_line(line),
            out.notices: notices_html(_plan_notices(plan)),
            out.preview.time: gr.Slider(maximum=max(last, 0.04), value=min(float(at or 0), last)),
        }

    def preview(self, request: gr.Request, values: Values) -> Updates:
        """Draw one frame; silent while an input is missing, or where the plan shows the error already."""
        tab = self._out.preview
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        cancel = session.start("preview")
        try:
            given = self._form.request(values, session.run_cache)
            if not given.video:
                return {tab.note: strings.PREVIEW_EMPTY, **self._nothing()}
            if not given.is_complete:
                return self._face_only(given, float(values[tab.time] or 0), cancel)
            at = self._moment(given, float(values[tab.time] or 0), session, cancel)
        except Cancelled:
            return {tab.note: gr.skip()}
        except Exception:  # shown above the button
            return {tab.note: strings.PREVIEW_INVALID, **self._nothing()}
        try:
            given = with_speech(given, session.folder, cancel=cancel, around=at)
            with session.job_folder("preview") as folder:
                files = handlers.render_preview(given, at, folder.path, cancel, self._models)
                folder.replace_older()
        except Cancelled:
            return {tab.note: gr.skip()}
        except Exception as error:  # shown to the visitor, whatever it is
            return {tab.note: f"✕ {error_text(error)}"}
        return {**self._previewed(given, files, at), **self._noticed(given, files.preview, session)}

    def _nothing(self) -> Updates:
        tab = self._out.preview
        return {tab.overlay: {}, tab.result: None, tab.face: gr.Image(None, visible=False)}

    def _face_only(self, given: SyncRequest, at: float, cancel: CancelToken) -> Updates:
        """Show the face box while there is no voice yet."""
        tab, options = self._out.preview, local_options(given.options)
        drawn = preview_face(given.video or "", at, options, cancel=cancel, cache=given.cache)
        text = strings.PREVIEW_BOX_ONLY if drawn.box else strings.PREVIEW_NO_FACE
        return {
            **self._nothing(),
            tab.overlay: face_box_value(drawn, fixed=given.options.faces.box is not None),
            tab.note: text.format(time=drawn.video_time),
            tab.people: [(one.x, one.y, drawn.video_time) for one in drawn.people],
        }

    def _moment(self, given: SyncRequest, at: float, session: Session, cancel: CancelToken) -> float:
        """The time to preview: what the visitor has chosen, else where the voice is loudest.

        Of texts that are still to be spoken it is the first line.
        """
        job = with_silence(given, session.folder).open()
        at = min(at, _last_moment(len(job.timeline), job.video.fps))  # the result may have become shorter
        if given.rows:
            first = job.segments[0]
            return at or round((first.start + first.end) / 2, 2)
        if given.voice and session.moment_chosen_for == given.voice:
            return at
        read = partial(kept_waveform, session, cancel=cancel)
        return round(loudest_moment(job, lambda path: read(str(path))), 2)

    def preview_chosen(self, request: gr.Request, values: Values) -> Updates:
        """Draw the frame that the visitor has asked for, and keep to its time from now on."""
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        voices = (values[self._form.fields[name]] for name in ("voice", "voice_video"))
        session.moment_chosen_for = next(filter(None, voices), None)
        return self.preview(request, values)

    def play(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Make a few seconds of the result, with sound, and play them."""
        tab, at = self._out.preview, float(values[self._out.preview.time] or 0)
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        cancel = session.start("clip")
        try:
            given = self._form.request(values, session.run_cache)
            given = with_speech(given, session.folder, cancel=cancel, around=at)
            given.files()
            with session.job_folder("clip") as folder:
                for item in handlers.render_clip(given, at, folder.path, cancel, self._models):
                    if isinstance(item, Done):
                        part, path = item.value
                        folder.replace_older()
                        text = strings.CLIP_DONE.format(start=part.start, end=part.end)
                        yield {tab.note: text, tab.clip: gr.Video(str(path), visible=True)}
                    else:
                        part, progress = item
                        text = strings.CLIP_MAKING.format(start=part.start, end=part.end)
                        yield {tab.note: f"{text} {progress_text('', progress)}"}
        except Cancelled:
            return
        except Exception as error:  # shown to the visitor, whatever it is
            yield {tab.note: f"✕ {error_text(error)}", tab.clip: gr.Video(None, visible=False)}

    def _noticed(self, given: SyncRequest, drawn: Preview, session: Session) -> Updates:
        """What the preview shows to speak against a run: a silent voice, a photo without a face."""
        plan = given.plan()
        heard = "{notice}" if plan.seconds <= VOICE_SECONDS else strings.NOTICE_AROUND
        notices = _plan_notices(plan) + [heard.format(notice=in_labels(one)) for one in drawn.warnings]
        if drawn.box is None and given.is_photo and not given.segments:
            notices.append(strings.NOTICE_NO_FACE)
            session.ready = False
            no_use = gr.Button(strings.RUN_INVALID, interactive=False)
            return {self._out.notices: notices_html(notices), self._out.run: no_use}
        return {self._out.notices: notices_html(notices)}

    def _previewed(self, given: SyncRequest, files: PreviewFiles, at: float) -> Updates:
        tab, drawn = self._out.preview, files.preview
        fixed = given.options.faces.box is not None
        text = strings.PREVIEW_DONE if drawn.box else strings.PREVIEW_NO_FACE
        people = [
            (str(path), (strings.FACE_SPEAKS if person.selected else strings.FACE).format(number=number))
            for number, (path, person) in enumerate(zip(files.faces, drawn.people, strict=False), 1)
        ]
        return {
            tab.overlay: face_box_value(drawn, fixed=fixed),
            tab.result: str(files.result),
            tab.face: gr.Image(str(files.face) if files.face else None, visible=bool(files.face)),
            tab.note: text.format(
                time=at, variant=drawn.variant, hint=strings.PREVIEW_FIXED if fixed else strings.PREVIEW_HINT
            ),
            tab.faces: gr.Gallery(people, visible=bool(people)),
            tab.time: at,
            tab.clip: gr.Video(None, visible=False),  # of what was set before
            tab.people: [(person.x, person.y, drawn.video_time) for person in drawn.people],
        }

    def choose_face(self, people: list[tuple[float, float, float]], chosen: gr.SelectData) -> Updates:
        """Make the person on the clicked thumbnail the speaker."""
        return self._chosen(people[chosen.index])

    def edit_face(self, done: dict[str, Any] | None, people: list[tuple[float, float, float]]) -> Updates:
        """Take over what was done on the picture: a box was dragged or given up, or a face clicked."""
        box, index = self._form.fields["box"], (done or {}).get("face")
        if isinstance(index, int) and 0 <= index < len(people):
            return {box: "", **self._chosen(people[index])}
        edges = (done or {}).get("box")
        return {box: " ".join(str(int(edge)) for edge in edges or ())}

    def _chosen(self, person: tuple[float, float, float]) -> Updates:
        """The settings that make a person the speaker: where the face is, and when."""
        x, y, time = person
        values = ("point", round(x, 4), round(y, 4), round(time, 3))
        return {self._form.fields[name]: value for name, value in zip(_FACE_SETTINGS, values, strict=True)}


def _plan_notices(plan: Plan) -> list[str]:
    """What is said as soon as video and voice are there: a short voice, what the result cannot keep."""
    seconds = plan.voice_seconds
    short = [strings.NOTICE_SHORT_VOICE.format(seconds=seconds)] if seconds < _SHORT_VOICE_SECONDS else []
    return short + [in_labels(one) for one in plan.warnings]


def _last_moment(frames: int, fps: Fraction) -> float:
    """The time of a result's last frame in seconds, to the hundredths that the slider has."""
    return int(100 * (frames - 1) / fps) / 100


def _missing(given: SyncRequest) -> str:
    """The button's label while an input is missing."""
    if given.video:
        return strings.RUN_NO_VOICE
    return strings.RUN_NO_VIDEO if given.voice else strings.RUN_NOTHING
