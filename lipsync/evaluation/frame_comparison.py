"""A result beside the video it was made of, frame by frame: the whole picture, the drawn part, the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from lipsync.blending import make_mask
from lipsync.errors import InputError, NoFaceError
from lipsync.faces import pixel_box
from lipsync.inspection.faces import track_video_faces
from lipsync.media import VideoReader
from lipsync.metrics.base import Metric, Region
from lipsync.options import BlendOptions, FaceOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import Frame, IntArray

Inside: TypeAlias = Callable[[int, Frame], Region]
"""The pixels that may change, of the source's frame of this number."""
_EDGE = 2  # pixels: colours are stored at half the resolution, so a changed pixel changes its neighbours


@dataclass(frozen=True)
class RegionMetric:
    """A metric and where it looks: "" for the whole picture, "inside" or "outside" of the drawn part."""

    metric: Metric
    where: str = ""


def in_step(result: VideoReader, source: VideoReader, timeline: IntArray | None = None) -> IntArray:
    """The source's frame that each frame of the result shows, (T,).

    Args:
        timeline: from `plan_timeline`, where the result was made by it; may be a frame or two longer
            than the result. None goes by time, and ends with the shorter of the two.
    """
    if timeline is not None:
        return timeline[: result.frame_count]
    times = (np.arange(result.frame_count) + 0.5) / float(result.fps)  # the middle of each frame
    numbers: IntArray = np.floor(times * float(source.fps)).astype(np.int64)
    return np.asarray(numbers[numbers < source.frame_count], np.int64)


def compare(
    result: VideoReader,
    source: VideoReader,
    shown: IntArray,
    watched: Mapping[str, RegionMetric],
    inside: Inside | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> dict[str, float]:
    """Figures by the keys of `watched`.

    Args:
        shown: (T,) from `in_step`.
        inside: see `drawn_parts`; without it, only whole pictures can be watched.

    Raises:
        InputError: the pictures differ in size (but for the row and column that even sizes add).
        MediaError: a file cannot be read.
        Cancelled: the user stopped it.
    """
    cancel = cancel or CancelToken()
    away = max(abs(result.width - source.width), abs(result.height - source.height))
    if away > 1:
        sizes = f"{result.width}x{result.height} and {source.width}x{source.height}"
        raise InputError("Pictures of different sizes cannot be compared", given=sizes)
    size = slice(min(result.height, source.height)), slice(min(result.width, source.width))
    stage = StageProgress("Comparing pictures", len(shown), progress, cancel)
    with (
        closing(result.read(np.arange(len(shown)), cancel=cancel)) as made,
        closing(source.read(shown, cancel=cancel)) as originals,
    ):
        for number, one, other in zip(shown.tolist(), made, originals, strict=True):
            part = inside(number, other)[size] if inside else None
            for each in watched.values():
                each.metric.update(one[size], other[size], _where(each.where, part))
            stage.advance()
    return {key: each.metric.compute() for key, each in watched.items()}


def _where(name: str, inside: Region | None) -> Region | None:
    if not name:
        return None
    assert inside is not None
    return inside if name == "inside" else ~inside


def drawn_parts(
    source: VideoReader,
    faces: FaceOptions,
    blend: BlendOptions,
    device: str = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Inside:
    """Where a run with these options draws in each frame of `source`: nowhere in those without a face.

    The mask's pixels and two around it, which an encoder cannot keep apart from it.

    Raises:
        MediaError, WeightsError, Cancelled: as looking for faces does.
    """
    try:
        track = track_video_faces(source, faces, device, progress, cancel or CancelToken()).track
    except NoFaceError:
        return lambda _, frame: np.zeros(frame.shape[:2], np.bool_)
    present = track.present

    def inside(number: int, frame: Frame) -> Region:
        height, width = frame.shape[:2]
        drawn = np.zeros((height, width), np.uint8)
        box = pixel_box(track.boxes[number], width, height) if present[number] else None
        if box is not None:
            mask = make_mask(frame, box, track.points[number], blend)
            rows, columns = mask.alpha.shape
            drawn[mask.y : mask.y + rows, mask.x : mask.x + columns] = mask.alpha > 0
            drawn = np.asarray(cv2.dilate(drawn, np.ones((2 * _EDGE + 1,) * 2, np.uint8)), np.uint8)
        return drawn.astype(np.bool_)

    return inside
