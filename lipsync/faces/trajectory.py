"""From the sightings of the chosen people to one box a frame: fill, scale, smooth, pad, clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lipsync.errors import OptionError
from lipsync.faces import smoothing
from lipsync.faces.association import Person
from lipsync.faces.detection_schedule import Detection
from lipsync.options import Box, FaceOptions
from lipsync.types import FaceTrack

Doubles = npt.NDArray[np.float64]
Rows = tuple[Doubles, Doubles, Doubles]  # boxes (T, 4), points (T, 5, 2), scores (T,)

BRIDGED_SECONDS = 0.3
"""A face missed for less time than this is taken to be there all the same."""
_LEAST_SIDE = 2.0
"""Pixels that a box keeps in each direction, whatever the pads."""
_USUAL_SECONDS = 5.0
_COVERED = 0.16
"""A face whose confidence is so much below its usual one is covered: over 116 real clips no frame is by
0.12; a hand over the lower half of the face takes 0.21 in the median, a microphone takes little."""


def fill_in(people: Iterable[Person], looked: npt.NDArray[np.int64], count: int, fps: float) -> Rows:
    """Rows for all frames, interpolated between sightings; NaN where the face is not there or is covered.

    Args:
        people: at most one at a time.
        looked: numbers of all frames that were looked at, in order.
        count: number of frames.
    """
    rows = np.full((count, 4), np.nan), np.full((count, 5, 2), np.nan), np.zeros(count)
    for person in people:
        detections = person.detections
        _put(rows, detections[0], detections[0], 0)
        for early, late in pairwise(detections):
            missed = int(np.searchsorted(looked, late.frame) - np.searchsorted(looked, early.frame)) - 1
            if missed and late.frame - early.frame - 1 >= BRIDGED_SECONDS * fps:
                _put(rows, late, late, 0)
            else:
                for frame in range(early.frame + 1, late.frame + 1):
                    _put(rows, early, late, frame - early.frame)
        _take_out_covered(rows, detections, fps)
    return rows


def _take_out_covered(rows: Rows, detections: Sequence[Detection], fps: float) -> None:
    """Let the frames pass through in which something is before the face, up to the clear looks around."""
    frames = np.array([one.frame for one in detections])
    scores = np.array([one.face.score for one in detections])
    reach = _USUAL_SECONDS * fps
    starts, ends = np.searchsorted(frames, frames - reach), np.searchsorted(frames, frames + reach, "right")
    for place, score in enumerate(scores):
        if score < np.median(scores[starts[place] : ends[place]]) - _COVERED:
            first = frames[place - 1] + 1 if place else frames[place]
            last = frames[place + 1] - 1 if place + 1 < len(frames) else frames[place]
            boxes, points, confidence = rows
            boxes[first : last + 1], points[first : last + 1] = np.nan, np.nan
            confidence[first : last + 1] = 0


def _put(rows: Rows, early: Detection, late: Detection, step: int) -> None:
    """Write the row `step` frames after `early`, on the line from `early` to `late`."""
    boxes, points, scores = rows
    frame = early.frame + step
    part = step / max(1, late.frame - early.frame)
    one, other = early.face, late.face
    boxes[frame] = one.box * (1 - part) + other.box * part
    scores[frame] = one.score * (1 - part) + other.score * part
    if one.points is not None and other.points is not None:
        points[frame] = one.points * (1 - part) + other.points * part


def finish(
    rows: Rows, cuts: list[int], reduced: tuple[int, int], full: tuple[int, int], options: FaceOptions
) -> FaceTrack:
    """Smoothed and padded boxes in pixels of the full-size frame.

    Args:
        rows: in pixels of the reduced frame.
        reduced, full: width, height.
    """
    boxes, points, scores = rows
    scale = np.array(full, float) / reduced
    boxes, points = boxes * np.tile(scale, 2), points * scale
    present = ~np.isnan(boxes[:, 0])
    scenes = _runs(present, cuts)
    if options.smoothing == "official":
        boxes = _official(boxes, _runs(present, []), full, options)
    else:
        frames = options.smoothing_frames if options.smoothing == "symmetric" else 1
        boxes = _smoothed(boxes, scenes, frames)
        boxes = pad(boxes, full, options)
    points = _smoothed(
        points.reshape(-1, 10), scenes, 1 if options.smoothing == "none" else options.smoothing_frames
    )
    return FaceTrack(
        boxes.astype(np.float32), points.reshape(-1, 5, 2).astype(np.float32), scores.astype(np.float32)
    )


def _official(boxes: Doubles, runs: list[slice], full: tuple[int, int], options: FaceOptions) -> Doubles:
    """As Wav2Lip: cut off to whole numbers, padded, and only then smoothed, across cuts too."""
    result = boxes.copy()
    for run in runs:
        whole = np.trunc(np.clip(boxes[run], 0, None))
        padded = np.trunc(pad(whole, full, options)).astype(np.int64)
        result[run] = smoothing.official(padded, options.smoothing_frames)
    return result


def _smoothed(values: Doubles, runs: list[slice], frames: int) -> Doubles:
    result = values.copy()
    for run in runs:
        result[run] = smoothing.symmetric(values[run], frames)
    return result


def _runs(present: npt.NDArray[np.bool_], cuts: list[int]) -> list[slice]:
    """Unbroken stretches with a face, parted at cuts too."""
    breaks = np.flatnonzero(np.diff(present.astype(np.int8))) + 1
    edges = sorted({0, len(present), *breaks.tolist(), *(cut for cut in cuts if cut < len(present))})
    stretches = (slice(start, end) for start, end in pairwise(edges))
    return [stretch for stretch in stretches if present[stretch.start]]


def pad(boxes: Doubles, size: tuple[int, int], options: FaceOptions) -> Doubles:
    """Move the edges out by per cent of the box and by pixels, then cut at the frame's borders.

    Negative pads move them in, but 2 pixels of the box are always left (fewer only in a frame
    that has fewer).

    Args:
        boxes: (T, 4), NaN rows stay NaN.
        size: width, height of the frame.
    """
    top, bottom, left, right = options.pads_px
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x1, x2 = _span(
        boxes[:, 0],
        boxes[:, 2],
        left + width * options.pad_left / 100,
        right + width * options.pad_right / 100,
        size[0],
    )
    y1, y2 = _span(
        boxes[:, 1],
        boxes[:, 3],
        top + height * options.pad_top / 100,
        bottom + height * options.pad_bottom / 100,
        size[1],
    )
    return np.stack([x1, y1, x2, y2], axis=1)


def _span(low: Doubles, high: Doubles, before: Doubles, after: Doubles, size: int) -> tuple[Doubles, Doubles]:
    """One direction of `pad`."""
    first, last = low - before, high + after
    least = min(_LEAST_SIDE, size)
    middle = np.clip((first + last) / 2, np.minimum(low, high), np.maximum(low, high))
    thin = last - first < least
    first, last = np.where(thin, middle - least / 2, first), np.where(thin, middle + least / 2, last)
    first = np.clip(first, 0, size - least)
    return first, np.maximum(np.clip(last, 0, size), first + least)


def fixed_box_track(box: Box, count: int, size: tuple[int, int]) -> FaceTrack:
    """The same box in every frame, neither padded nor smoothed, as with Wav2Lip's `--box`.

    Args:
        box: in pixels of the frame.
        count: number of frames.
        size: width, height of the frame.

    Raises:
        OptionError: the box is empty, turned round, or not wholly inside the frame.
    """
    top, bottom, left, right = box
    width, height = size
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise OptionError(
            "The fixed face box does not fit the picture",
            given=f"top {top}, bottom {bottom}, left {left}, right {right}",
            hint=f"The picture is {width} wide and {height} high; top < bottom and left < right.",
        )
    row = np.array([left, top, right, bottom], np.float32)
    points = np.full((count, 5, 2), np.nan, np.float32)
    return FaceTrack(np.tile(row, (count, 1)), points, np.ones(count, np.float32))
