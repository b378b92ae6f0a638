"""What the timeline shows of the files, and what it writes into the fields."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import gradio as gr
import numpy as np
import pytest

from lipsync.ui.components import timeline
from lipsync.ui.components.inputs import Inputs, build_inputs
from lipsync.ui.components.timeline import TimelineEvents
from lipsync.ui.sessions import Sessions
from tests.make_media import make_sound, make_video, run_ffmpeg

VISITOR = gr.Request(session_hash="a")


@pytest.fixture
def inputs() -> Inputs:
    with gr.Blocks():
        return build_inputs()


@pytest.fixture
def events(inputs: Inputs, tmp_path: Path) -> TimelineEvents:
    sessions = Sessions(tmp_path / "cache")
    return TimelineEvents(sessions, inputs.timeline, inputs.video, (inputs.voice, inputs.voice_video))


def test_strip_and_waveform_are_read_once(
    events: TimelineEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = str(make_video(tmp_path / "video.mp4", frames=50))
    voice = str(make_sound(tmp_path / "tone.wav", 1))
    shown = events.read_files(VISITOR, video, voice, None)
    data = base64.b64decode(shown["strip"].removeprefix("data:image/jpeg;base64,"))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[:2] == (54, shown["count"] * round(54 * shown["aspect"]))
    assert shown["video_seconds"] == pytest.approx(2)
    assert shown["frame"] == pytest.approx(1 / 25)
    assert shown["voice_seconds"] == pytest.approx(1)
    assert max(shown["peaks"]) == 100
    monkeypatch.setattr(timeline, "read_filmstrip", None)
    monkeypatch.setattr(timeline, "read_waveform", None)
    assert events.read_files(VISITOR, video, None, voice).items() == shown.items()


def test_the_cuts_of_a_video_are_places_to_snap_to(events: TimelineEvents, tmp_path: Path) -> None:
    path = tmp_path / "cuts.mp4"
    shots = [
        one for name in ("testsrc2", "mandelbrot") for one in ("-f", "lavfi", "-i", f"{name}=s=160x90:r=25")
    ]
    join = "[0]trim=duration=1[a];[1]trim=duration=1[b];[a][b]concat"
    run_ffmpeg(*shots, "-filter_complex", join, "-pix_fmt", "yuv420p", path)
    assert events.read_files(VISITOR, str(path), None, None)["cuts"] == [1.0]


def test_what_is_missing_or_unreadable_has_no_lane(events: TimelineEvents, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("not a video")
    assert events.read_files(VISITOR, None, None, None) == {}
    assert events.read_files(VISITOR, str(broken), str(tmp_path / "gone.wav"), None) == {}


def test_dragged_parts_are_written_into_their_fields(inputs: Inputs) -> None:
    table = inputs.voice_ranges
    updates = inputs.timeline.fill_fields({"voice": [(0.5, 1.25), (3, 62)]})
    assert [updates[field] for field in table.fields[:4]] == ["0:00.5", "0:01.25", "0:03", "1:02"]
    assert updates[table.count] == 2
    assert not set(updates) & set(inputs.video_ranges.fields)
