"""Face trajectories: gap interpolation, smoothing and padding of boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lipsync.errors import OptionError
from lipsync.faces.association import Identity
from lipsync.faces.boxes import centre
from lipsync.faces.detection_schedule import Detection
from lipsync.faces.upright import rotation_matrix, upright_rotation
from lipsync.options import Box, FaceOptions
from lipsync.types import FaceTrack, IntArray

Float64Array = npt.NDArray[np.float64]
TrackArrays = tuple[Float64Array, Float64Array, Float64Array]
"""boxes (T, 4), points (T, 5, 2), scores (T,); NaN and score 0 in frames without a face."""

_MAX_GAP_SECONDS = 0.3
"""A gap shorter than this is a missed detection and is interpolated."""
_MIN_SIDE = 2.0
"""Pixels that negative padding leaves of a box in each direction."""
_SCORE_WINDOW_SECONDS = 5.0
"""To either side, for the median confidence of a face."""
_OCCLUDED_SCORE_DROP = 0.16
"""Drop of the confidence below its median from which on a face counts as occluded. Over 116 real clips no
frame drops by 0.12; a hand over the lower half of the face takes 0.21 in the median, a microphone little."""


def interpolate_gaps(
    identities: Iterable[Identity], sampled: IntArray, count: int, fps: float
) -> TrackArrays:
    """Interpolate detections to all frames.

    Frames without the face, or with it occluded, stay NaN.

    Args:
        identities: the selected ones, at most one in any frame.
        sampled: int64 (n,), numbers of all frames the detector ran on, in order.
        count: number T of frames.
        fps: frames per second.

    Returns:
        float64 boxes (T, 4), points (T, 5, 2) and scores (T,), in pixels of the reduced frame.
    """
    arrays = np.full((count, 4), np.nan), np.full((count, 5, 2), np.nan), np.zeros(count)
    for identity in identities:
        detections = identity.detections
        _write_row(arrays, detections[0], detections[0], 0)
        for early, late in pairwise(detections):
            missed = int(np.searchsorted(sampled, late.frame) - np.searchsorted(sampled, early.frame)) - 1
            if missed and late.frame - early.frame - 1 >= _MAX_GAP_SECONDS * fps:
                _write_row(arrays, late, late, 0)
            else:
                for frame in range(early.frame + 1, late.frame + 1):
                    _write_row(arrays, early, late, frame - early.frame)
        _remove_occluded(arrays, detections, fps)
    return arrays


def _remove_occluded(arrays: TrackArrays, detections: Sequence[Detection], fps: float) -> None:
    """Clear frames with an occluded face, up to the unoccluded detections around."""
    frames = np.array([one.frame for one in detections])
    scores = np.array([one.face.score for one in detections])
    reach = _SCORE_WINDOW_SECONDS * fps
    starts, ends = np.searchsorted(frames, frames - reach), np.searchsorted(frames, frames + reach, "right")
    for index, score in enumerate(scores):
        if score < np.median(scores[starts[index] : ends[index]]) - _OCCLUDED_SCORE_DROP:
            first = frames[index - 1] + 1 if index else frames[index]
            last = frames[index + 1] - 1 if index + 1 < len(frames) else frames[index]
            boxes, points, confidence = arrays
            boxes[first : last + 1], points[first : last + 1] = np.nan, np.nan
            confidence[first : last + 1] = 0


def _write_row(arrays: TrackArrays, early: Detection, late: Detection, step: int) -> None:
    """Write the row `step` frames after `early`, interpolated linearly to `late`."""
    boxes, points, scores = arrays
    frame = early.frame + step
    part = step / max(1, late.frame - early.frame)
    one, other = early.face, late.face
    boxes[frame] = one.box * (1 - part) + other.box * part
    scores[frame] = one.score * (1 - part) + other.score * part
    if one.points is not None and other.points is not None:
        points[frame] = one.points * (1 - part) + other.points * part


def smooth_and_pad(
    arrays: TrackArrays,
    cuts: list[int],
    reduced_size: tuple[int, int],
    frame_size: tuple[int, int],
    options: FaceOptions,
) -> FaceTrack:
    """Scale a trajectory to the full-size frame, smooth and pad it.

    Args:
        arrays: in pixels of the reduced frame.
        cuts: numbers of the first frames of the shots after the first; nothing is smoothed across them,
            but by the official smoothing.
        reduced_size, frame_size: width, height in pixels.
        options: `smoothing`, `smoothing_frames` and the pads are used.
    """
    boxes, points, scores = arrays
    scale = np.array(frame_size, float) / reduced_size
    boxes, points = boxes * np.tile(scale, 2), points * scale
    present = ~np.isnan(boxes[:, 0])
    runs = _runs(present, cuts)
    if options.smoothing == "official":
        boxes = _smooth_official(boxes, _runs(present, []), frame_size, options)
    else:
        frames = options.smoothing_frames if options.smoothing == "symmetric" else 1
        boxes = _smooth_symmetric(boxes, runs, frames)
    points = _smooth_symmetric(
        points.reshape(-1, 10), runs, 1 if options.smoothing == "none" else options.smoothing_frames
    ).reshape(-1, 5, 2)
    if options.smoothing != "official":
        padded = pad_boxes(boxes, frame_size, options)
        boxes = pad_tilted(padded, boxes, boxes, points, options)
    return FaceTrack(boxes.astype(np.float32), points.astype(np.float32), scores.astype(np.float32))


def _smooth_official(
    boxes: Float64Array, runs: list[slice], frame_size: tuple[int, int], options: FaceOptions
) -> Float64Array:
    """As Wav2Lip: truncated to integers, padded, then smoothed, across cuts too."""
    result = boxes.copy()
    for run in runs:
        whole = np.trunc(np.clip(boxes[run], 0, None))
        padded = np.trunc(pad_boxes(whole, frame_size, options)).astype(np.int64)
        result[run] = official_moving_average(padded, options.smoothing_frames)
    return result


def _smooth_symmetric(values: Float64Array, runs: list[slice], frames: int) -> Float64Array:
    result = values.copy()
    for run in runs:
        result[run] = symmetric_moving_average(values[run], frames)
    return result


def _runs(present: npt.NDArray[np.bool_], cuts: list[int]) -> list[slice]:
    """Unbroken runs of frames with a face, split at cuts too."""
    breaks = np.flatnonzero(np.diff(present.astype(np.int8))) + 1
    edges = sorted({0, len(present), *breaks.tolist(), *(cut for cut in cuts if cut < len(present))})
    runs = (slice(start, end) for start, end in pairwise(edges))
    return [run for run in runs if present[run.start]]


def official_moving_average(boxes: IntArray, frames: int = 5) -> IntArray:
    """Wav2Lip's `get_smoothened_boxes`, to the bit.

    Each box becomes the mean of itself and the `frames - 1` boxes *after* it, so boxes run ahead of the
    motion. The work is done in place on whole numbers: means are truncated, and the last windows read
    boxes that are smoothed already. Near the end the window is the last `frames` boxes; with fewer boxes
    than that the original's negative index counts from the end, so that 3 boxes and a window of 5 average
    the last 2, and 4 boxes the last 1. All of this is kept.

    Args:
        boxes: int64 (T, n); not changed.
        frames: length of the window.

    Returns:
        int64 (T, n).

    Source: Rudrabha/Wav2Lip, inference.py.
    """
    smoothed = boxes.astype(np.int64, copy=True)
    count = len(smoothed)
    for row in range(count):
        start = count - frames if row + frames > count else row
        smoothed[row] = smoothed[start : start + frames if start == row else None].mean(axis=0)
    return smoothed


def symmetric_moving_average(values: Float64Array, frames: int = 5) -> Float64Array:
    """Centred moving average with triangular weights.

    The window covers `frames` frames (an even number counts as the next odd one) and shrinks
    towards both ends, evenly on either side, so that uniform motion is not shifted.

    Args:
        values: float64 (T, n) without NaN; not changed.

    Returns:
        float64 (T, n).
    """
    count = len(values)
    if count == 0:
        return values.copy()
    most = frames // 2
    rows = np.arange(count)
    reach = np.minimum(most, np.minimum(rows, count - 1 - rows))
    total = np.zeros_like(values)
    weights = np.zeros(count)
    for step in range(-most, most + 1):
        weight = np.clip(reach + 1 - abs(step), 0, None).astype(float)
        total += weight[:, None] * values[np.clip(rows + step, 0, count - 1)]
        weights += weight
    return np.asarray(total / weights[:, None])


def pad_boxes(boxes: Float64Array, frame_size: tuple[int, int] | None, options: FaceOptions) -> Float64Array:
    """Pad boxes by per cent of their size and by pixels, then clip to the frame.

    Negative pads move them inwards, but leave 2 pixels of the box (fewer only in a frame that has fewer).

    Args:
        boxes: float64 (T, 4); NaN rows stay NaN.
        frame_size: width, height of the frame in pixels; None does not clip.
        options: `pad_top`, `pad_bottom`, `pad_left`, `pad_right` (per cent) and `pads_px` are used.

    Returns:
        float64 (T, 4).
    """
    top, bottom, left, right = options.pads_px
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    limits = frame_size or (None, None)
    x1, x2 = _pad_span(
        boxes[:, 0],
        boxes[:, 2],
        left + width * options.pad_left / 100,
        right + width * options.pad_right / 100,
        limits[0],
    )
    y1, y2 = _pad_span(
        boxes[:, 1],
        boxes[:, 3],
        top + height * options.pad_top / 100,
        bottom + height * options.pad_bottom / 100,
        limits[1],
    )
    return np.stack([x1, y1, x2, y2], axis=1)


def pad_tilted(
    padded: Float64Array,
    boxes: npt.NDArray[np.floating],
    unpadded: Float64Array,
    points: npt.NDArray[np.floating],
    options: FaceOptions,
) -> Float64Array:
    """Boxes with those of tilted faces padded along the face, and not clipped to the frame.

    The box of a tilted face has the size that it would have upright, around the same middle, about which
    the crop is rotated (`lipsync.faces.upright`).

    Args:
        padded: (T, 4), returned for upright faces.
        boxes: (T, 4), around whose middles the crops are rotated now.
        unpadded: (T, 4) the same without pads, in the upright face's own directions.
        points: (T, 5, 2) as in `Face`.
        options: as for `pad_boxes`.

    Returns:
        float64 (T, 4).
    """
    rotation = upright_rotation(points)
    result = padded.copy()
    for row in np.flatnonzero(rotation):
        [box] = pad_boxes(unpadded[row : row + 1], None, options)
        before = centre(boxes[row])
        shift = rotation_matrix(float(rotation[row])).T @ (centre(box) - before)
        result[row] = box + np.tile(before + shift - centre(box), 2)
    return result


def _pad_span(
    low: Float64Array, high: Float64Array, before: Float64Array, after: Float64Array, size: int | None
) -> tuple[Float64Array, Float64Array]:
    """Pad and clip one dimension of boxes; all arrays (T,). A `size` of None does not clip."""
    first, last = low - before, high + after
    min_side = _MIN_SIDE if size is None else min(_MIN_SIDE, size)
    middle = np.clip((first + last) / 2, np.minimum(low, high), np.maximum(low, high))
    thin = last - first < min_side
    first, last = np.where(thin, middle - min_side / 2, first), np.where(thin, middle + min_side / 2, last)
    if size is None:
        return first, last
    first = np.clip(first, 0, size - min_side)
    return first, np.maximum(np.clip(last, 0, size), first + min_side)


def fixed_box_track(box: Box, count: int, frame_size: tuple[int, int]) -> FaceTrack:
    """Track with one fixed box, neither padded nor smoothed, as Wav2Lip's `--box`.

    Args:
        box: in pixels of the frame.
        count: number of frames.
        frame_size: width, height of the frame in pixels.

    Raises:
        OptionError: the box is empty, reversed, or not wholly inside the frame.
    """
    top, bottom, left, right = box
    width, height = frame_size
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise OptionError(
            "The fixed face box does not fit into the frame",
            given=f"top {top}, bottom {bottom}, left {left}, right {right}",
            hint=f"The frame is {width} wide and {height} high; top < bottom and left < right.",
        )
    row = np.array([left, top, right, bottom], np.float32)
    points = np.full((count, 5, 2), np.nan, np.float32)
    return FaceTrack(np.tile(row, (count, 1)), points, np.ones(count, np.float32))
