"""Named API endpoints: the functions of the page for programs, and as MCP tools.

from gradio_client import Client, handle_file
job = Client(address).submit(handle_file("talk.mp4"), handle_file("voice.wav"), True, api_name="/sync")
job.status().progress_data, job.outputs()[-1], job.cancel()
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from lipsync.batch.run import Cluster
from lipsync.blending import draw_overlay
from lipsync.context import ModelProvider
from lipsync.errors import InputError
from lipsync.generators import GENERATORS
from lipsync.inspection.report import InspectOptions
from lipsync.media import write_image
from lipsync.options import TranscriptOptions
from lipsync.progress import CancelToken
from lipsync.ui import handlers
from lipsync.ui.api_schema import argument_texts, describe, settings_schema
from lipsync.ui.api_values import (
    check_agreed,
    comparison_report,
    progress_report,
    sync_options,
    sync_report,
    sync_request,
)
from lipsync.ui.background import Done
from lipsync.ui.components.status import INSPECTIONS, PREVIEWS, WATCHED
from lipsync.ui.components.upload_fields import FileField
from lipsync.ui.formatting import error_text
from lipsync.ui.gradio_state import is_one_off
from lipsync.ui.inspection import inspect_file
from lipsync.ui.jobs import Lane
from lipsync.ui.languages import strings
from lipsync.ui.sessions import JobFolder, Session, Sessions
from lipsync.utils.suggestions import known_hint

_LANES = {"preview": PREVIEWS, "inspect": INSPECTIONS}
"""The lanes of endpoints that run models beside the runs; those that make videos wait by themselves."""


def build_api(sessions: Sessions, models: ModelProvider, lane: Lane, cluster: Cluster | None = None) -> None:
    """Register the endpoints; their components are not visible on the page."""
    api = Api(sessions, models, lane, cluster)
    with gr.Column(visible=False):
        trigger = gr.Button()
        video, voice = FileField(label="video"), FileField(label="voice")
        agreed = gr.Checkbox(label="agreed")
        ranges = [gr.Textbox("", label="video_ranges"), gr.Textbox("", label="voice_ranges")]
        settings, at = _settings_field(), _time_field()
        segments, preset = gr.Textbox("", label="segments"), gr.Textbox("", label="preset")
        more_voices = FileField(label="more_voices", file_count="multiple")
        compare_with = gr.Textbox("", label="compare_with")
        videos = FileField(label="videos", file_count="multiple")
        voices = FileField(label="voices", file_count="multiple")
        file, language = FileField(label="file"), gr.Textbox("auto", label="spoken_language")
        parts = [gr.Checkbox(True, label=name) for name in ("faces", "sync", "transcript")]
        result, report = FileField(label="result"), gr.JSON(label="report")
        images = [FileField(label="overlay"), FileField(label="result")]
        compared = [FileField(label=name) for name in ("first", "second", "side_by_side")]
    more = [segments, more_voices, preset]
    endpoints: list[tuple[Callable[..., Any], list[Any], list[Any]]] = [
        (api.sync, [video, voice, agreed, *ranges, settings, *more], [result, report]),
        (api.compare, [video, voice, compare_with, agreed, *ranges, settings, *more], [*compared, report]),
        (api.preview, [video, voice, at, *ranges, settings, *more], [*images, report]),
        (api.batch, [videos, voices, agreed, settings, preset], [result, report]),
        (api.plan, [video, voice, *ranges, settings, *more], [report]),
        (api.inspect, [file, *parts, language], [report]),
    ]
    for function, inputs, outputs in endpoints:
        # the whole docstring: by itself Gradio leaves the arguments out
        description = inspect.getdoc(function) or ""
        name = function.__name__
        for component, text in zip(inputs, argument_texts(description).values(), strict=True):
            describe(component, text)
        turn = {**_LANES.get(name, WATCHED), "api_visibility": "public"}
        trigger.click(function, inputs, outputs, api_name=name, api_description=description, **turn)


def _settings_field() -> gr.JSON:
    """Settings by name. The schema of Gradio's own JSON component has no valid type for MCP clients."""
    field = gr.JSON({}, label="settings")
    schema = {"type": "object", "additionalProperties": True, "properties": settings_schema()}
    # On the instance: Gradio looks for the front end of a subclass of its own.
    setattr(field, "api_info", lambda: schema)  # noqa: B010
    return field


