"""Frame-by-frame comparison of a result with its source.

Metrics are measured on whole frames, in the generated region, and outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from lipsync.blending import make_mask
from lipsync.errors import InputError, NoFaceError
from lipsync.faces import UprightView, pixel_box
from lipsync.inspection.faces import track_video_faces
from lipsync.media import VideoReader
from lipsync.metrics.base import Metric, Region
from lipsync.options import BlendOptions, FaceOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import FloatArray, Frame, IntArray, Mask

RegionFunction: TypeAlias = Callable[[int, Frame], Region]
"""Number and pixels of a source frame -> the region that may change in it."""
_EDGE = 2  # pixels: chroma is stored at half resolution, so a changed pixel affects its neighbours


@dataclass(frozen=True)
class RegionMetric:
    """A metric and the region that it is measured in.

    Attributes:
        region: "" for whole frames, "inside" or "outside" of the generated region.
    """

    metric: Metric
    region: str = ""


def match_frames(result: VideoReader, source: VideoReader, timeline: IntArray | None = None) -> IntArray:
    """The source frame that each frame of the result shows.

    Args:
        timeline: from `plan_timeline`, if the result was made with it; it may be a frame or two longer
            than the result. None matches by time, up to the end of the shorter video.

    Returns:
        int64 (T,) frame numbers.
    """
    if timeline is not None:
        return timeline[: result.frame_count]
    times = (np.arange(result.frame_count) + 0.5) / float(result.fps)  # the middle of each frame
    numbers: IntArray = np.floor(times * float(source.fps)).astype(np.int64)
    return np.asarray(numbers[numbers < source.frame_count], np.int64)


def compare_frames(
    result: VideoReader,
    source: VideoReader,
    matches: IntArray,
    metrics: Mapping[str, RegionMetric],
    region: RegionFunction | None = None,
    progress: StageProgress | None = None,
) -> dict[str, float]:
    """Measure metrics over all frames; returns their values by the keys of `metrics`.

    Args:
        result, source: the videos.
        matches: (T,) from `match_frames`.
        region: from `generated_region`; without it all metrics are on whole frames.
        progress: advanced by one a frame; carries the cancel token.

    Raises:
        InputError: the frame sizes differ (by more than the row and column that even sizes add).
        MediaError: a file cannot be read.
        Cancelled: the token was cancelled.
    """
    progress = progress or StageProgress("Comparing frames", len(matches))
    difference = max(abs(result.width - source.width), abs(result.height - source.height))
    if difference > 1:
        sizes = f"{result.width}x{result.height} and {source.width}x{source.height}"
        raise InputError("Frames of different sizes cannot be compared", given=sizes)
    common = slice(min(result.height, source.height)), slice(min(result.width, source.width))
    with (
        closing(result.read(np.arange(len(matches)), cancel=progress.cancel)) as result_frames,
        closing(source.read(matches, cancel=progress.cancel)) as source_frames,
    ):
        frames = zip(matches.tolist(), result_frames, source_frames, strict=True)
        for number, result_frame, source_frame in frames:
            inside = region(number, source_frame)[common] if region else None
            for each in metrics.values():
                each.metric.update(result_frame[common], source_frame[common], _select(each.region, inside))
            progress.advance()
    return {key: each.metric.compute() for key, each in metrics.items()}


def _select(name: str, inside: Region | None) -> Region | None:
    if not name:
        return None
    assert inside is not None
    return inside if name == "inside" else ~inside


def generated_region(
    source: VideoReader,
    faces: FaceOptions,
    blend: BlendOptions,
    device: str = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> RegionFunction:
    """The region that a run with these options changes in each frame of `source`; empty without a face.

    The pixels of the mask and two around it, which chroma subsampling cannot separate from it.

    Raises:
        MediaError, WeightsError, Cancelled: as `track_video_faces`.
    """
    try:
        track = track_video_faces(source, faces, device, progress, cancel or CancelToken()).track
    except NoFaceError:
        return lambda _, frame: np.zeros(frame.shape[:2], np.bool_)
    present = track.present

    def region(number: int, frame: Frame) -> Region:
        height, width = frame.shape[:2]
        pixels = np.zeros((height, width), np.uint8)
        if present[number]:
            mask = _mask(frame, track.boxes[number], track.points[number], blend)
            rows, columns = mask.alpha.shape
            pixels[mask.y : mask.y + rows, mask.x : mask.x + columns] = mask.alpha > 0
            pixels = np.asarray(cv2.dilate(pixels, np.ones((2 * _EDGE + 1,) * 2, np.uint8)), np.uint8)
        return pixels.astype(np.bool_)

    return region


def _mask(frame: Frame, box: FloatArray, points: FloatArray, options: BlendOptions) -> Mask:
    size = (frame.shape[1], frame.shape[0])
    view = UprightView.of(box, points, size)
    if view is None:
        return make_mask(frame, pixel_box(box, *size), points, options)
    upright = view.read(frame, (0, 0))
    return view.mask_in_frame(make_mask(upright, view.box, view.points(points), options))
