"""People over shots: face tracks of one person joined to one face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipsync.faces.association import appearance_distance, median_appearance
from lipsync.faces.recognition import FaceSimilarity, identity_similarity
from lipsync.types import FloatArray

if TYPE_CHECKING:
    from lipsync.metrics.lse_tracks import Doubles, ShotTrack

_SAME_COLORS = 25.0
"""Mean grey levels of difference up to which a similar face elsewhere is the same person."""
_SAME_PLACE = 0.3
"""Overlap of the boxes (IoU) from which on a face after a cut is where the one before was..."""
_DIRECTLY = 8
"""...if at most this many frames lie between them."""
_LONGEST = 1500
"""Frames at 25 a second after which a person is a new one: comparing takes time."""
_COMPARED = 3
"""Last tracks of a person that are compared."""


def join_tracks(tracks: Sequence[ShotTrack], similarity: FaceSimilarity) -> list[list[int]]:
    """Numbers of the tracks of each person, in order of time.

    A track goes to the person of the last minute whose tracks are the most similar. Measured on joined clips
    of 40 people with `TextureSimilarity`: its threshold and similar colours join 75 % of a person's tracks in
    other shots and 3 % of strangers'. Directly after a cut in the same place half of the threshold will do,
    which the same person has in 95 % of cuts.

    Args:
        tracks: in order of their first frames; without detections they are not joined.
    """
    looks = [median_appearance(list(track.detections)) if track.detections else None for track in tracks]
    joined = _Joined(tracks, looks, similarity)
    people: list[list[int]] = []
    for number in range(len(tracks)):
        scores = [joined.likeness(person, number) for person in people]
        best = int(np.argmax(scores)) if scores else -1
        if best >= 0 and scores[best] > 0:
            people[best].append(number)
        else:
            people.append([number])
    return people


@dataclass(frozen=True)
class _Joined:
    """Tracks, what they look like, and how faces are compared."""

    tracks: Sequence[ShotTrack]
    looks: Sequence[FloatArray | None]
    similarity: FaceSimilarity

    def likeness(self, person: Sequence[int], number: int) -> float:
        """Similarity of a track to a person; 0 where it is another one."""
        track, own = self.tracks[number], self.looks[number]
        ended = max(self.tracks[one].frames.stop for one in person)
        away = track.frames.start - ended
        if own is None or away < 0 or away > _LONGEST:  # negative: both are seen at once
            return 0.0
        best = 0.0
        for one in person[-_COMPARED:]:
            other, looks = self.tracks[one], self.looks[one]
            placed = one == person[-1] and away <= _DIRECTLY
            placed = placed and _overlap(other.boxes[-1], track.boxes[0]) > _SAME_PLACE
            if looks is None or not (placed or appearance_distance(looks, own) <= _SAME_COLORS):
                continue
            found = identity_similarity(other.detections, track.detections, self.similarity)
            needed = self.similarity.threshold / (2 if placed else 1)
            if found >= needed:
                best = max(best, found + placed)
        return best


def _overlap(one: Doubles, other: Doubles) -> float:
    """Intersection over union of two boxes x1, y1, x2, y2."""
    width, height = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = max(0.0, float(width)) * max(0.0, float(height))
    sizes = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return shared / (sum(sizes) - shared)
