"""Face tracks of a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lipsync.context import RunContext
from lipsync.media import open_video
from lipsync.options import SyncOptions
from lipsync.pipeline import face_tracks
from lipsync.pipeline.model_provider import FreshModels
from lipsync.types import Frame
from tests.material import SAMPLES


def test_the_first_frame_is_decoded_while_torch_and_the_detector_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded, choose_device = threading.Event(), face_tracks.choose_device
    video = open_video(SAMPLES / "talk.mp4")
    read = video.read

    def watched(*arguments: Any, **named: Any) -> Iterator[Frame]:
        for frame in read(*arguments, **named):
            decoded.set()
            yield frame

    def slow_to_load(name: str) -> Any:
        assert decoded.wait(30)
        return choose_device(name)

    monkeypatch.setattr(video, "read", watched)
    monkeypatch.setattr(face_tracks, "choose_device", slow_to_load)
    options = SyncOptions()
    context = RunContext(FreshModels(), options)
    [tracked] = face_tracks.find_face_tracks(
        video, np.arange(2), [options.faces], lambda: None, None, context
    )
    assert tracked.track.present.all()
