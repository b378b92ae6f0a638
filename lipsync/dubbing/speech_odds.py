"""Log odds that each face speaks in each frame, from its lips and the sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.types import Bools, FloatArray, IntArray

if TYPE_CHECKING:
    from lipsync.dubbing.speaker_evidence import TrackEvidence

WIDE, NARROW = 51, 13
"""Frames over which evidence is averaged: two seconds say enough words to tell who speaks, half a second
tells when one stops and the other begins."""
_WEIGHTS = {WIDE: (15.64, 1.52, 6.69, -2.04), NARROW: (7.06, 0.68, 2.90, -0.51)}
"""Of likeness, opening and movement, and the constant, by window: a conditional logit over the faces and
nobody, fitted to the scenes of `benchmarks/speakers.py` with the validation people. The constant is lower by
0.45, with which 85 % of the speech from outside goes to nobody in scenes of validation and training people.
"""
_LOCAL = 75
"""Frames around each in which an opening is compared with its mean and range."""
_OFFSETS = 2
"""Frames by which a face may differ from the offset of the video's sound."""
_USUAL_OFFSETS = slice(MAX_OFFSET - 8, MAX_OFFSET + 9)


@dataclass(frozen=True, eq=False)
class FaceEvidence:
    """Evidence of one person in all shots.

    Attributes:
        similarity, opening: as of `TrackEvidence`, for all frames of the video; NaN where unseen.
        track: int64 (frames,), number of the track that shows the face; -1 where unseen.
    """

    similarity: FloatArray
    opening: FloatArray
    track: IntArray


def join_evidence(
    evidence: Sequence[TrackEvidence], people: Sequence[Sequence[int]], frames: int
) -> list[FaceEvidence]:
    """Evidence of each person, whose tracks `people` numbers."""
    faces = []
    for person in people:
        similarity = np.full((frames, 2 * MAX_OFFSET + 1), np.nan, np.float32)
        opening, track = np.full(frames, np.nan, np.float32), np.full(frames, -1, np.int64)
        for number in person:
            one = evidence[number]
            seen = slice(one.track.frames.start, one.track.frames.stop)
            similarity[seen], opening[seen], track[seen] = one.similarity, one.opening, number
        faces.append(FaceEvidence(similarity, opening, track))
    return faces


def common_offset(faces: Sequence[FaceEvidence]) -> int:
    """Offset of the video's sound, as a column of similarities: the peak over all windows that have one."""
    rows = [one.similarity[~np.isnan(one.similarity).any(1)] for one in faces]
    if not any(map(len, rows)):
        return MAX_OFFSET
    return int(np.concatenate(rows).mean(0)[_USUAL_OFFSETS].argmax()) + _USUAL_OFFSETS.start


def speech_odds(faces: Sequence[FaceEvidence], expected: FloatArray, window: int) -> FloatArray:
    """Log odds that a face speaks, against nobody in the picture, float32 (faces, frames).

    Args:
        expected: opening that the sound lets expect, (frames,).
        window: `WIDE` or `NARROW`.

    Returns:
        -inf where a face is not seen.
    """
    offset, weights = common_offset(faces), np.array(_WEIGHTS[window])
    odds = np.full((len(faces), len(expected)), -np.inf, np.float32)
    for number, one in enumerate(faces):
        values = measures(one, expected, offset, window) @ weights[:-1] + weights[-1]
        odds[number] = np.where(one.track >= 0, values, -np.inf)
    return odds


def measures(face: FaceEvidence, expected: FloatArray, offset: int, window: int) -> FloatArray:
    """Likeness, opening and movement of a face in each frame, means over a window, float32 (frames, 3).

    Likeness is the sync expert's at the sound's offset over that at other offsets. Opening and movement are
    the correlation of the lips' opening, and of its change, with what the sound lets expect.
    """
    likeness = _likeness(face.similarity, offset)
    known: Bools = np.asarray(~np.isnan(face.opening), np.bool_)
    own = np.where(known, face.opening, 0)
    wanted = np.where(known, expected, 0)
    changes = [np.where(known, np.gradient(one), 0) for one in (face.opening, expected)]
    own, wanted = (np.where(known, one - _mean(one, known, _LOCAL), 0) for one in (own, wanted))
    opening = _product(own, wanted, known, 2e-4)
    movement = _product(np.nan_to_num(changes[0]), changes[1], known, 5e-5)
    heard: Bools = np.asarray(~np.isnan(face.similarity).any(1), np.bool_)
    return np.stack(
        [
            _mean(likeness, heard, window),
            _mean(opening, known, window),
            _mean(movement, known, window),
        ],
        axis=1,
    )


def _likeness(similarity: FloatArray, offset: int) -> FloatArray:
    """Similarity at the sound's offset over the median of all, (frames,); 0 where unknown."""
    heard = ~np.isnan(similarity).any(1)
    if not heard.any():
        return np.zeros(len(similarity), np.float32)
    first = max(0, offset - _OFFSETS)
    near = similarity[heard, first : offset + _OFFSETS + 1].mean(0)
    out = np.zeros(len(similarity), np.float32)
    out[heard] = similarity[heard, first + int(near.argmax())] - np.median(similarity[heard], axis=1)
    return out


def _product(own: FloatArray, wanted: FloatArray, known: Bools, least: float) -> FloatArray:
    """Product of two signals by their size around each frame, less for a mouth that hardly moves."""
    sizes = [np.sqrt(_mean(one * one, known, _LOCAL)) for one in (own, wanted)]
    return np.asarray(own * wanted / (sizes[0] * sizes[1] + least), np.float32)


def _mean(values: FloatArray, known: Bools, window: int) -> FloatArray:
    """Mean of the known values in a window around each frame; 0 where there are none."""
    total, count = (
        np.convolve(part, np.ones(window, np.float32), mode="full")[window // 2 :][: len(values)]
        for part in (np.where(known, values, 0), known.astype(np.float32))
    )
    return np.asarray(total / np.maximum(count, 1), np.float32)
