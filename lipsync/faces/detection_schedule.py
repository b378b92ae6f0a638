"""Looks for faces in some frames of a stream, and in more where something happens.

Every n-th frame is looked at. Where two neighbouring looks disagree (a face came, went, or moved
far), the frame in the middle is looked at too, and so on until the frame is found where it
happened. At a scene cut both sides are looked at. Frames are held only until the looks on both
sides of them agree: at most `_HELD_FRAMES` or one gap between looks, whichever is more.

Where the detector can, it looks closely only about once a second and beside cuts, and briefly in
between. A brief look that disagrees with a neighbour about who is there is done again closely, so
a small face that only close looks see is followed to the frame where it came and went.

Everything that is needed of the frames later on is kept in the sightings, so that another choice
of the face, another smoothing or another pad takes no second look.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import cv2
import numpy as np

from lipsync.faces.aligned_faces import align_face
from lipsync.faces.boxes import match, shift
from lipsync.faces.detectors.base import BriefDetector, FaceDetector
from lipsync.faces.shots import ShotDetector
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import Face, FloatArray, Frame

_HELD_FRAMES = 32
_MOVED = 0.1
"""A face that moved by more than this share of its size is looked at in between."""
_AS_FORESEEN = 0.06
"""A face this close to the straight line between the looks on either side needs no more looks."""
_LESS_SURE = 0.1
"""Where the confidence in a face changes by more than this, something may have come before it."""
_LOOK_CELLS = (6, 10)
_PORTRAIT_FRAMES = 25
"""Of so many frames, one keeps portraits of its faces: they take 8 kB each."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One face in one frame that was looked at; pixels of the reduced frame.

    Attributes:
        frame: number of the frame.
        look: uint8 (10, 6, 3) colours of a coarse grid over head and shoulders.
        portrait: see `portraits.align_face`; empty in most frames.
    """

    frame: int
    face: Face
    look: Frame
    portrait: bytes = b""


@dataclass
class Detections:
    """What was seen.

    Attributes:
        seen: for every frame that was looked at, in order, the faces in it, best first.
        cuts: first frames of the scenes after the first.
        count: frames in the stream.
        size: width, height of the reduced frames.
    """

    seen: dict[int, list[Detection]] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    count: int = 0
    size: tuple[int, int] = (0, 0)


def detect_faces(
    frames: Iterator[Frame], detector: FaceDetector, options: FaceOptions, progress: StageProgress
) -> Detections:
    """Look for faces in a stream of frames of equal size.

    Args:
        frames: (H, W, 3) RGB uint8, in order; read once.
        options: `detect_every` and `min_score` are used.
        progress: advanced by one a frame.

    Raises:
        Cancelled: the user stopped the job.
    """
    search = _Search(detector, options, progress)
    cuts = ShotDetector()
    step = options.detect_every
    stretch = step * max(1, _HELD_FRAMES // step)
    until = stretch
    for number, frame in enumerate(frames):
        search.held[number] = frame
        cuts.push(frame)
        if number == until + ShotDetector.LAG:  # all cuts up to `until` are known
            search.settle(until, cuts.cuts)
            until += stretch
        search.found.count, search.found.size = number + 1, (frame.shape[1], frame.shape[0])
        progress.advance()
    cuts.close()
    if search.held:
        search.settle(search.found.count - 1, cuts.cuts)
    found = search.found
    return Detections(dict(sorted(found.seen.items())), cuts.cuts, found.count, found.size)


class _Search:
    """The frames that are still held, and what was found so far."""

    def __init__(self, detector: FaceDetector, options: FaceOptions, progress: StageProgress) -> None:
        self._detector, self._options, self._progress = detector, options, progress
        self.held: dict[int, Frame] = {}
        self.found = Detections()
        self._foreseen: set[tuple[int, int]] = set()
        self._asked: dict[int, tuple[int, int]] = {}
        self._brief: set[int] = set()
        self._portrayed: tuple[int, ...] = ()

    def settle(self, until: int, cuts: Sequence[int]) -> None:
        """Do all looks up to frame `until`, and let go of the frames before it."""
        start = min(self.held)
        step = self._options.detect_every
        closely = {start, until}
        wanted = {n for n in range(start, until + 1) if n % step == 0} | {until}
        while wanted := wanted - self.found.seen.keys() | wanted & self._brief:
            closely |= wanted & self._brief  # a brief look was not enough there
            self._look(sorted(wanted), closely)
            self._note_foreseen()
            looked = [n for n in range(start, until + 1) if n in self.found.seen]
            wanted = set()
            for early, late in pairwise(looked):
                wanted |= self._between(early, late, cuts)
        self._portray([number for number in looked if self.found.seen[number]], cuts)
        for number in [n for n in self.held if n < until]:
            del self.held[number]

    def _look(self, numbers: list[int], closely: set[int]) -> None:
        detector, brief = self._detector, []
        if isinstance(detector, BriefDetector):
            brief = [number for number in numbers if number not in closely]
            self._take(brief, detector.detect_briefly)
        self._take([number for number in numbers if number not in brief], detector.detect)
        self._brief = self._brief.difference(numbers).union(brief)

    def _take(self, numbers: list[int], detect: Callable[[Sequence[Frame]], list[list[Face]]]) -> None:
        size = max(1, self._detector.batch_size)
        for start in range(0, len(numbers), size):
            self._progress.cancel.check(self._progress.stage)
            batch = numbers[start : start + size]
            results = detect([self.held[number] for number in batch])
            for number, faces in zip(batch, results, strict=True):
                self.found.seen[number] = [
                    Detection(number, face, appearance(self.held[number], face.box))
                    for face in faces
                    if face.score >= self._options.min_score
                ]

    def _between(self, early: int, late: int, cuts: Sequence[int]) -> set[int]:
        """Which frames between two neighbouring looks have to be looked at, or which of the two again."""
        next_cut = bisect_right(cuts, early)
        if next_cut < len(cuts) and cuts[next_cut] <= late:
            return {cuts[next_cut] - 1, cuts[next_cut]}
        before, after = _boxes(self.found.seen[early]), _boxes(self.found.seen[late])
        pairs = match(before, after)
        same_faces = len(pairs) == len(before) == len(after)
        if not same_faces and self._brief & {early, late}:
            return self._brief & {early, late}
        if late - early < 2 or (same_faces and (early, late) in self._foreseen):
            return set()
        middle = (early + late) // 2
        if same_faces and not self._less_sure(early, late, pairs):
            if all(shift(before[one], after[other]) <= _MOVED for one, other in pairs):
                return set()
            self._asked[middle] = (early, late)
        return {middle}

    def _less_sure(self, early: int, late: int, pairs: Sequence[tuple[int, int]]) -> bool:
        before, after = self.found.seen[early], self.found.seen[late]
        return any(abs(before[one].face.score - after[other].face.score) > _LESS_SURE for one, other in pairs)

    def _portray(self, numbers: Sequence[int], cuts: Sequence[int]) -> None:
        """Take portraits in the first frame with faces of every few, of a scene, and when somebody comes."""
        for number in numbers:
            faces = len(self.found.seen[number])
            stretch = bisect_right(cuts, number), number // _PORTRAIT_FRAMES, faces
            if stretch != self._portrayed:
                frame = self.held[number]
                self.found.seen[number] = [
                    replace(one, portrait=align_face(frame, one.face)) for one in self.found.seen[number]
                ]
                self._portrayed = stretch

    def _note_foreseen(self) -> None:
        """Of the looks taken because of motion: where the motion is steady, no more are needed."""
        for middle, (early, late) in self._asked.items():
            first, boxes, last = (_boxes(self.found.seen[number]) for number in (early, middle, late))
            part = (middle - early) / (late - early)
            line = np.array(
                [first[one] * (1 - part) + last[other] * part for one, other in match(first, last)]
            )
            pairs = match(line, boxes)
            if len(pairs) == len(line) == len(boxes) and all(
                shift(line[one], boxes[other]) <= _AS_FORESEEN for one, other in pairs
            ):
                self._foreseen |= {(early, middle), (middle, late)}
        self._asked.clear()


def _boxes(detections: Sequence[Detection]) -> FloatArray:
    """(N, 4)."""
    return np.array([detection.face.box for detection in detections], np.float32).reshape(-1, 4)


def appearance(frame: Frame, box: FloatArray) -> Frame:
    """Colours of a coarse grid from the hair down to the shoulders: tells people apart, roughly."""
    height, width = frame.shape[:2]
    tall = box[3] - box[1]
    left, right = int(max(0, box[0])), int(min(width, np.ceil(box[2])))
    top, bottom = int(max(0, box[1] - 0.3 * tall)), int(min(height, np.ceil(box[3] + 0.7 * tall)))
    part = frame[top:bottom, left:right]
    return np.asarray(cv2.resize(part, _LOOK_CELLS, interpolation=cv2.INTER_AREA), dtype=np.uint8)
