"""Streaming sync meter: the built-in sync score of frames as they pass."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from lipsync.faces import UprightView, pixel_box
from lipsync.faces.boxes import edge_shift
from lipsync.faces.trajectory import Float64Array, pad_boxes, pad_tilted
from lipsync.media import YuvFrame
from lipsync.options import FaceOptions
from lipsync.sync_score.base import EXPERT_FPS, SyncExpert
from lipsync.sync_score.crops import AnyBox, crop_lower_face
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.sync_score.streaming_embed import AudioEmbedder, FaceEmbedder
from lipsync.sync_score.thresholds import score_similarity
from lipsync.types import AudioClip, FloatArray, Frame, IntArray, SyncScore

_TIME_TOLERANCE = 1e-3
"""In frames of 40 ms: times are floating point."""
_MAX_SHIFT = 0.5
"""Shift between two frames, in face sizes, above which it is another face or a cut."""


class SyncMeter:
    """Streaming score of how well the lips of a video follow an audio clip.

    Memory is 3 kB per second of video, and at most 64 crops of 48x96 pixels.

    Args:
        expert: from `lipsync.sync_score.load_expert`. The verdict's thresholds are those of the expert
            that ships.
        audio: the audio of the video, 16 kHz; both begin at time 0.
        fps: frame rate of the frames that are given; `update` resamples to 25 fps.
    """

    def __init__(self, expert: SyncExpert, audio: AudioClip, fps: Fraction | float) -> None:
        self._faces, self._audio = FaceEmbedder(expert), AudioEmbedder(expert, audio)
        self._step = EXPERT_FPS / float(fps)
        self._next = 0
        self._box: FloatArray | None = None
        self._similarity: list[FloatArray] = []
        self._loudness: list[FloatArray] = []
        self._numbers: list[IntArray] = []

    def update(
        self, time_seconds: float, frame: YuvFrame, box: AnyBox | None, points: FloatArray | None = None
    ) -> None:
        """Add the frame that is shown from `time_seconds` on for 1 / fps.

        Frames may be left out; frames that are not later than all before are ignored. `frame` is not kept.

        Args:
            frame: only the lower half of the box is converted to RGB.
            box: the face box with the default pads (see `with_default_pads`), x1, y1, x2, y2 in pixels of
                the frame, best with subpixel precision; None without a face.
            points: (5, 2) as in `Face`, by which a tilted face is rotated upright; None or NaN where unknown.
        """
        position = time_seconds * EXPERT_FPS
        first, last = max(self._next, _ceil(position)), _ceil(position + self._step)
        if last <= first:
            return
        self._next = last
        if box is None:
            return
        face_box = np.asarray(box, np.float32)
        if self._box is not None and edge_shift(self._box, face_box) > _MAX_SHIFT:
            self._add(self._faces.flush())
        self._box = face_box
        crop = _crop_yuv(frame, face_box, points)
        for number in range(first, last):
            self._add(self._faces.push(number, crop))

    def result(self) -> SyncScore:
        """The score of all frames so far; frames that follow begin a new run of windows."""
        self._add(self._faces.flush())
        if not self._similarity:
            empty = np.empty(0, np.float32)
            return score_similarity(
                np.empty((0, 2 * MAX_OFFSET + 1), np.float32), np.empty(0, np.int64), empty
            )
        similarity, loudness = np.concatenate(self._similarity), np.concatenate(self._loudness)
        return score_similarity(similarity, np.concatenate(self._numbers), loudness)

    def _add(self, windows: tuple[int, FloatArray] | None) -> None:
        if windows is None:
            return
        first, faces = windows
        self._similarity.append(self._audio.similarity(first, faces))
        self._loudness.append(self._audio.loudness(first, len(faces)))
        self._numbers.append(np.arange(first, first + len(faces)))


def _crop_yuv(frame: YuvFrame, box: FloatArray, points: FloatArray | None) -> Frame:
    """`crop_lower_face` of the upright face, converting only the region that it reads to RGB."""
    view = None if points is None else UprightView.of(box, points, (frame.width, frame.height))
    if view is not None:
        return crop_lower_face(view.read(frame.to_rgb(view.bounds), view.bounds[:2]), view.box)
    x1, y1, x2, y2 = box.tolist()
    region = frame.aligned_box(pixel_box((x1, (y1 + y2) / 2, x2, y2), frame.width, frame.height))
    return crop_lower_face(frame.to_rgb(region), box - np.array([region.x1, region.y1] * 2, np.float32))


def with_default_pads(
    boxes: FloatArray, size: tuple[int, int], options: FaceOptions, points: FloatArray | None = None
) -> FloatArray:
    """Replace the pads of face boxes by the default ones, which experts were trained with.

    Exact unless the border of the frame cut off the pads.

    Args:
        boxes: (T, 4) boxes of a `FaceTrack`, pixels of the frame; NaN stays NaN.
        size: width, height of the frame.
        options: that the boxes were made with; a fixed box (`options.box`) is returned unchanged.
        points: (T, 5, 2) of the `FaceTrack`; boxes of tilted faces are padded along the face.

    Returns:
        float32 (T, 4).
    """
    if options.box is not None:
        return boxes
    top, bottom, left, right = options.pads_px
    x1, x2 = _unpad(boxes[:, 0], boxes[:, 2], (left, right), (options.pad_left, options.pad_right))
    y1, y2 = _unpad(boxes[:, 1], boxes[:, 3], (top, bottom), (options.pad_top, options.pad_bottom))
    unpadded = np.stack([x1, y1, x2, y2], axis=1)
    padded = pad_boxes(unpadded, size, FaceOptions())
    if points is not None:
        padded = pad_tilted(padded, boxes, unpadded, points, FaceOptions())
    return padded.astype(np.float32)


def _unpad(
    low: FloatArray, high: FloatArray, pixels: tuple[int, int], percent: tuple[float, float]
) -> tuple[Float64Array, Float64Array]:
    """Inverse of `pad_boxes` along one axis; the result is at least a pixel wide."""
    grown = max(0.05, 1 + sum(percent) / 100)
    side = np.maximum((high.astype(np.float64) - low - sum(pixels)) / grown, 1.0)
    first = low + pixels[0] + side * percent[0] / 100
    return first, first + side


def _ceil(frames: float) -> int:
    return math.ceil(frames - _TIME_TOLERANCE)
