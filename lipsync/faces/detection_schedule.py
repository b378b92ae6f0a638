"""Adaptive detection: every n-th frame, bisecting where neighbours disagree.

Where two neighbouring sampled frames disagree (a face came, went, or moved far), the frame halfway
between them is sampled too, and so on down to the frame where it happened. Both sides of a cut are
sampled. Frames are buffered only until the samples on both sides of them agree: at most
`_BUFFER_FRAMES` or one sampling step, whichever is more.

A detector with a coarse pass (`CoarseDetector`) makes the full pass only about once a second and
next to cuts. A frame whose coarse pass disagrees with a neighbour about the number of faces gets the
full pass as well, so that small faces, which only the full pass finds, are followed to the frame
where they come and go.

A detection keeps all that later stages need of its frame, so that another selection, smoothing or
padding needs no further detection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import cv2
import numpy as np

from lipsync.faces.aligned_faces import encode_aligned_face
from lipsync.faces.boxes import edge_shift, match_boxes
from lipsync.faces.detectors.base import CoarseDetector, FaceDetector
from lipsync.faces.shots import ShotDetector
from lipsync.faces.tilted_faces import with_tilted_faces
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import Face, FloatArray, Frame

_BUFFER_FRAMES = 32
_MOTION_THRESHOLD = 0.1
"""Shift of an edge, in sides of the face, between two samples above which the middle is sampled too."""
_LINEAR_MOTION_TOLERANCE = 0.06
"""Shift, in sides of the face, from linear motion up to which the samples on either side are enough."""
_SCORE_CHANGE = 0.1
"""Change of confidence between two samples above which the face may have been occluded in between."""
_APPEARANCE_GRID = (6, 10)  # width, height
_ALIGNED_FACE_INTERVAL = 25
"""Frames. Aligned crops (8 kB each) are kept for one sampled frame of so many."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One detected face in one frame; pixels of the reduced frame.

    Attributes:
        frame: number of the frame.
        face: box, score and landmarks.
        appearance: uint8 (10, 6, 3), see `appearance_descriptor`.
        aligned_face: JPEG, see `encode_aligned_face`; empty in most frames.
    """

    frame: int
    face: Face
    appearance: Frame
    aligned_face: bytes = b""


@dataclass
class Detections:
    """All detections in a stream of frames.

    Attributes:
        by_frame: for every sampled frame, in order, the faces in it, best first.
        cuts: numbers of the first frames of the shots after the first.
        frame_count: frames in the stream.
        frame_size: width, height of the reduced frames in pixels.
    """

    by_frame: dict[int, list[Detection]] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    frame_count: int = 0
    frame_size: tuple[int, int] = (0, 0)


def detect_faces(
    frames: Iterator[Frame], detector: FaceDetector, options: FaceOptions, progress: StageProgress
) -> Detections:
    """Detect the faces in a stream of frames of equal size.

    Args:
        frames: (H, W, 3) RGB uint8, in order; read once.
        options: `detect_every` and `min_score` are used.
        progress: advanced by one a frame.

    Raises:
        Cancelled: the user stopped the job.
    """
    scheduler = _DetectionScheduler(detector, options, progress)
    shots = ShotDetector()
    until = chunk = chunk_frames(options)
    for number, frame in enumerate(frames):
        scheduler.buffer[number] = frame
        shots.push(frame)
        if number == until + ShotDetector.LAG:  # all cuts up to `until` are known
            scheduler.process(until, shots.cuts)
            until += chunk
        scheduler.detections.frame_count = number + 1
        scheduler.detections.frame_size = (frame.shape[1], frame.shape[0])
        progress.advance()
    shots.close()
    found = scheduler.detections
    if scheduler.buffer:
        scheduler.process(found.frame_count - 1, shots.cuts)
    return Detections(dict(sorted(found.by_frame.items())), shots.cuts, found.frame_count, found.frame_size)


def chunk_frames(options: FaceOptions) -> int:
    """Frames after which a full pass is made and frames are dropped; parts that begin there find the same."""
    return options.detect_every * max(1, _BUFFER_FRAMES // options.detect_every)


def join_parts(parts: Sequence[tuple[int, Detections]]) -> Detections:
    """Detections in some parts of a video, as of the whole; each part is a shot or several.

    Args:
        parts: first frame and detections of each, in order, with frames in between.
    """
    joined = Detections()
    for first, part in parts:
        for number, faces in part.by_frame.items():
            joined.by_frame[first + number] = [replace(one, frame=first + one.frame) for one in faces]
        cuts = [first, *(first + cut for cut in part.cuts), first + part.frame_count]
        joined.cuts += [cut for cut in cuts if cut]
        joined.frame_count, joined.frame_size = first + part.frame_count, part.frame_size
    return joined


class _DetectionScheduler:
    """Decides which buffered frames to run the detector on, and runs it.

    Attributes:
        buffer: frames by number that may still be sampled.
        detections: all detections so far.
    """

    def __init__(self, detector: FaceDetector, options: FaceOptions, progress: StageProgress) -> None:
        self._detector, self._options, self._progress = detector, options, progress
        self.buffer: dict[int, Frame] = {}
        self.detections = Detections()
        self._linear_spans: set[tuple[int, int]] = set()
        """Pairs of sampled frames between which faces move linearly."""
        self._motion_probes: dict[int, tuple[int, int]] = {}
        """Frames sampled because of motion -> the sampled frames around them."""
        self._coarse: set[int] = set()
        """Frames that had the coarse pass only."""
        self._searched_rotated: set[int] = set()
        """Frames that are searched rotated if they have no face: first and last of those to process."""
        self._tilted = False
        """Whether tilted faces were found; then all frames without a face are searched."""
        self._aligned_key: tuple[int, ...] = ()

    def process(self, until: int, cuts: Sequence[int]) -> None:
        """Sample all frames needed up to `until`, and drop the frames before it."""
        start = min(self.buffer)
        step = self._options.detect_every
        full_pass = {start, until}
        self._searched_rotated = {start, until}
        wanted = {n for n in range(start, until + 1) if n % step == 0} | {until}
        while wanted := wanted - self.detections.by_frame.keys() | wanted & self._coarse:
            full_pass |= wanted & self._coarse  # the coarse pass was not enough there
            self._detect(sorted(wanted), full_pass)
            self._note_linear_motion()
            sampled = [n for n in range(start, until + 1) if n in self.detections.by_frame]
            wanted = set()
            for early, late in pairwise(sampled):
                wanted |= self._frames_to_refine(early, late, cuts)
        self._keep_aligned_faces([number for number in sampled if self.detections.by_frame[number]], cuts)
        for number in [n for n in self.buffer if n < until]:
            del self.buffer[number]

    def _detect(self, numbers: list[int], full_pass: set[int]) -> None:
        detector, coarse = self._detector, []
        if isinstance(detector, CoarseDetector):
            coarse = [number for number in numbers if number not in full_pass]
            self._run_detector(coarse, detector.detect_coarse)
        self._run_detector([number for number in numbers if number not in coarse], detector.detect)
        self._coarse = self._coarse.difference(numbers).union(coarse)

    def _run_detector(
        self, numbers: list[int], detect: Callable[[Sequence[Frame]], list[list[Face]]]
    ) -> None:
        size = max(1, self._detector.batch_size)
        for start in range(0, len(numbers), size):
            self._progress.cancel.check(self._progress.stage)
            batch = numbers[start : start + size]
            results = detect([self.buffer[number] for number in batch])
            for number, guesses in zip(batch, results, strict=True):
                frame, min_score = self.buffer[number], self._options.min_score
                search = self._tilted or number in self._searched_rotated
                faces = with_tilted_faces(frame, guesses, self._detector, min_score, search)
                self._tilted |= any(all(face is not guess for guess in guesses) for face in faces)
                self.detections.by_frame[number] = [
                    Detection(number, face, appearance_descriptor(frame, face.box)) for face in faces
                ]

    def _frames_to_refine(self, early: int, late: int, cuts: Sequence[int]) -> set[int]:
        """Frames to sample between two samples, or which of the two need a full pass."""
        next_cut = bisect_right(cuts, early)
        if next_cut < len(cuts) and cuts[next_cut] <= late:
            return {cuts[next_cut] - 1, cuts[next_cut]}
        before, after = _boxes(self.detections.by_frame[early]), _boxes(self.detections.by_frame[late])
        pairs = match_boxes(before, after)
        same_faces = len(pairs) == len(before) == len(after)
        if not same_faces and self._coarse & {early, late}:
            return self._coarse & {early, late}
        if late - early < 2 or (same_faces and (early, late) in self._linear_spans):
            return set()
        middle = (early + late) // 2
        if same_faces and not self._score_changed(early, late, pairs):
            if all(edge_shift(before[one], after[other]) <= _MOTION_THRESHOLD for one, other in pairs):
                return set()
            self._motion_probes[middle] = (early, late)
        return {middle}

    def _score_changed(self, early: int, late: int, pairs: Sequence[tuple[int, int]]) -> bool:
        before, after = self.detections.by_frame[early], self.detections.by_frame[late]
        return any(
            abs(before[one].face.score - after[other].face.score) > _SCORE_CHANGE for one, other in pairs
        )

    def _keep_aligned_faces(self, numbers: Sequence[int], cuts: Sequence[int]) -> None:
        """Add aligned crops once per interval, shot, and change of the number of faces."""
        for number in numbers:
            detections = self.detections.by_frame[number]
            key = bisect_right(cuts, number), number // _ALIGNED_FACE_INTERVAL, len(detections)
            if key != self._aligned_key:
                frame = self.buffer[number]
                self.detections.by_frame[number] = [
                    replace(one, aligned_face=encode_aligned_face(frame, one.face)) for one in detections
                ]
                self._aligned_key = key

    def _note_linear_motion(self) -> None:
        """End the bisection of spans in which faces move linearly."""
        for middle, (early, late) in self._motion_probes.items():
            first, boxes, last = (_boxes(self.detections.by_frame[n]) for n in (early, middle, late))
            part = (middle - early) / (late - early)
            predicted = np.array(
                [first[one] * (1 - part) + last[other] * part for one, other in match_boxes(first, last)]
            )
            pairs = match_boxes(predicted, boxes)
            if len(pairs) == len(predicted) == len(boxes) and all(
                edge_shift(predicted[one], boxes[other]) <= _LINEAR_MOTION_TOLERANCE for one, other in pairs
            ):
                self._linear_spans |= {(early, middle), (middle, late)}
        self._motion_probes.clear()


def _boxes(detections: Sequence[Detection]) -> FloatArray:
    """Boxes of detections, float32 (N, 4)."""
    return np.array([detection.face.box for detection in detections], np.float32).reshape(-1, 4)


def appearance_descriptor(frame: Frame, box: FloatArray) -> Frame:
    """Coarse colour grid from hair to shoulders, uint8 (10, 6, 3).

    Enough to distinguish people roughly.

    Args:
        frame: (H, W, 3) RGB uint8.
        box: (4,) x1, y1, x2, y2 of the face in pixels.
    """
    height, width = frame.shape[:2]
    face_height = box[3] - box[1]
    left, right = int(max(0, box[0])), int(min(width, np.ceil(box[2])))
    top = int(max(0, box[1] - 0.3 * face_height))
    bottom = int(min(height, np.ceil(box[3] + 0.7 * face_height)))
    region = frame[top:bottom, left:right]
    return np.asarray(cv2.resize(region, _APPEARANCE_GRID, interpolation=cv2.INTER_AREA), dtype=np.uint8)