def _time_field() -> gr.Number:
    """A time as it was sent: Gradio's own conversion answers a wrong kind without a word of what is wrong."""
    field = gr.Number(0, label="at")
    setattr(field, "preprocess", lambda payload: payload)  # noqa: B010
    return field


@contextlib.contextmanager
def _errors_for_callers() -> Iterator[None]:
    """Raise errors in the block as `gr.Error`, with the text that the page shows."""
    try:
        yield
    except Exception as error:
        raise gr.Error(error_text(error, str), title=strings.NOT_DONE, print_exception=False) from error


class Api:
    """The endpoints. Callers get errors with the same text as on the page."""

    def __init__(
        self, sessions: Sessions, models: ModelProvider, lane: Lane, cluster: Cluster | None = None
    ) -> None:
        self._sessions, self._models, self._lane = sessions, models, lane
        self._cluster = cluster

    @contextlib.contextmanager
    def _session(self, request: gr.Request, *uploads: str) -> Iterator[Session]:
        """The caller's session; one for this request alone where it has none."""
        if is_one_off(request):
            with self._sessions.one_off(request.session_hash, *uploads) as session:
                yield session
        else:
            yield self._sessions.get(request.session_hash, *uploads)

    @contextlib.contextmanager
    def _job(self, request: gr.Request, kind: str, *uploads: str) -> Iterator[tuple[JobFolder, CancelToken]]:
        """Folder and cancel token of a job of this kind; both are of the caller's session."""
        with self._session(request, *uploads) as session:
            cancel = session.start(kind)
            with session.job_folder(kind) as folder:
                yield folder, cancel

    def sync(
        self,
        request: gr.Request,
        video: str,
        voice: str,
        agreed: bool = False,
        video_ranges: str = "",
        voice_ranges: str = "",
        settings: dict[str, Any] | None = None,
        segments: str = "",
        more_voices: list[str] | None = None,
        preset: str = "",
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio passes its progress bar
    ) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """Make a lip-synced video. The result carries "made with AI" in its metadata.

        Args:
            video: a video or a photo of the person who speaks.
            voice: an audio file, or a video whose audio is used.
            agreed: true says that the people who are seen and heard agreed to this; required.
            video_ranges: parts of the video to use, such as "2.5-10, 1:02-1:15"; empty uses all.
            voice_ranges: parts of the voice to use; empty uses all.
            settings: any settings of the README by name, except paths: {"pad_bottom": 10, "mask": "box"}.
            segments: who speaks what and when, such as "0-4.5 face=0 voice=0-4.5; 5-9 face=1 file=1";
                empty for one speaker.
            more_voices: further voices, which segments name by file=1, file=2 and so on.
            preset: draft, standard or best; settings go before it.

        Returns:
            The finished video as a file, of an image sequence a zip file, and a report with its length, size,
            model, warnings, score and the settings used. Before that, progress reports without a file.
        """
        uploads = [video, voice, *(more_voices or [])]
        with _errors_for_callers(), self._job(request, "api", *uploads) as (folder, cancel):
            check_agreed(agreed)
            options = sync_options(video_ranges, voice_ranges, settings, preset)
            given = sync_request(video, voice, options, segments, more_voices)
            running = handlers.run_sync(given, "", folder.path, cancel, self._models)
            for item in self._lane.in_turn(running, cancel):
                if isinstance(item, Done):
                    [made] = item.value.results
                    folder.keep()
                    yield str(item.value.downloads[0]), sync_report(item.value, made)
                else:
                    yield None, progress_report(item, progress)

    def compare(
        self,
        request: gr.Request,
        video: str,
        voice: str,
        compare_with: str,
        agreed: bool = False,
        video_ranges: str = "",
        voice_ranges: str = "",
        settings: dict[str, Any] | None = None,
        segments: str = "",
        more_voices: list[str] | None = None,
        preset: str = "",
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio passes its progress bar
    ) -> Iterator[tuple[str | None, str | None, str | None, dict[str, Any]]]:
        """Make the same lip-synced video with two models, and a third that shows both side by side.

        Args:
            video: a video or a photo of the person who speaks.
            voice: an audio file, or a video whose audio is used.
            compare_with: the second model, such as wav2lip_gan; the first is the setting variant.
            agreed: true says that the people who are seen and heard agreed to this; required.
            video_ranges: parts of the video to use, such as "2.5-10, 1:02-1:15"; empty uses all.
            voice_ranges: parts of the voice to use; empty uses all.
            settings: any settings of the README by name, except paths.
            segments: who speaks what and when, such as "0-4.5 face=0 voice=0-4.5; 5-9 face=1 file=1";
                empty for one speaker.
            more_voices: further voices, which segments name by file=1, file=2 and so on.
            preset: draft, standard or best; settings go before it.

        Returns:
            Both videos and the one side by side, and a report under "results" of each, as of sync. Where the
            second model failed there is only the first video, and the reason under "failed". Before that,
            progress reports without files.
        """
        uploads = [video, voice, *(more_voices or [])]
        with _errors_for_callers(), self._job(request, "api", *uploads) as (folder, cancel):
            check_agreed(agreed)
            if compare_with not in GENERATORS:
                hint = known_hint([compare_with], GENERATORS)
                raise InputError(
                    "There is no such model to compare with", given=repr(compare_with), hint=hint
                )
            options = sync_options(video_ranges, voice_ranges, settings, preset)
            given = sync_request(video, voice, options, segments, more_voices)
            running = handlers.run_sync(given, compare_with, folder.path, cancel, self._models)
            for item in self._lane.in_turn(running, cancel):
                if isinstance(item, Done):
                    folder.keep()
                    yield comparison_report(item.value)
                else:
                    yield None, None, None, progress_report(item, progress)

    def preview(
        self,
        request: gr.Request,
        video: str,
        voice: str,
        at: float = 0.0,
        video_ranges: str = "",
        voice_ranges: str = "",
        settings: dict[str, Any] | None = None,
        segments: str = "",
        more_voices: list[str] | None = None,
        preset: str = "",
    ) -> tuple[str, str, dict[str, Any]]:
        """Draw one frame of what `sync` would make.

        Args:
            video: a video or a photo.
            voice: an audio file, or a video whose audio is used.
            at: time in the result, in seconds.
            video_ranges: parts of the video to use; empty uses all.
            voice_ranges: parts of the voice to use; empty uses all.
            settings: any settings by name.
            segments: who speaks what and when, such as "0-4.5 face=0 voice=0-4.5; 5-9 face=1 file=1";
                empty for one speaker.
            more_voices: further voices, which segments name by file=1, file=2 and so on.
            preset: draft, standard or best; settings go before it.

        Returns:
            The source with face box and mask, the result, and a report with the box and the people who
            are seen, each with the values of face_x, face_y and face_time that choose them.
        """
        uploads = [video, voice, *(more_voices or [])]
        with _errors_for_callers(), self._job(request, "api-preview", *uploads) as (folder, cancel):
            options = sync_options(video_ranges, voice_ranges, settings, preset)
            given = sync_request(video, voice, options, segments, more_voices)
            files = handlers.render_preview(given, at, folder.path, cancel, self._models)
            overlay = folder.path / "overlay.jpg"
            write_image(overlay, draw_overlay(files.preview))
            folder.replace_older()
        drawn = files.preview
        people = [
            {
                "box": tuple(person.box),
                "face_x": person.x,
                "face_y": person.y,
                "face_time": drawn.video_time,
                "chosen": person.selected,
            }
            for person in drawn.people
        ]
        return (
            str(overlay),
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
        preset: str = "",
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio passes its progress bar
    ) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """Make several lip-synced videos with the same settings.

        Args:
            videos: videos or photos.
            voices: one voice for all, or as many as videos.
            agreed: true says that the people who are seen and heard agreed to this; required.
            settings: any settings by name.
            preset: draft, standard or best; settings go before it.

        Returns:
            A zip file with all results, and a report of what became of each. Before that, progress.
        """
        uploads = [*(videos or []), *(voices or [])]
        with _errors_for_callers(), self._job(request, "api", *uploads) as (folder, cancel):
            check_agreed(agreed)
            options = sync_options("", "", settings, preset)
            running = handlers.run_batch(
                videos or [], voices or [], options, folder.path, cancel, self._models, self._cluster
            )
            for item in self._lane.in_turn(running, cancel):
                if isinstance(item, Done):
                    folder.keep()
                    items = [dataclasses.asdict(one) for one in item.value.items]
                    yield str(item.value.archive), {"videos": items}
                else:
                    yield None, progress_report(item, progress)

    def plan(
        self,
        request: gr.Request,
        video: str,
        voice: str,
        video_ranges: str = "",
        voice_ranges: str = "",
        settings: dict[str, Any] | None = None,
        segments: str = "",
        more_voices: list[str] | None = None,
        preset: str = "",
    ) -> dict[str, Any]:
        """Tell what `sync` would make, at once and without making it.

        Args:
            video: a video or a photo.
            voice: an audio file, or a video whose audio is used.
            video_ranges: parts of the video to use; empty uses all.
            voice_ranges: parts of the voice to use; empty uses all.
            settings: any settings by name.
            segments: who speaks what and when, such as "0-4.5 face=0 voice=0-4.5; 5-9 face=1 file=1";
                empty for one speaker.
            more_voices: further voices, which segments name by file=1, file=2 and so on.
            preset: draft, standard or best; settings go before it.

        Returns:
            Length in seconds, frames, frames per second, width and height.
        """
        with _errors_for_callers(), self._session(request, video, voice, *(more_voices or [])):
            options = sync_options(video_ranges, voice_ranges, settings, preset)
            plan = sync_request(video, voice, options, segments, more_voices).plan()
        return {
            "seconds": plan.seconds,
            "frames": plan.frames,
            "fps": float(plan.fps),
            "width": plan.width,
            "height": plan.height,
        }

    def inspect(
        self,
        request: gr.Request,
        file: str,
        faces: bool = True,
        sync: bool = True,
        transcript: bool = True,
        spoken_language: str = "auto",
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio passes its progress bar
    ) -> Iterator[dict[str, Any]]:
        """Report what is in a video, a photo or an audio file, and what to expect from a sync of it.

        Args:
            file: a video, a photo or an audio file.
            faces: detect faces and cuts.
            sync: measure the lip sync with the file's own audio; needs the faces.
            transcript: write down what is said, with times.
            spoken_language: a code like en, de or zh; auto detects it.

        Returns:
            A report: file, picture, sound, faces, sync, transcript, language, expectations, and under
            missing what could not be determined. Before that, progress reports.
        """
        with _errors_for_callers(), self._session(request, file) as session:
            options = InspectOptions(faces=faces or sync, sync=sync, transcript=transcript)
            language = TranscriptOptions(spoken_language=spoken_language)
            for item in inspect_file(file, options, language, session.start("api-inspect")):
                if isinstance(item, Done):
                    report = item.value.as_dict()
                    # Gradio's clients take any object with a "path" for a file, and would download it
                    yield {"name": report.pop("path"), **report}
                else:
                    yield progress_report(("", item), progress)
