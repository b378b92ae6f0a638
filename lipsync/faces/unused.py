"""Frames with a face that is not drawn, and why; the user is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from lipsync.faces.association import Identity
from lipsync.faces.mouth_visibility import covered_frames
from lipsync.faces.upright import TILTED, roll
from lipsync.types import Bools, FaceTrack, FloatArray

_MARGIN = 0.1
"""Distance of eyes and mouth from the frame's border, in eye-mouth distances, that shows that they are in the
picture: of eyes that are cut off, detectors place the points at the border."""
_MIN_DISTANCE = 12.0
"""Eye-mouth distance, pixels; points of smaller faces are too inexact."""
_MIN_ASPECT = 0.42
"""Width over height of a box at the left or right border, below which half of the mouth is cut off; a whole
face has 0.6 to 0.85."""
_AROUND = 5
"""Frames around one with a cut face that count too, so that the mouth is not switched on and off."""


class UnusedReason(Enum):
    """Why a face is not drawn."""

    OTHER_PERSON = "other person"
    CUT_OFF = "cut off"
    COVERED = "covered"
    TILTED = "tilted"


@dataclass(frozen=True, eq=False)
class UnusedFaces:
    """Frames of a video with a face that is not drawn.

    Attributes:
        reason: why.
        frames: bool (T,).
    """

    reason: UnusedReason
    frames: Bools


def frames_of_others(
    shots: dict[int, list[Identity]], selected: dict[int, Identity], count: int
) -> UnusedFaces:
    """Frames of shots in which only other people than the selected one are seen."""
    frames = np.zeros(count, np.bool_)
    others = (one for shot, members in shots.items() if shot not in selected for one in members)
    for identity in others:
        for track in identity.tracks:
            frames[track.first : track.last + 1] = True
    return UnusedFaces(UnusedReason.OTHER_PERSON, frames)


def frames_covered(selected: Iterable[Identity], count: int) -> UnusedFaces:
    """Frames in which something covers the mouth of the selected face."""
    frames = np.zeros(count, np.bool_)
    for identity in selected:
        frames |= covered_frames(identity.detections, count)
    return UnusedFaces(UnusedReason.COVERED, frames)


def frames_cut_off(track: FaceTrack, frame_size: tuple[int, int]) -> UnusedFaces:
    """Frames in which the border of the frame cuts off the eyes or the mouth.

    Args:
        track: of the selected face.
        frame_size: width, height in pixels.
    """
    eyes, mouth = track.points[:, :2].mean(axis=1), track.points[:, 3:].mean(axis=1)
    distance = np.linalg.norm(mouth - eyes, axis=1)
    margin = np.where(distance >= _MIN_DISTANCE, _MARGIN * distance, -np.inf)
    outside = _outside(eyes, margin, frame_size) | _outside(mouth, margin, frame_size)
    x1, y1, x2, y2 = track.boxes.T
    at_side = (x1 < 1) | (x2 > frame_size[0] - 1)
    upright = np.abs(eyes[:, 1] - mouth[:, 1]) > np.abs(eyes[:, 0] - mouth[:, 0])
    narrow = at_side & upright & (x2 - x1 < _MIN_ASPECT * (y2 - y1))
    return UnusedFaces(UnusedReason.CUT_OFF, _widened(outside | narrow) & track.present)


def frames_tilted(track: FaceTrack) -> UnusedFaces:
    """Frames whose face is not nearly upright; for callers that crop boxes without `UprightView`."""
    return UnusedFaces(UnusedReason.TILTED, np.nan_to_num(np.abs(roll(track.points))) >= TILTED)


def without(track: FaceTrack, unused: Iterable[UnusedFaces]) -> FaceTrack:
    """The track without the face in unused frames."""
    frames = np.zeros(len(track), np.bool_)
    for one in unused:
        frames |= one.frames
    if not frames.any():
        return track
    boxes, points, scores = track.boxes.copy(), track.points.copy(), track.scores.copy()
    boxes[frames], points[frames], scores[frames] = np.nan, np.nan, 0
    return FaceTrack(boxes, points, scores)


def _outside(points: FloatArray, margin: FloatArray, frame_size: tuple[int, int]) -> Bools:
    """Which points (T, 2) are less than a margin inside the frame; NaN is not."""
    low, high = points.min(axis=1) < margin, (points > np.subtract(frame_size, margin[:, None])).any(axis=1)
    return np.asarray(low | high)


def _widened(frames: Bools) -> Bools:
    if not frames.any():
        return frames
    return np.asarray(np.convolve(frames, np.ones(2 * _AROUND + 1))[_AROUND:-_AROUND] > 0.5)
