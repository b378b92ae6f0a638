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
from lipsync.faces.detection_schedule import join_parts
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
    parts: Sequence[range] = (),
) -> list[TrackedFaces]:
    """The track of each selected face over the video frames `numbers`.

    Detection takes most of the time; cached detections are reused.

    Args:
        numbers: int64 (n,), consecutive frame numbers.
        choices: face selection of each speaker; one result for each.
        check: called for every frame; an exception that it raises ends the detection.
        cache: of detections; None caches nothing.
        parts: those of the frames in which faces are searched, with frames in between; by default all.

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
    searched = parts or [range(len(numbers))]

    def decoded(part: range) -> Prefetcher[Frame]:
        shown = numbers[part.start : part.stop]
        reduced = video.read(shown, max_side=faces.detect_size, cancel=context.cancel)
        return Prefetcher(reduced, _READ_AHEAD, context.cancel, "detect")

    report = context.stage("Finding faces", sum(map(len, searched)))
    with context.timer("detect"), ExitStack() as cleanup:
        # The first frames are decoded while torch and the detector are loaded, if they are not known yet.
        first = None if cache else cleanup.enter_context(decoded(searched[0]))
        device = choose_device(options.generator.device)
        detector = DETECTORS.create(faces.detector, weights=faces.detector_weights, device=device)
        references = read_references(choices, detector)  # an error in an image shows before the detection
        read = np.concatenate([numbers[part.start : part.stop] for part in searched])
        key = detection_key(video.info.path, read, options.media, faces, detector) if cache else None
        detections = cache.get(key) if cache and key else None
        if detections is not None:
            report.advance(len(read))
        else:
            found = []
            for part in searched:
                with first if first and part is searched[0] else decoded(part) as frames:
                    found.append((part.start, detect_faces(_checked(frames, check), detector, faces, report)))
            detections = join_parts(found) if parts else found[0][1]
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
