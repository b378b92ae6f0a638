"""Face tracks: detection and tracking in the reduced video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from lipsync.context import RunContext
from lipsync.devices import choose_device
from lipsync.faces import (
    DETECTORS,
    DetectionCache,
    TrackedFaces,
    VideoShape,
    build_tracks,
    detect_faces,
    detection_key,
    fixed_box_track,
    read_references,
)
from lipsync.media import VideoReader
from lipsync.options import FaceOptions
from lipsync.types import FaceTrack, Frame, IntArray
from lipsync.utils.prefetch import Prefetcher

_READ_AHEAD = 8


def find_face_tracks(
    video: VideoReader,
    numbers: IntArray,
    choices: Sequence[FaceOptions],
    check: Callable[[], None],
    cache: DetectionCache | None,
    context: RunContext,
) -> list[TrackedFaces]:
    """The track of each selected face over the video frames `numbers`.

    Detection takes most of the time; cached detections are reused.

    Args:
        numbers: int64 (n,), consecutive frame numbers.
        choices: face selection of each speaker; one result for each.
        check: called for every frame; an exception that it raises ends the detection.
        cache: of detections; None caches nothing.

    Raises:
        NoFaceError: no face in any frame, or none that is selected.
        OptionError: no shot has as many people as a `face_index` asks for.
        WeightsError, MediaError, Cancelled: as the detector and the reader.
    """
    options, size = context.options, (video.width, video.height)
    faces = options.faces
    if faces.box is not None:
        fixed = TrackedFaces(fixed_box_track(faces.box, len(numbers), size), (), ())
        return [fixed] * len(choices)
    report = context.stage("Finding faces", len(numbers))
    with context.timer("detect"):
        device = choose_device(options.generator.device)
        detector = DETECTORS.create(faces.detector, weights=faces.detector_weights, device=device)
        references = read_references(choices, detector)  # an error in an image shows before the detection
        key = detection_key(video.info.path, numbers, options.media, faces, detector) if cache else None
        detections = cache.get(key) if cache and key else None
        if detections is not None:
            report.advance(len(numbers))
        else:
            with ExitStack() as cleanup:
                reduced = video.read(numbers, max_side=faces.detect_size, cancel=context.cancel)
                frames = cleanup.enter_context(Prefetcher(reduced, _READ_AHEAD, context.cancel, "detect"))
                detections = detect_faces(_checked(frames, check), detector, faces, report)
            if cache and key:
                cache.put(key, detections)
        return build_tracks(
            detections,
            VideoShape(len(numbers), size, video.fps),
            choices=choices,
            references=references,
        )


def _checked(frames: Iterable[Frame], check: Callable[[], None]) -> Iterator[Frame]:
    for frame in frames:
        check()
        yield frame


def empty_track(count: int) -> FaceTrack:
    """A track of `count` frames without a face."""
    boxes, points = np.full((count, 4), np.nan, np.float32), np.full((count, 5, 2), np.nan, np.float32)
    return FaceTrack(boxes, points, np.zeros(count, np.float32))
