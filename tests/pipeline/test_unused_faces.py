"""Faces that are not drawn are counted in warnings, with the setting that helps."""

from __future__ import annotations

import numpy as np

from lipsync.faces import UnusedFaces, UnusedReason
from lipsync.pipeline.audio_conditioning import SpeakerAudio
from lipsync.pipeline.outputs import pass_through_warnings
from lipsync.pipeline.stages import RenderPlan, Speaker
from lipsync.types import FaceTrack


def speaker(*, absent: slice, unused: dict[UnusedReason, slice]) -> Speaker:
    boxes = np.zeros((10, 4), np.float32)
    boxes[absent] = np.nan
    frames = {reason: np.zeros(10, np.bool_) for reason in unused}
    for reason, part in unused.items():
        frames[reason][part] = True
    track = FaceTrack(boxes, np.zeros((10, 5, 2), np.float32), np.ones(10, np.float32))
    audio = SpeakerAudio(np.zeros((10, 1), np.float32), np.ones(10, np.float32))
    return Speaker(track, (), audio, boxes, tuple(UnusedFaces(*one) for one in frames.items()))


def warnings(*speakers: Speaker) -> list[str]:
    return pass_through_warnings(RenderPlan(None, np.arange(10), speakers, None))  # type: ignore[arg-type]


def test_every_reason_is_said_with_its_frames() -> None:
    reasons = {UnusedReason.OTHER_PERSON: slice(0, 3), UnusedReason.CUT_OFF: slice(3, 4)}
    total, *reasoned = warnings(speaker(absent=slice(0, 6), unused=reasons))
    assert total.startswith("6 of 10 frames (60 %)")
    assert reasoned[0].startswith("In 3 of these frames only people other than the chosen one")
    assert "segments" in reasoned[0]
    assert reasoned[1].startswith("In 1 of these frames the border of the picture")
    assert len(reasoned) == 2


def test_frames_in_which_somebody_else_is_drawn_are_not_counted() -> None:
    first = speaker(absent=slice(0, 5), unused={UnusedReason.OTHER_PERSON: slice(0, 5)})
    second = speaker(absent=slice(5, 10), unused={})
    assert warnings(first, second) == []
    assert warnings(speaker(absent=slice(0, 0), unused={})) == []
