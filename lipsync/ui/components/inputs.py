"""Inputs of the sync tab: video or photo, voice, time ranges and segments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_file_to_cache

from lipsync.ui.components.file_input import FileInput
from lipsync.ui.components.link_panel import LinkPanel, build_link
from lipsync.ui.components.playable_copy import PlayableCopy, build_playable_copy
from lipsync.ui.components.range_table import RangeTable, build_ranges
from lipsync.ui.components.segment_editor import SegmentEditor, build_segment_editor
from lipsync.ui.components.speech_panel import SpeechPanel, build_speech_panel
from lipsync.ui.components.tab_selector import TabSelector
from lipsync.ui.components.timeline import Timeline, build_timeline
from lipsync.ui.components.upload_fields import photo_field
from lipsync.ui.languages import strings

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@dataclass(frozen=True)
class Inputs:
    """The components of the inputs."""

    video_tabs: TabSelector
    video: gr.Video
    photo: gr.Image
    video_link: LinkPanel
    video_ranges: RangeTable
    voice_tabs: TabSelector
    voice: gr.Audio
    voice_video: gr.Video
    voice_link: LinkPanel
    voice_ranges: RangeTable
    timeline: Timeline
    editor: SegmentEditor
    speech: SpeechPanel
    copies: tuple[PlayableCopy, ...]

    @property
    def files(self) -> dict[str, FileInput]:
        """The four ways to give a video and a voice, by name."""
        return {
            "video": FileInput(self.video, self.video_tabs, "video", self.photo, self.video_ranges),
            "photo": FileInput(self.photo, self.video_tabs, "photo", self.video, self.video_ranges),
            "voice": FileInput(self.voice, self.voice_tabs, "sound", self.voice_video, self.voice_ranges),
            "voice_video": FileInput(
                self.voice_video, self.voice_tabs, "from-video", self.voice, self.voice_ranges
            ),
        }


def build_inputs() -> Inputs:
    """Build the inputs; of several ways to give the same input the last used one counts."""
    examples = gr.Column(elem_id="samples")
    gr.Markdown(strings.VIDEO_HEADING)
    with gr.Tabs(elem_id="video-tabs") as video_tabs:
        with gr.Tab(strings.TAB_VIDEO, id="video"):
            video = gr.Video(label=strings.VIDEO, sources=["upload", "webcam"], height=220, elem_id="video")
            video_copy = build_playable_copy(video, "#video video")
        with gr.Tab(strings.TAB_PHOTO, id="photo"):
            photo = photo_field(label=strings.PHOTO, height=220, elem_id="photo")
        with gr.Tab(strings.TAB_LINK, id="link"):
            video_link = build_link("video")
    video_ranges = build_ranges("video", "#video video")
    gr.Markdown(strings.VOICE_HEADING)
    with gr.Tabs(elem_id="voice-tabs") as voice_tabs:
        with gr.Tab(strings.TAB_AUDIO, id="sound"):
            voice = gr.Audio(
                label=strings.VOICE,
                type="filepath",
                sources=["upload", "microphone"],
                # the browser's own player: it works with the keyboard, and its position can be read
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
                buttons=[],
                elem_id="voice",
            )
            voice_copy = build_playable_copy(voice, "#voice audio")
        with gr.Tab(strings.TAB_FROM_VIDEO, id="from-video"):
            voice_video = gr.Video(
                label=strings.VOICE_VIDEO, sources=["upload"], height=200, elem_id="voice-video"
            )
            voice_video_copy = build_playable_copy(voice_video, "#voice-video video")
        with gr.Tab(strings.TAB_LINK, id="link"):
            voice_link = build_link("voice")
        with gr.Tab(strings.TAB_TEXT, id="text"):
            speech = build_speech_panel()
    voice_ranges = build_ranges("voice", "#voice audio, #voice-video video")
    timeline = build_timeline(video_ranges, voice_ranges)
    editor = build_segment_editor()
    inputs = Inputs(
        video_tabs=TabSelector(video_tabs),
        video=video,
        photo=photo,
        video_link=video_link,
        video_ranges=video_ranges,
        voice_tabs=TabSelector(voice_tabs),
        voice=voice,
        voice_video=voice_video,
        voice_link=voice_link,
        voice_ranges=voice_ranges,
        timeline=timeline,
        editor=editor,
        speech=speech,
        copies=(video_copy, voice_copy, voice_video_copy),
    )
    for file_input in inputs.files.values():
        file_input.connect()
    with examples:  # above the inputs that they fill in, which must exist first
        _build_examples(inputs)
    return inputs


def _build_examples(inputs: Inputs) -> None:
    video, photo, voice = inputs.video, inputs.photo, inputs.voice
    examples = gr.Examples(
        [
            [None, str(SAMPLES / "face.jpg"), str(SAMPLES / "voice.mp3")],
            [str(SAMPLES / "talk.mp4"), None, str(SAMPLES / "voice.mp3")],
        ],
        [video, photo, voice],
        label=strings.EXAMPLES,
        example_labels=[strings.EXAMPLE_PHOTO, strings.EXAMPLE_VIDEO],
        elem_id="examples",
    )
    fields = [*inputs.video_ranges.fields, *inputs.voice_ranges.fields]
    script = _SELECT_EXAMPLE.format(
        photo=inputs.video_tabs.script("photo"),
        video=inputs.video_tabs.script("video"),
        sound=inputs.voice_tabs.script("sound"),
        fields=len(fields),
    )
    examples.dataset.click(None, examples.dataset, [inputs.voice_video, *fields], js=script)
    # Gradio keeps the example files of some components only; the first visitor would take the others along.
    for sample in (SAMPLES / name for name in ("face.jpg", "talk.mp4", "voice.mp3")):
        voice.keep_in_cache.add(save_file_to_cache(str(sample), voice.GRADIO_CACHE))


_SELECT_EXAMPLE = """(number) => {{
  (number === 0 ? {photo} : {video})();
  ({sound})();
  return [null, ...Array({fields}).fill('')];
}}"""
"""Brings the tabs of the example's files to the front, as soon as it is clicked; no parts are left."""
