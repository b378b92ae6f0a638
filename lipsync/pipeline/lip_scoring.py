"""Lips of a result for the score card, from a few frames a second as they pass."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from lipsync.errors import LipsyncError
from lipsync.faces import UprightView, pixel_box
from lipsync.media import YuvFrame
from lipsync.metrics.lip_base import measure_lips
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lip_meter import LipMeter
from lipsync.metrics.voice_frames import frame_levels, pause_frames
from lipsync.types import AudioClip, FloatArray, Frame, PixelBox

_RATE = 6.0
"""Frames a second that are looked at: enough for medians and shares, and hardly noticed in the time."""
_SHOWN = ("mouth_sharpness", "lip_dynamics", "lip_leak")
"""Metrics that a few frames a second are enough for."""


class LipScorer:
    """Metrics of the lips of one speaker, in a few frames a second.

    Args:
        locator: finds the mouths.
        voice: what the speaker says, 16 kHz; begins with the first frame.
        fps: of the result.
    """

    def __init__(self, locator: LipLocator, voice: AudioClip, fps: Fraction) -> None:
        self._meter, self._voice, self._fps = LipMeter(locator), voice, float(fps)
        self._step = max(1, round(self._fps / _RATE))
        self._numbers: list[int] = []

    def update(
        self,
        number: int,
        frames: tuple[YuvFrame, YuvFrame],
        box: FloatArray | None,
        points: FloatArray | None,
    ) -> None:
        """Add a frame; most are passed over.

        Args:
            number: of the frame in the result.
            frames: the result, and the source frame behind it, of the same size.
            box: the face with the default pads, x1, y1, x2, y2 in pixels; None without a face.
            points: (5, 2) as in `Face`.
        """
        if number % self._step or box is None or points is None:
            return
        result, source = frames
        if (result.width, result.height) != (source.width, source.height):
            return
        self._numbers.append(number)
        self._meter.update(*face_views(result, source, box, points))

    def values(self) -> Mapping[str, float]:
        """Metrics by name; those that cannot be computed are left out."""
        if not self._numbers:
            return {}
        numbers, count = np.array(self._numbers), self._numbers[-1] + 1
        try:
            pauses = pause_frames(self._voice, self._fps, count)[numbers]
        except LipsyncError:  # without silero-vad there are no pauses to look at
            pauses = np.zeros(len(numbers), np.bool_)
        level = frame_levels(self._voice, self._fps, count)[numbers]
        found = measure_lips(self._meter.observation(level, pauses))
        return {name: found[name] for name in _SHOWN if name in found}


def face_views(
    result: YuvFrame, source: YuvFrame, box: FloatArray, points: FloatArray
) -> tuple[Frame, Frame, PixelBox]:
    """The upright face in result and source, RGB, and its box there; only that part is converted."""
    view = UprightView.of(box, points, (result.width, result.height))
    if view is not None:
        corner = view.bounds[:2]
        drawn, real = (view.read(frame.to_rgb(view.bounds), corner) for frame in (result, source))
        return drawn, real, view.box
    face = pixel_box(box, result.width, result.height)
    window = result.aligned_box(face)
    x, y = window[:2]
    shifted = PixelBox(face.x1 - x, face.y1 - y, face.x2 - x, face.y2 - y)
    return result.to_rgb(window), source.to_rgb(window), shifted
