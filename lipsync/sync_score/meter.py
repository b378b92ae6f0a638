"""The built-in sync score, measured while frames stream past."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from lipsync.faces import pixel_box
from lipsync.faces.boxes import shift
from lipsync.faces.trajectory import Doubles, pad
from lipsync.media import YuvFrame
from lipsync.options import FaceOptions
from lipsync.sync_score.base import SyncExpert
from lipsync.sync_score.crops import AnyBox, crop_lower_face
from lipsync.sync_score.offset import REACH
from lipsync.sync_score.streaming_embed import METER_FPS, FaceWindows, SoundWindows
from lipsync.sync_score.thresholds import judge
from lipsync.types import AudioClip, FloatArray, Frame, IntArray, SyncScore

_SLACK = 1e-3
"""Of a frame of 40 ms: times are floating point numbers."""
_JUMP = 0.5
"""Sizes that a face cannot move by between two frames: somebody else, or a cut."""


class SyncMeter:
    """Takes the frames of a video in order of time, and says how well its lips follow a voice.

    What is held of each second is 3 kB; of pictures, at most 64 of 48x96 pixels.

    Args:
        expert: from `lipsync.sync_score.load_expert`. Thresholds of the verdict are those of the one that
            ships.
        voice: the sound that belongs to the pictures, at 16 kHz; its time 0 is that of the pictures.
        fps: frames per second that are given; `update` picks those of 25.
    """

    def __init__(self, expert: SyncExpert, voice: AudioClip, fps: Fraction | float) -> None:
        self._faces, self._sound = FaceWindows(expert), SoundWindows(expert, voice)
        self._step = METER_FPS / float(fps)
        self._next = 0
        self._box: FloatArray | None = None
        self._likeness: list[FloatArray] = []
        self._loudness: list[FloatArray] = []
        self._numbers: list[IntArray] = []

    def update(self, time_seconds: float, frame: YuvFrame, box: AnyBox | None) -> None:
        """Take the frame that is shown from `time_seconds` on for 1 / fps.

        Frames may be left out; a frame that is not after those given before is passed over. Nothing
        of `frame` is kept.

        Args:
            frame: of which the lower half of the box becomes RGB.
            box: the face box with the usual pads (see `usual_boxes`), x1, y1, x2, y2 in pixels of the
                frame, best to parts of a pixel; None where there is no face.
        """
        at = time_seconds * METER_FPS
        first, last = max(self._next, _ceil(at)), _ceil(at + self._step)
        if last <= first:
            return
        self._next = last
        if box is None:
            return
        here = np.asarray(box, np.float32)
        if self._box is not None and shift(self._box, here) > _JUMP:
            self._keep(self._faces.flush())
        self._box = here
        picture = _lower_face(frame, here)
        for number in range(first, last):
            self._keep(self._faces.push(number, picture))

    def result(self) -> SyncScore:
        """The score of all frames that were given; more may follow, which then begin a new run."""
        self._keep(self._faces.flush())
        if not self._likeness:
            empty = np.empty(0, np.float32)
            return judge(np.empty((0, 2 * REACH + 1), np.float32), np.empty(0, np.int64), empty)
        similarity, loudness = np.concatenate(self._likeness), np.concatenate(self._loudness)
        return judge(similarity, np.concatenate(self._numbers), loudness)

    def _keep(self, windows: tuple[int, FloatArray] | None) -> None:
        if windows is None:
            return
        first, faces = windows
        self._likeness.append(self._sound.similarity(first, faces))
        self._loudness.append(self._sound.loudness(first, len(faces)))
        self._numbers.append(np.arange(first, first + len(faces)))


def _lower_face(frame: YuvFrame, box: FloatArray) -> Frame:
    """`crop_lower_face` of the part that it needs, with the pixels beside it."""
    x1, y1, x2, y2 = box.tolist()
    part = frame.around(pixel_box((x1, (y1 + y2) / 2, x2, y2), frame.width, frame.height))
    return crop_lower_face(frame.rgb(part), box - np.array([part.x1, part.y1] * 2, np.float32))


def usual_boxes(boxes: FloatArray, size: tuple[int, int], options: FaceOptions) -> FloatArray:
    """The boxes of a `FaceTrack` with the usual pads instead of those of `options`: what experts know.

    Exact but where pads have met the border of the frame.

    Args:
        boxes: (T, 4), pixels of the frame; NaN stays NaN.
        size: width, height of the frame.
        options: those that the boxes were made with.
    """
    if options.box is not None:
        return boxes
    top, bottom, left, right = options.pads_px
    x1, x2 = _unpadded(boxes[:, 0], boxes[:, 2], (left, right), (options.pad_left, options.pad_right))
    y1, y2 = _unpadded(boxes[:, 1], boxes[:, 3], (top, bottom), (options.pad_top, options.pad_bottom))
    return pad(np.stack([x1, y1, x2, y2], axis=1), size, FaceOptions()).astype(np.float32)


def _unpadded(
    low: FloatArray, high: FloatArray, pixels: tuple[int, int], percent: tuple[float, float]
) -> tuple[Doubles, Doubles]:
    """One direction of `pad`, undone; at least a pixel is left."""
    grown = max(0.05, 1 + sum(percent) / 100)
    side = np.maximum((high.astype(np.float64) - low - sum(pixels)) / grown, 1.0)
    first = low + pixels[0] + side * percent[0] / 100
    return first, first + side


def _ceil(frames: float) -> int:
    return math.ceil(frames - _SLACK)
