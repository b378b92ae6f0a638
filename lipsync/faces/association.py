"""Data association: detections to tracks, tracks of a shot to identities.

A track associates detections by centre and scale with constant-velocity prediction, across gaps of
up to a second and never across a cut. Colours matter only where two faces are about equally near, as
when they cross. An identity is one or more tracks of the same person in one shot: a face that comes
back after a longer absence is matched by position or colours.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from lipsync.faces.boxes import INFEASIBLE, Floats, centre, linear_assignment, mean_side
from lipsync.faces.detection_schedule import Detection, Detections
from lipsync.types import FloatArray, Frame

_MAX_GAP_SECONDS = 1.0
_VELOCITY_SECONDS = 0.4
"""Length of the window that velocity is measured over, and longest extrapolation."""
_MAX_DISTANCE = 1.0
"""Sides of the face between its predicted and its detected centre."""
_COLOR_WEIGHT = 1 / 100
"""Cost of a grey level of difference in colour, in sides of the face."""
_REENTRY_DISTANCE = 1.5
"""Sides of the face: within this distance of its last position, a returning face is the same..."""
_DIFFERENT_COLORS = 60.0
"""...unless the colours differ by more than this (mean grey levels)."""
_SAME_COLORS = 25.0
"""Mean grey levels of difference up to which a returning face is the same anywhere in the shot."""


@dataclass
class Track:
    """Detections of one face without a long gap, in order of time, within one shot."""

    detections: list[Detection]

    @property
    def first(self) -> int:
        """Number of the first frame."""
        return self.detections[0].frame

    @property
    def last(self) -> int:
        """Number of the last frame."""
        return self.detections[-1].frame


@dataclass
class Identity:
    """All tracks of one person in one shot, in order of time.

    Attributes:
        shot: index of the shot, 0 before the first cut.
    """

    shot: int
    tracks: list[Track] = field(default_factory=list)

    @property
    def detections(self) -> list[Detection]:
        """Detections of all tracks, in order of time."""
        return [detection for track in self.tracks for detection in track.detections]

    @property
    def frames(self) -> int:
        """Number of frames covered by the tracks, without the gaps between them."""
        return sum(track.last - track.first + 1 for track in self.tracks)

    @property
    def box(self) -> FloatArray:
        """Median box, float32 (4,), pixels of the reduced frame."""
        return median_box(self.detections)

    @property
    def appearance(self) -> FloatArray:
        """Median appearance descriptor, float32 (10, 6, 3)."""
        return median_appearance(self.detections)


def median_box(detections: list[Detection]) -> FloatArray:
    """Median box, float32 (4,), pixels of the reduced frame."""
    return np.median([detection.face.box for detection in detections], axis=0).astype(np.float32)


def median_appearance(detections: list[Detection]) -> FloatArray:
    """Median appearance, float32 (10, 6, 3), of at most 32 evenly spaced detections."""
    some = detections[:: 1 + len(detections) // 32]
    return np.median([detection.appearance for detection in some], axis=0).astype(np.float32)


def appearance_distance(one: FloatArray | Frame, other: FloatArray | Frame) -> float:
    """Mean absolute difference of two appearance descriptors (10, 6, 3), grey levels 0..255."""
    return float(np.abs(one.astype(np.float32) - other).mean())


def associate(detections: Detections, fps: float) -> list[Track]:
    """Join detections to tracks, in order of their first frame.

    Args:
        fps: frames per second of the stream.
    """
    tracks: list[Track] = []
    active: list[Track] = []
    previous, shot = 0, 0
    for number, faces in detections.by_frame.items():
        here = bisect_right(detections.cuts, number)
        if here != shot:
            active, shot = [], here
        # With sparse samples the gap may exceed the limit: the previous sample always counts.
        oldest = min(previous, number - _MAX_GAP_SECONDS * fps)
        active = [track for track in active if track.last >= oldest]
        pairs = _match_tracks(active, faces, number, fps)
        for track, face in pairs:
            active[track].detections.append(faces[face])
        matched = {face for _, face in pairs}
        new = [Track([detection]) for index, detection in enumerate(faces) if index not in matched]
        active, tracks, previous = active + new, tracks + new, number
    return tracks


def _match_tracks(
    tracks: list[Track], faces: list[Detection], number: int, fps: float
) -> list[tuple[int, int]]:
    """Minimum-cost pairs of track and detection, as indices."""
    if not tracks or not faces:
        return []
    predicted = np.array([_predicted_box(track, number, fps) for track in tracks])
    boxes = np.array([detection.face.box for detection in faces])
    sides = np.minimum(mean_side(predicted)[:, None], mean_side(boxes)[None])
    distance = np.linalg.norm(centre(predicted)[:, None] - centre(boxes)[None], axis=2) / sides
    growth = np.abs(np.log2(mean_side(predicted)[:, None] / mean_side(boxes)[None]))
    colors = np.array(
        [
            [appearance_distance(track.detections[-1].appearance, face.appearance) for face in faces]
            for track in tracks
        ]
    )
    infeasible = (distance > _MAX_DISTANCE) | (growth > 1)
    return linear_assignment(np.where(infeasible, INFEASIBLE, distance + growth + _COLOR_WEIGHT * colors))


def _predicted_box(track: Track, number: int, fps: float) -> Floats:
    """The track's last box (4,) moved to frame `number` at its recent velocity."""
    last = track.detections[-1]
    span = _VELOCITY_SECONDS * fps
    *_, earlier = takewhile(lambda one: one.frame >= last.frame - span, reversed(track.detections))
    if earlier.frame == last.frame:
        return last.face.box
    velocity = (centre(last.face.box) - centre(earlier.face.box)) / (last.frame - earlier.frame)
    return np.asarray(last.face.box + np.tile(velocity, 2) * min(number - last.frame, span))


def group_identities(tracks: list[Track], cuts: list[int]) -> list[Identity]:
    """Join the tracks of each shot to identities, in order of shot and first frame.

    Args:
        cuts: numbers of the first frames of the shots after the first.
    """
    identities: list[Identity] = []
    for track in sorted(tracks, key=lambda track: track.first):
        shot = bisect_right(cuts, track.first)
        absent = [one for one in identities if one.shot == shot and one.tracks[-1].last < track.first]
        costs = [_reidentification_cost(one, track) for one in absent]
        if costs and min(costs) < INFEASIBLE:
            absent[int(np.argmin(costs))].tracks.append(track)
        else:
            identities.append(Identity(shot, [track]))
    return identities


def _reidentification_cost(identity: Identity, track: Track) -> float:
    """Cost of joining `track` to `identity`; `INFEASIBLE` if they differ too much."""
    left, back = identity.tracks[-1].detections[-1].face.box, track.detections[0].face.box
    distance = float(np.linalg.norm(centre(left) - centre(back)) / min(mean_side(left), mean_side(back)))
    colors = appearance_distance(identity.appearance, median_appearance(track.detections))
    near = distance <= _REENTRY_DISTANCE and colors <= _DIFFERENT_COLORS
    return distance + colors / _SAME_COLORS if near or colors <= _SAME_COLORS else INFEASIBLE
