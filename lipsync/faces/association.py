"""Joins sightings to tracks, and tracks of one scene to people.

A track follows one face from look to look by place and size, foreseeing steady motion, through
gaps of up to a second and never across a cut. Colours help only where two faces are about
equally near, as when they cross. A person is one track or several: who comes back into the scene
after a longer absence is the same one if the place or the colours agree.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from lipsync.faces.boxes import NEVER, Floats, assign, centre, side
from lipsync.faces.detection_schedule import Detection, Detections
from lipsync.types import FloatArray, Frame

_LONGEST_GAP_SECONDS = 1.0
_FORESEE_SECONDS = 0.4
_REACH = 1.0
"""Sizes that a face may lie away from where it is expected."""
_COLOUR_WEIGHT = 1 / 100
_NEAR = 1.5
"""Sizes: who comes back this near to where a person was last seen is that person..."""
_OTHER_COLOURS = 60.0
"""...unless the colours differ by more than this (mean grey levels)."""
_SAME_COLOURS = 25.0
"""Who looks this alike is the same person anywhere in the scene."""


@dataclass
class Track:
    """Sightings of one face without a long gap, in order of time, all in one scene."""

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
class Person:
    """The tracks of one person in one scene, in order of time.

    Attributes:
        scene: 0 before the first cut, 1 after it, ...
    """

    scene: int
    tracks: list[Track] = field(default_factory=list)

    @property
    def detections(self) -> list[Detection]:
        """Of all tracks, in order of time."""
        return [detection for track in self.tracks for detection in track.detections]

    @property
    def frames(self) -> int:
        """Frames from first to last sighting, without the gaps between tracks."""
        return sum(track.last - track.first + 1 for track in self.tracks)

    @property
    def box(self) -> FloatArray:
        """float32 (4,): median over all sightings, pixels of the reduced frame."""
        return median_box(self.detections)

    @property
    def look(self) -> FloatArray:
        """Median colours over all sightings."""
        return median_look(self.detections)


def median_box(detections: list[Detection]) -> FloatArray:
    """float32 (4,)."""
    return np.median([detection.face.box for detection in detections], axis=0).astype(np.float32)


def median_look(detections: list[Detection]) -> FloatArray:
    """float32, else as `Detection.look`; a few dozen sightings say as much as thousands."""
    some = detections[:: 1 + len(detections) // 32]
    return np.median([detection.look for detection in some], axis=0).astype(np.float32)


def unlike(one: FloatArray | Frame, other: FloatArray | Frame) -> float:
    """Mean difference of two looks in grey levels, 0..255."""
    return float(np.abs(one.astype(np.float32) - other).mean())


def associate(detections: Detections, fps: float) -> list[Track]:
    """Join sightings to tracks; in order of their first frame."""
    tracks: list[Track] = []
    active: list[Track] = []
    before, scene = 0, 0
    for number, faces in detections.seen.items():
        here = bisect_right(detections.cuts, number)
        if here != scene:
            active, scene = [], here
        # However far apart the looks are, what was seen at the one before may go on.
        oldest = min(before, number - _LONGEST_GAP_SECONDS * fps)
        active = [track for track in active if track.last >= oldest]
        pairs = _continued(active, faces, number, fps)
        for track, face in pairs:
            active[track].detections.append(faces[face])
        taken = {face for _, face in pairs}
        new = [Track([detection]) for row, detection in enumerate(faces) if row not in taken]
        active, tracks, before = active + new, tracks + new, number
    return tracks


def _continued(tracks: list[Track], faces: list[Detection], number: int, fps: float) -> list[tuple[int, int]]:
    """Pairs of track and face that belong together at the lowest cost on the whole."""
    if not tracks or not faces:
        return []
    expected = np.array([_expected_box(track, number, fps) for track in tracks])
    boxes = np.array([detection.face.box for detection in faces])
    sizes = np.minimum(side(expected)[:, None], side(boxes)[None])
    apart = np.linalg.norm(centre(expected)[:, None] - centre(boxes)[None], axis=2) / sizes
    growth = np.abs(np.log2(side(expected)[:, None] / side(boxes)[None]))
    colours = np.array([[unlike(track.detections[-1].look, face.look) for face in faces] for track in tracks])
    return assign(np.where((apart > _REACH) | (growth > 1), NEVER, apart + growth + _COLOUR_WEIGHT * colours))


def _expected_box(track: Track, number: int, fps: float) -> Floats:
    """The last box, moved on as the face moved of late."""
    last = track.detections[-1]
    span = _FORESEE_SECONDS * fps
    *_, earlier = takewhile(lambda one: one.frame >= last.frame - span, reversed(track.detections))
    if earlier.frame == last.frame:
        return last.face.box
    speed = (centre(last.face.box) - centre(earlier.face.box)) / (last.frame - earlier.frame)
    return np.asarray(last.face.box + np.tile(speed, 2) * min(number - last.frame, span))


def gather_people(tracks: list[Track], cuts: list[int]) -> list[Person]:
    """Join the tracks of each scene to people; in order of scene and first frame."""
    people: list[Person] = []
    for track in sorted(tracks, key=lambda track: track.first):
        scene = bisect_right(cuts, track.first)
        away = [one for one in people if one.scene == scene and one.tracks[-1].last < track.first]
        costs = [_return_cost(one, track) for one in away]
        if costs and min(costs) < NEVER:
            away[int(np.argmin(costs))].tracks.append(track)
        else:
            people.append(Person(scene, [track]))
    return people


def _return_cost(person: Person, track: Track) -> float:
    """How unlikely it is that `track` is `person` come back; `NEVER` when it is not."""
    left, back = person.tracks[-1].detections[-1].face.box, track.detections[0].face.box
    apart = float(np.linalg.norm(centre(left) - centre(back)) / min(side(left), side(back)))
    colours = unlike(person.look, median_look(track.detections))
    near = apart <= _NEAR and colours <= _OTHER_COLOURS
    return apart + colours / _SAME_COLOURS if near or colours <= _SAME_COLOURS else NEVER
