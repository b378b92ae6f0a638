"""Named endpoints for programs: the same as the page does, with few arguments. Also the MCP tools.

from gradio_client import Client, handle_file
job = Client(address).submit(handle_file("talk.mp4"), handle_file("voice.wav"), True, api_name="/sync")
job.status().progress_data, job.outputs()[-1], job.cancel()
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from lipsync.context import ModelProvider
from lipsync.errors import InputError
from lipsync.inspection.report import InspectOptions
from lipsync.options import SyncOptions, TranscriptOptions
from lipsync.ui import handlers, strings
from lipsync.ui.background import Done
from lipsync.ui.controls import load_settings
from lipsync.ui.formatting import describe_progress, in_words
from lipsync.ui.handlers import Given
from lipsync.ui.pages.inspect import look_into
from lipsync.ui.sessions import Session, Sessions

_HEAVY: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "networks"}


def build_api(sessions: Sessions, models: ModelProvider) -> None:
    """Register the endpoints; nothing of them is seen on the page."""
    api = Api(sessions, models)
    with gr.Column(visible=False):
        trigger = gr.Button()
        video, voice = gr.File(label="video"), gr.File(label="voice")
        agreed = gr.Checkbox(label="agreed")
        parts = [gr.Textbox("", label="video_ranges"), gr.Textbox("", label="voice_ranges")]
        settings, at = _settings_field(), gr.Number(0, label="at")
        videos = gr.File(label="videos", file_count="multiple")
        voices = gr.File(label="voices", file_count="multiple")
        file, spoken = gr.File(label="file"), gr.Textbox("auto", label="spoken_language")
        looks = [gr.Checkbox(True, label=name) for name in ("faces", "sync", "transcript")]
        result, report = gr.File(label="result"), gr.JSON(label="report")
        pictures = [gr.File(label="overlay"), gr.File(label="result")]
    endpoints: list[tuple[Callable[..., Any], list[Any], list[Any]]] = [
        (api.sync, [video, voice, agreed, *parts, settings], [result, report]),
        (api.preview, [video, voice, at, *parts, settings], [*pictures, report]),
        (api.batch, [videos, voices, agreed, settings], [result, report]),
        (api.plan, [video, voice, *parts, settings], [report]),
        (api.inspect, [file, *looks, spoken], [report]),
    ]
    for function, given, answer in endpoints:
        # the whole docstring: Gradio alone would leave the arguments out
        words = inspect.getdoc(function) or ""
        name = function.__name__
        trigger.click(function, given, answer, api_name=name, api_description=words, **_HEAVY)


def _settings_field() -> gr.JSON:
    """Settings by name. Gradio's own JSON has a schema that MCP servers refuse: its type is no type."""
    field = gr.JSON({}, label="settings")
    schema = {"type": "object", "additionalProperties": True, "description": "settings by name"}
    # On the one component: a class of our own would count as one with a front end of its own.
    setattr(field, "api_info", lambda: schema)  # noqa: B010
    return field


