"""The first page: a video, a voice, the settings that matter, one button, the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.data_types import SyncResult
from lipsync.errors import Cancelled, LipsyncError
from lipsync.generators import GENERATORS
from lipsync.options import LENGTH_MODES
from lipsync.progress import CancelToken
from lipsync.ui.controls import control
from lipsync.ui.handlers import describe_error, describe_progress, describe_result, run_job

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
PADS = {"pad_top": "Top", "pad_bottom": "Bottom", "pad_left": "Left", "pad_right": "Right"}
SETTINGS = ("variant", "length_mode", *PADS)
"""The settings on the page, in the order in which the run button hands them over."""

CSS = """
.gradio-container { width: 100%; max-width: 1200px !important; margin: 0 auto !important; }
#heading p { opacity: .8; margin-top: 0; }
"""


def launch_settings() -> dict[str, Any]:
    """What `launch` needs to know of the page."""
    return {"theme": gr.themes.Soft(), "css": CSS, "max_file_size": "2gb"}


def build_page() -> gr.Blocks:
    """Lay out the page and join the buttons to their handlers."""
    # Visitors' files are removed when they are a day old; looked at every hour.
    page: gr.Blocks
    with gr.Blocks(title="lipsync", delete_cache=(3600, 86400), fill_width=True) as page:
        gr.Markdown("# lipsync\nDrop in a video and a voice, and the lips say the voice.", elem_id="heading")
        token = gr.State(None)
        with gr.Row():
            with gr.Column():
                with gr.Tabs() as tabs:
                    with gr.Tab("Video", id="video"):
                        video = gr.Video(
                            label="Video", sources=["upload", "webcam"], height=300, elem_id="video"
                        )
                    with gr.Tab("Photo", id="photo"):
                        photo = gr.Image(
                            label="Photo",
                            type="filepath",
                            sources=["upload", "webcam"],
                            height=300,
                            elem_id="photo",
                        )
                voice = gr.Audio(
                    label="Voice", type="filepath", sources=["upload", "microphone"], elem_id="voice"
                )
                controls = _controls()
            with gr.Column():
                result = gr.Video(label="Result", interactive=False, height=420, elem_id="result")
                with gr.Row():
                    run = gr.Button("Make the lips speak", variant="primary", scale=2, elem_id="run")
                    stop = gr.Button("Cancel", variant="stop", scale=1, interactive=False, elem_id="cancel")
                status = gr.Markdown("Add a video and a voice, then press the button.", elem_id="status")
        gr.Examples(
            [[str(SAMPLES / "face.jpg"), str(SAMPLES / "voice.mp3")]],
            [photo, voice],
            label="Try it with this",
        )
        # One picture at a time: the newer of video and photo replaces the other and is shown.
        video.change(_prefer("video"), video, [tabs, photo], api_visibility="private")
        photo.change(_prefer("photo"), photo, [tabs, video], api_visibility="private")
        outputs = [result, status, run, stop, token]
        run.click(
            _run,
            [video, photo, voice, *controls],
            outputs,
            concurrency_limit=1,
            concurrency_id="networks",
            api_visibility="private",
        )
        stop.click(_stop, token, status, queue=False, api_visibility="private")
    return page


def _controls() -> list[gr.components.FormComponent]:
    variant = control("variant", label="Model", choices=("auto", *GENERATORS))
    modes = [(text, mode) for mode, text in LENGTH_MODES.items()]
    length = control("length_mode", label="Length", choices=modes)
    with gr.Accordion("Room around the face", open=False):
        pads = [control(name, label=label) for name, label in PADS.items()]
    return [variant, length, *pads]


def _prefer(tab: str) -> Callable[[str | None], tuple[Any, Any]]:
    """What a newly given picture does to the tabs and to the other kind of picture."""

    def react(given: str | None) -> tuple[Any, Any]:
        return (gr.Tabs(selected=tab), None) if given else (gr.skip(), gr.skip())

    return react


def _run(
    video: str | None,
    photo: str | None,
    voice: str | None,
    *values: Any,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands over its bar
) -> Iterator[tuple[Any, ...]]:
    cancel = CancelToken()
    busy = (gr.Button(interactive=False), gr.Button(interactive=True), cancel)
    idle = (gr.Button(interactive=True), gr.Button(interactive=False), None)
    yield None, "Starting…", *busy
    try:
        for news in run_job(video or photo, voice, dict(zip(SETTINGS, values, strict=True)), cancel):
            if isinstance(news, SyncResult):
                yield str(news.path), describe_result(news), *idle
                continue
            if news.total:
                progress((news.done, news.total), desc=news.stage, unit="frames")
            yield gr.skip(), describe_progress(news), *busy
    except LipsyncError as error:
        # Told by a message, not raised: gradio would stamp "Error" over everything on the right.
        if not isinstance(error, Cancelled):
            gr.Warning(str(error), title="That did not work", duration=15)
        yield None, describe_error(error), *idle
    except Exception:
        yield None, "**Something went wrong that should not have.** The terminal says more.", *idle
        raise


def _stop(token: CancelToken | None) -> str:
    if token is not None:
        token.cancel()
    return "Stopping…"
