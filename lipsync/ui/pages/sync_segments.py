"""Events of the segment editor: checks, faces, scripts, found speakers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.dubbing import SpeakerTurn, find_speakers, read_script
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.media import open_audio, open_video
from lipsync.options import SyncOptions
from lipsync.segments import parse_segments
from lipsync.speech.text_to_speech import DEFAULT_VOICE, installed_synthesizers
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.components.changes import new_values
from lipsync.ui.components.inputs import Inputs
from lipsync.ui.components.speech_panel import spoken_choices
from lipsync.ui.components.status import (
    QUIET,
    Updates,
    Values,
    connect_cancel,
    error_line,
    own_lane,
    progress_line,
    status_line,
)
from lipsync.ui.face_thumbnails import FaceFinder, SeenFace
from lipsync.ui.languages import strings
from lipsync.ui.pages.sync_form import SyncForm
from lipsync.ui.row_checks import face_problems, row_problems
from lipsync.ui.script_rows import (
    ScriptRow,
    read_rows,
    rows_of_script,
    rows_of_segments,
    rows_of_turns,
    segment_text,
    with_faces,
)
from lipsync.ui.sessions import Session, Sessions
from lipsync.ui.spoken_rows import spoken_seconds

_CHECKS: dict[str, Any] = {**own_lane("rows"), **QUIET, "trigger_mode": "always_last"}
_FACES: dict[str, Any] = {**own_lane("faces"), **QUIET, "trigger_mode": "always_last"}
_SPEAKERS: dict[str, Any] = {**own_lane("speakers"), **QUIET}
_FINDING = "speakers"


class SegmentEvents:
    """Event handlers of the segment editor.

    They hold no state; what belongs to a visitor is in the `Session`."""

    def __init__(self, sessions: Sessions, inputs: Inputs, form: SyncForm) -> None:
        self._sessions, self._in, self._form, self._editor = sessions, inputs, form, inputs.editor

    def connect(self, values: gr.Textbox) -> None:
        """Connect the events; `values` changes with the form."""
        editor, form = self._editor, self._form
        editor.connect()
        checked = new_values([values])(self.check, form.components, [editor.told, editor.text], **_CHECKS)
        checked.then(self.look, form.components, editor.told, **_FACES)
        new_values([editor.text], [editor.text.blur, editor.text.submit])(
            self.read_text, {editor.text, editor.rows}, [editor.view, editor.rows], **QUIET
        )
        loaded = [*editor.outputs, editor.note]
        editor.script.upload(self.load, {editor.script, *form.components}, loaded, **QUIET)
        finding = editor.find.click(
            self.find, form.components, [*loaded, editor.find, editor.stop], **_SPEAKERS
        )
        connect_cancel(editor.stop, self.stop, None, [editor.note, editor.find, editor.stop], [finding])

    # --- checks ------------------------------------------------------------------------------------

    def check(self, request: gr.Request, values: Values) -> Updates:
        """Say what is wrong with the rows, and which voices there are."""
        editor = self._editor
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        about: dict[str, Any] = {
            "voices": _voice_choices(self._paths(values)),
            "spoken": [{"value": voice, "label": label} for label, voice in spoken_choices()],
            "rows": [],
        }
        try:
            rows = read_rows(values[editor.rows])
            about["rows"] = [asdict(row) for row in rows]
            about["problems"] = self._problems(rows, values, session)
            text: Any = segment_text(rows)
        except LipsyncError:  # said above the button
            about["problems"], text = [], gr.skip()
        return {editor.told: json.dumps(about), editor.text: text}

    def _problems(self, rows: Sequence[ScriptRow], values: Values, session: Session) -> list[str]:
        if not rows:
            return []
        options, paths = self._options(values), self._paths(values)
        lengths: list[float | None] = []
        video_seconds = None
        try:
            given = self._form.request(values)
            lengths = spoken_seconds(given, session.folder)
            if given.video:
                reader = open_video(given.video, options.media)
                video_seconds = None if reader.is_still else float(reader.frame_count / reader.fps)
        except LipsyncError:  # said above the button, or of a row that is named below
            pass
        ranges = [options.media.voice_ranges, *[()] * len(paths)]
        seconds = [_seconds(path, part) for path, part in zip(paths, ranges, strict=False)]
        return row_problems(rows, video_seconds, seconds, installed_synthesizers(), lengths)

    def look(self, request: gr.Request, values: Values) -> Updates:
        """Look up the faces that rows choose, and those that there are to choose from."""
        editor = self._editor
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        cancel = session.start("faces")
        video = self._video(values)
        try:
            rows = read_rows(values[editor.rows])
            if not rows or not video:
                return {editor.told: gr.skip()}
            finder = FaceFinder(video, self._options(values), session.folder, cancel)
            unseen, chosen, times = face_problems(rows, finder)
            others = finder.palette(times[:20], [one for face, one in chosen.items() if face])
            wrong = self._problems(rows, values, session)
        except (Cancelled, LipsyncError):  # said above the button
            return {editor.told: gr.skip()}
        about = {
            "rows": [asdict(row) for row in rows],
            "problems": [one or other for one, other in zip(wrong, unseen, strict=True)],
            "faces": _face_choices(chosen, others),
            "chosen": {face: one.image for face, one in chosen.items()},
        }
        return {editor.told: json.dumps(about)}

    # --- ways to fill the rows ---------------------------------------------------------------------

    def read_text(self, values: Values) -> Updates:
        """Take over the rows as text; what is said stays with rows of the same start."""
        editor, text = self._editor, (values[self._editor.text] or "").strip()
        try:
            before = read_rows(values[editor.rows])
        except LipsyncError:
            before = ()
        if segment_text(before) == text:
            return {editor.rows: gr.skip()}
        try:
            rows = rows_of_segments(parse_segments(text, allow_files=False))
        except LipsyncError:  # said above the button, as the text is what the run would use
            return {editor.rows: text}
        shown = editor.show(rows)
        del shown[editor.text]
        return shown

    def load(self, request: gr.Request, values: Values) -> Updates:
        """Fill the rows from a script."""
        editor, path = self._editor, values[self._editor.script]
        self._sessions.get(request.session_hash, path, *self._form.uploads(values))
        paths = self._paths(values)
        more = values[editor.more_voices] or ()
        sounds = {Path(one).name: Path(one) for one in more}
        try:
            script = read_script(path, sounds)
            first = len(paths) - len(more)
            numbers = {Path(one): first + number for number, one in enumerate(more)}
            otherwise = "0" if first else DEFAULT_VOICE
            rows = rows_of_script(script, numbers, otherwise)
        except LipsyncError as error:
            return {editor.note: error_line(error)}
        line = strings.SCRIPT_LOADED.format(count=len(rows), name=Path(path).name)
        return {**editor.show(rows), editor.note: status_line(" ".join([line, *script.notes]), "done")}

    def find(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Fill the rows with who speaks when in the video."""
        editor = self._editor
        session = self._sessions.get(request.session_hash, *self._form.uploads(values))
        cancel = session.start(_FINDING)
        idle: Updates = {editor.find: gr.Button(interactive=True), editor.stop: gr.Button(visible=False)}
        try:
            video = self._video(values)
            if not video:
                raise InputError(strings.NO_VIDEO, hint=strings.NO_VIDEO_HINT)
            media = self._options(values).media
            yield {
                editor.note: status_line(strings.STATUS_STARTING, "busy"),
                editor.find: gr.Button(interactive=False),
                editor.stop: gr.Button(visible=True),
            }
            for item in run_in_thread(
                lambda progress: find_speakers(video, media=media, progress=progress, cancel=cancel), cancel
            ):
                if isinstance(item, Done):
                    rows, line = _use_turns(values[editor.rows], item.value)
                    shown = editor.show(rows) if rows else {}
                    yield {**shown, editor.note: status_line(line, "done"), **idle}
                else:
                    yield {editor.note: progress_line("", item)}
        except Exception as error:  # shown to the visitor, whatever it is
            yield {editor.note: error_line(error), **idle}

    def stop(self, request: gr.Request) -> Updates:
        """Stop finding speakers."""
        self._sessions.get(request.session_hash).cancel(_FINDING)
        editor = self._editor
        return {
            editor.note: status_line(strings.STATUS_STOPPED),
            editor.find: gr.Button(interactive=True),
            editor.stop: gr.Button(visible=False),
        }

    # --- values ------------------------------------------------------------------------------------

    def _options(self, values: Values) -> SyncOptions:
        """The settings and ranges, as far as they can be read."""
        try:
            tables = self._form.ranges.items()
            return self._form.options(values, **{name: table.read(values) for name, table in tables})
        except LipsyncError:  # said above the button
            return SyncOptions()

    def _video(self, values: Values) -> str | None:
        path: str | None = values[self._in.video] or values[self._in.photo]
        return path

    def _paths(self, values: Values) -> list[str]:
        """The voice files, in the order in which rows count them."""
        first = values[self._in.voice] or values[self._in.voice_video]
        return [*([first] if first else []), *(values[self._editor.more_voices] or ())]