class Api:
    """The endpoints. Errors reach the caller with the same words as on the page."""

    def __init__(self, sessions: Sessions, models: ModelProvider) -> None:
        self._sessions, self._networks = sessions, models

    def _session(self, request: gr.Request, *uploads: str) -> Session:
        return self._sessions.of(request.session_hash, *uploads)

    def sync(
        self,
        request: gr.Request,
        video: str,
        voice: str,
        agreed: bool = False,
        video_ranges: str = "",
        voice_ranges: str = "",
        settings: dict[str, Any] | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands over its bar
    ) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """Make the lips in a video say a voice. The result carries "made with AI" in its metadata.

        Args:
            video: a video or a photo of the person who speaks.
            voice: a sound file, or a video whose sound is used.
            agreed: true says that the people who are seen and heard agreed to this; needed.
            video_ranges: parts of the video to use, such as "2.5-10, 1:02-1:15"; empty uses all.
            voice_ranges: parts of the voice to use; empty uses all.
            settings: any settings of the README by name, but paths: {"pad_bottom": 10, "mask": "box"}.

        Returns:
            The finished video as a file, and a report with its length, size, model, warnings, score and
            the settings used. Before that, reports of progress without a file.
        """
        session = self._session(request, video, voice)
        cancel, folder, kept = session.begin("api"), session.place("api"), False
        try:
            _must_agree(agreed)
            given = _given(video, voice, video_ranges, voice_ranges, settings)
            for news in handlers.make(given, "", folder, cancel, self._networks):
                if isinstance(news, Done):
                    [made], kept = news.value.results, True
                    yield str(made.path), _report(news.value)
                else:
                    now = news[1]
                    if now.total:
                        progress((now.done, now.total), desc=now.stage)
                    yield None, {"stage": now.stage, "done": now.done, "total": now.total}
        except Exception as error:
            raise gr.Error(in_words(error), title=strings.NOT_DONE, print_exception=False) from error
        finally:
            if not kept:
                shutil.rmtree(folder, ignore_errors=True)

    def preview(
        self,
        request: gr.Request,
        video: str,
        voice: str,
        at: float = 0.0,
        video_ranges: str = "",
        voice_ranges: str = "",
        settings: dict[str, Any] | None = None,
    ) -> tuple[str, str, dict[str, Any]]:
        """Draw one frame of what `sync` would make.

        Args:
            video: a video or a photo.
            voice: a sound file, or a video whose sound is used.
            at: seconds from the start of the result.
            video_ranges: parts of the video to use; empty uses all.
            voice_ranges: parts of the voice to use; empty uses all.
            settings: any settings by name.

        Returns:
            The source with face box and mask drawn, the result, and a report with the box and the
            people who are seen, each with the values of face_x, face_y and face_time that choose them.
        """
        session = self._session(request, video, voice)
        folder = session.place("api-preview")
        try:
            given = _given(video, voice, video_ranges, voice_ranges, settings)
            cancel = session.begin("api-preview")
            files = handlers.draw_preview(given, at, folder, cancel, self._networks)
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise gr.Error(in_words(error), title=strings.NOT_DONE, print_exception=False) from error
        session.only("api-preview", folder)
        drawn = files.preview
        people = [
            {
                "box": tuple(person.box),
                "face_x": person.x,
                "face_y": person.y,
                "face_time": drawn.picture_time,
                "chosen": person.chosen,
            }
            for person in drawn.people
        ]
        return (
            str(files.overlay),
            str(files.result),
            {"box": drawn.box and tuple(drawn.box), "variant": drawn.variant, "people": people},
        )

    def batch(
        self,
        request: gr.Request,
        videos: list[str],
        voices: list[str],
        agreed: bool = False,
        settings: dict[str, Any] | None = None,
    ) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """Make several videos with the same settings.

        Args:
            videos: videos or photos.
            voices: one voice for all, or as many as videos.
            agreed: true says that the people who are seen and heard agreed to this; needed.
            settings: any settings by name.

        Returns:
            A zip with all results, and a report of what came of each. Before that, progress.
        """
        session = self._session(request, *(videos or []), *(voices or []))
        cancel, folder, kept = session.begin("api"), session.place("api"), False
        try:
            _must_agree(agreed)
            options = _options("", "", settings)
            given = videos or [], voices or []
            for news in handlers.make_batch(*given, options, folder, cancel, self._networks):
                if isinstance(news, Done):
                    archive, told = news.value
                    kept = True
                    fields = ("video", "notes", "made")
                    yield str(archive), {"videos": [dict(zip(fields, one, strict=True)) for one in told]}
                else:
                    yield None, {"stage": describe_progress(*news)}
        except Exception as error:
            raise gr.Error(in_words(error), title=strings.NOT_DONE, print_exception=False) from error
        finally:
            if not kept:
                shutil.rmtree(folder, ignore_errors=True)

    def plan(
        self,
        request: gr.Request,
        video: str,
        voice: str,
        video_ranges: str = "",
        voice_ranges: str = "",
        settings: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Tell what `sync` would make, at once and without making it.

        Args:
            video: a video or a photo.
            voice: a sound file, or a video whose sound is used.
            video_ranges: parts of the video to use; empty uses all.
            voice_ranges: parts of the voice to use; empty uses all.
            settings: any settings by name.

        Returns:
            Length in seconds, frames, frames per second, width and height.
        """
        self._session(request, video, voice)
        try:
            given = _given(video, voice, video_ranges, voice_ranges, settings)
            foreseen = handlers.plan(*given.files(), given.options)
        except Exception as error:
            raise gr.Error(in_words(error), title=strings.NOT_DONE, print_exception=False) from error
        return {
            "seconds": foreseen.seconds,
            "frames": foreseen.frames,
            "fps": float(foreseen.fps),
            "width": foreseen.width,
            "height": foreseen.height,
        }

    def inspect(
        self,
        request: gr.Request,
        file: str,
        faces: bool = True,
        sync: bool = True,
        transcript: bool = True,
        spoken_language: str = "auto",
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands over its bar
    ) -> Iterator[dict[str, Any]]:
        """Tell what is in a video, a photo or a sound, and what to expect from a sync of it.

        Args:
            file: a video, a photo or a sound.
            faces: look for faces and cuts.
            sync: judge how well the lips go with the file's own sound; needs the faces.
            transcript: write down what is said, with times.
            spoken_language: a code like en, de or zh; auto finds out.

        Returns:
            A report: file, picture, sound, faces, sync, transcript, language, expectations, and under
            missing what could not be found out. Before that, reports of progress.
        """
        session = self._session(request, file)
        try:
            options = InspectOptions(faces=faces or sync, sync=sync, transcript=transcript)
            words = TranscriptOptions(spoken_language=spoken_language)
            for news in look_into(file, options, words, session.begin("api-inspect")):
                if isinstance(news, Done):
                    told = news.value.as_dict()
                    # Gradio's clients take whatever has a "path" for a file, and would fetch it
                    yield {"name": told.pop("path"), **told}
                else:
                    if news.total:
                        progress((news.done, news.total), desc=news.stage)
                    yield {"stage": news.stage, "done": news.done, "total": news.total}
        except Exception as error:
            raise gr.Error(in_words(error), title=strings.NOT_DONE, print_exception=False) from error


def _must_agree(agreed: bool) -> None:
    if not agreed:
        raise InputError(strings.API_CONSENT_MISSING, hint=strings.CONSENT_HINT)


def _options(video_ranges: str, voice_ranges: str, settings: dict[str, Any] | None) -> SyncOptions:
    parts = {"video_ranges": video_ranges, "voice_ranges": voice_ranges}
    given = {**(settings or {}), **{name: text for name, text in parts.items() if text}}
    return SyncOptions.from_flat(**load_settings(json.dumps(given)))


def _given(
    video: str, voice: str, video_ranges: str, voice_ranges: str, settings: dict[str, Any] | None
) -> Given:
    return Given(video, voice, _options(video_ranges, voice_ranges, settings))


def _report(made: handlers.Made) -> dict[str, Any]:
    [result] = made.results
    return {
        "seconds": result.duration,
        "frames": result.frames,
        "frames_synced": result.frames_synced,
        "fps": float(result.fps),
        "width": result.width,
        "height": result.height,
        "variant": result.variant,
        "warnings": list(result.warnings),
        "score": result.score.as_dict() if result.score else None,
        "settings": json.loads(made.settings.read_text("utf-8")),
    }
