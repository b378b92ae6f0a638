"""The left side: who speaks, and what they say. The newest of several ways to give one counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from lipsync.ui import strings
from lipsync.ui.link_panel import LinkPanel, build_link
from lipsync.ui.range_table import RangeTable, build_ranges

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Inputs:
    """The components of the left side's upper half."""

    picture_tabs: gr.Tabs
    video: gr.Video
    photo: gr.Image
    picture_link: LinkPanel
    video_ranges: RangeTable
    voice_tabs: gr.Tabs
    voice: gr.Audio
    voice_video: gr.Video
    voice_link: LinkPanel
    voice_ranges: RangeTable
    segments: gr.Textbox
    more_voices: gr.File

    @property
    def files(self) -> list[Any]:
        """The four places that a file can be in."""
        return [self.video, self.photo, self.voice, self.voice_video]


def build_inputs() -> Inputs:
    """Lay out the inputs, and let the newest one count."""
    samples = gr.Column(elem_id="samples")
    gr.Markdown(strings.PICTURE)
    with gr.Tabs() as picture_tabs:
        with gr.Tab(strings.TAB_VIDEO, id="video"):
            video = gr.Video(label=strings.VIDEO, sources=["upload", "webcam"], height=220, elem_id="video")
        with gr.Tab(strings.TAB_PHOTO, id="photo"):
            photo = gr.Image(
                label=strings.PHOTO,
                type="filepath",
                sources=["upload", "webcam"],
                height=220,
                elem_id="photo",
            )
        with gr.Tab(strings.TAB_LINK, id="link"):
            picture_link = build_link("video")
    video_ranges = build_ranges("video", "#video video")
    gr.Markdown(strings.VOICE_SIDE)
    with gr.Tabs() as voice_tabs:
        with gr.Tab(strings.TAB_SOUND, id="sound"):
            voice = gr.Audio(
                label=strings.VOICE,
                type="filepath",
                sources=["upload", "microphone"],
                # the browser's own player: it obeys the keyboard, and its position can be read
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
                buttons=[],
                elem_id="voice",
            )
        with gr.Tab(strings.TAB_FROM_VIDEO, id="from-video"):
            voice_video = gr.Video(
                label=strings.VOICE_VIDEO, sources=["upload"], height=200, elem_id="voice-video"
            )
        with gr.Tab(strings.TAB_LINK, id="link"):
            voice_link = build_link("voice")
    voice_ranges = build_ranges("voice", "#voice audio, #voice-video video")
    with gr.Accordion(strings.SEVERAL, open=False, elem_id="several"):
        gr.Markdown(strings.SEVERAL_ABOUT)
        segments = gr.Textbox(
            label=strings.SEGMENTS, placeholder=strings.SEGMENTS_EXAMPLE, lines=3, elem_id="segments"
        )
        more_voices = gr.File(
            label=strings.MORE_VOICES,
            file_count="multiple",
            file_types=["audio", "video"],
            height=110,
            elem_id="more-voices",
        )
    with samples:  # above what they fill in, which has to be there first
        gr.Examples(
            [
                [None, str(SAMPLES / "face.jpg"), str(SAMPLES / "voice.mp3")],
                [str(SAMPLES / "talk.mp4"), None, str(SAMPLES / "voice.mp3")],
            ],
            [video, photo, voice],
            label=strings.EXAMPLES,
            example_labels=[strings.EXAMPLE_PHOTO, strings.EXAMPLE_VIDEO],
            elem_id="examples",
        )
    # Gradio itself keeps the samples of some components only; the others would go with the first visitor.
    for sample in (SAMPLES / name for name in ("face.jpg", "talk.mp4", "voice.mp3")):
        voice.keep_in_cache.add(save_file_to_cache(str(sample), voice.GRADIO_CACHE))
    video.change(_prefer("video"), video, [picture_tabs, photo], **_QUIET)
    photo.change(_prefer("photo"), photo, [picture_tabs, video], **_QUIET)
    voice.change(_prefer("sound"), voice, [voice_tabs, voice_video], **_QUIET)
    voice_video.change(_prefer("from-video"), voice_video, [voice_tabs, voice], **_QUIET)
    return Inputs(
        picture_tabs, video, photo, picture_link, video_ranges,
        voice_tabs, voice, voice_video, voice_link, voice_ranges, segments, more_voices,
    )  # fmt: skip


def _prefer(tab: str) -> Callable[[str | None], tuple[Any, Any]]:
    """What a newly given file does to the tabs and to the other way of giving one."""

    def react(given: str | None) -> tuple[Any, Any]:
        return (gr.Tabs(selected=tab), None) if given else (gr.skip(), gr.skip())

    return react