def _seconds(path: str, ranges: Any) -> float:
    """Length of a voice; 0 for one that cannot be read, which is said above the button."""
    try:
        return open_audio(Path(path), ranges).duration
    except LipsyncError:
        return 0.0


def _voice_choices(paths: Sequence[str]) -> list[dict[str, str]]:
    others = [
        {"value": str(number), "label": strings.VOICE_FILE_NAMED.format(number=number, name=Path(path).name)}
        for number, path in enumerate(paths[1:], 1)
    ]
    return [{"value": "0", "label": strings.VOICE_FILE}, *others]


def _face_choices(chosen: dict[str, SeenFace], others: Sequence[SeenFace]) -> list[dict[str, str]]:
    """The faces to choose from; one that a row names is chosen as it is there."""
    names = {one: face for face, one in chosen.items() if face}
    return [
        {
            "value": names.get(one, one.point),
            "label": strings.FACE.format(number=number),
            "image": one.image,
        }
        for number, one in enumerate(others, 1)
    ]


def _use_turns(before: str | None, turns: Sequence[SpeakerTurn]) -> tuple[Sequence[ScriptRow], str]:
    """Rows for the turns, and what was found in words; lines with a text keep it, and get their faces."""
    try:
        lines = read_rows(before)
    except LipsyncError:  # text that cannot be read gives way
        lines = ()
    if not any(row.text.strip() for row in lines):
        return rows_of_turns(turns), _found(turns)
    rows = with_faces(lines, turns)
    count = sum(one != other for one, other in zip(rows, lines, strict=True))
    return rows, strings.FIND_GIVEN.format(count=count) if count else strings.FIND_NOBODY


def _found(turns: Sequence[SpeakerTurn]) -> str:
    """What finding the speakers has found, in words."""
    seen = [turn for turn in turns if turn.face is not None]
    faces = len({turn.face for turn in seen})
    text = strings.FIND_DONE.format(count=len(seen), faces=faces) if seen else strings.FIND_NOBODY
    off_screen = sum(turn.end - turn.start for turn in turns if turn.face is None)
    return f"{text} {strings.FIND_OFF_SCREEN.format(seconds=off_screen)}" if off_screen else text
