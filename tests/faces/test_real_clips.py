"""Tracking of real people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pytest

from lipsync.faces import DETECTORS, FaceDetector, TrackedFaces, VideoShape, reduced_size, track_faces
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import Frame

Clip: TypeAlias = Callable[[str], Path]

SINGLE = (
    "grid_s1__bbaf2n.mp4",
    "syncnet_example__example.mp4",
    "visualvoice_restaurant__noisy_restaurant.mp4",
    "latentsync_demo1__demo1_video.mp4",
    "edtalk_pose_source2__pose_source2.mp4",
)
COUNT = 50


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return DETECTORS.create("centerface")


def read(path: Path, count: int = COUNT, longest: int = 480) -> tuple[list[Frame], tuple[int, int]]:
    video = cv2.VideoCapture(str(path))
    full = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    frames = []
    while len(frames) < count:
        told, frame = video.read()
        assert told, path
        small = cv2.resize(frame, reduced_size(*full, longest), interpolation=cv2.INTER_AREA)
        frames.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    return frames, full


def run(detector: FaceDetector, frames: list[Frame], full: tuple[int, int], **settings: Any) -> TrackedFaces:
    return track_faces(
        iter(frames),
        VideoShape(len(frames), full, 25),
        detector=detector,
        options=FaceOptions(**settings),
        progress=StageProgress("Finding faces", len(frames)),
    )


@pytest.mark.parametrize("name", SINGLE)
def test_one_person_is_tracked_in_every_frame_and_nobody_else(
    clip: Clip, detector: FaceDetector, name: str
) -> None:
    frames, full = read(clip(name))
    tracked = run(detector, frames, full)
    assert tracked.track.present.mean() >= 0.95
    assert tracked.cuts == ()
    assert len(tracked.identities) == 1
    boxes = tracked.track.boxes[tracked.track.present]
    nose = tracked.track.points[tracked.track.present][:, 2]
    assert ((nose > boxes[:, :2]) & (nose < boxes[:, 2:])).all()


@pytest.mark.parametrize("name", ["visualvoice_interview__interview.mp4", "cvs_001__001.mp4"])
def test_two_people_are_separated_in_every_frame(clip: Clip, detector: FaceDetector, name: str) -> None:
    frames, full = read(clip(name))
    left = run(detector, frames, full, which_face="index", face_index=0)
    right = run(detector, frames, full, which_face="index", face_index=1)
    assert [(person.index, person.frames) for person in left.identities] == [(0, COUNT), (1, COUNT)]
    assert left.track.present.all()
    assert right.track.present.all()
    assert (left.track.boxes[:, 2] < right.track.boxes[:, 0]).all()  # no frame mixes them up
    x, y = (left.identities[1].box[:2] + left.identities[1].box[2:]) / 2 / full
    at_point = run(
        detector, frames, full, which_face="point", face_x=float(x), face_y=float(y), face_time=1.0
    )
    np.testing.assert_array_equal(at_point.track.boxes, right.track.boxes)


def test_symmetric_smoothing_reduces_jitter_of_a_real_face(clip: Clip, detector: FaceDetector) -> None:
    frames, full = read(clip("syncnet_example__example.mp4"))
    raw = run(detector, frames, full, smoothing="none", detect_every=1).track.boxes
    smooth = run(detector, frames, full, smoothing="symmetric", detect_every=1).track.boxes
    assert np.abs(np.diff(smooth, 2, axis=0)).mean() < 0.4 * np.abs(np.diff(raw, 2, axis=0)).mean()
    assert np.abs(smooth - raw).mean() < 0.02 * (raw[0, 2] - raw[0, 0])


def test_sampling_every_fifth_frame_loses_little(clip: Clip, detector: FaceDetector) -> None:
    frames, full = read(clip("celebvhq_M2Ohb0FAaJU__M2Ohb0FAaJU_1.mp4"))
    every, fifth = (run(detector, frames, full, smoothing="none", detect_every=n) for n in (1, 5))
    assert len(fifth.face_counts) <= COUNT // 2
    size = every.track.boxes[0, 2] - every.track.boxes[0, 0]
    assert np.abs(every.track.boxes - fifth.track.boxes).mean() < 0.02 * size


def test_a_cut_between_two_people_is_found_to_the_frame(clip: Clip, detector: FaceDetector) -> None:
    first, full = read(clip("syncnet_example__example.mp4"), 23)
    second, _ = read(clip("edtalk_pose_source2__pose_source2.mp4"), 27)
    second = [cv2.resize(frame, first[0].shape[1::-1]) for frame in second]
    tracked = run(detector, first + second, full)
    assert tracked.cuts == (23,)
    assert tracked.track.present.all()
    assert [round(person.seconds * 25) for person in tracked.identities] == [0, 23]


def test_a_face_that_fills_the_frame_is_found(clip: Clip, detector: FaceDetector) -> None:
    frames, _full = read(clip("grid_s1__bbaf2n.mp4"), 5)
    x1, y1, x2, y2 = run(detector, frames, frames[0].shape[1::-1]).track.boxes[0].astype(int)
    for side in (96, 224, 512):
        filled = [cv2.resize(frame[y1:y2, x1:x2], (side, side)) for frame in frames]
        assert run(detector, filled, (side, side)).track.present.all()
