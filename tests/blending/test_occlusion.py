"""Occlusion by a hand or a microphone is detected; speech, head turns and changing light are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync.blending import Blender
from lipsync.blending.occlusion import OcclusionDetector, is_occluded
from lipsync.faces import DETECTORS, VideoShape, crop_face, pixel_box, track_faces
from lipsync.media import open_video
from lipsync.options import BlendOptions, FaceOptions
from lipsync.progress import CancelToken, StageProgress, ignore_progress
from lipsync.types import FloatArray, Frame, PixelBox
from tests.material import SAMPLES

FPS = 25
Shot = tuple[list[Frame], list[PixelBox], FloatArray]


def follow(path: Path, count: int) -> Shot:
    """The first frames, and the face's box and points in each."""
    picture = open_video(path)
    numbers = np.arange(min(count, picture.frame_count))
    frames = list(picture.read(numbers))
    size = picture.width, picture.height
    track = track_faces(
        list(picture.read(numbers, max_side=480)),
        VideoShape(len(frames), size, picture.fps),
        detector=DETECTORS.create("centerface"),
        options=FaceOptions(),
        progress=StageProgress("faces", len(frames), ignore_progress, CancelToken()),
    ).track
    assert track.present.all()
    return frames, [pixel_box(box, *size) for box in track.boxes], track.points


@pytest.fixture(scope="module")
def talking() -> Shot:
    """Two seconds of the sample face, speaking and moving."""
    return follow(SAMPLES / "talk.mp4", 50)


def covered(frame: Frame, box: PixelBox, kind: str, rise: float) -> Frame:
    """The frame with something in front of the mouth, risen from below by `rise`, 0..1."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    centre = round((x1 + x2) / 2), round(y1 + (1.5 - 0.8 * rise) * height)
    picture, soft = frame.copy(), max(1, width // 60) | 1
    if kind == "microphone":
        cv2.ellipse(picture, centre, (width // 4, height // 5), 0, 0, 360, (28, 28, 32), -1)
        cv2.rectangle(
            picture,
            (centre[0] - width // 12, centre[1]),
            (centre[0] + width // 12, y2 + height),
            (28, 28, 32),
            -1,
        )
    else:  # a hand in the shade of the face
        skin = 0.62 * frame[y1 + height // 2, x1 + width // 4].astype(float)
        cv2.ellipse(picture, centre, (int(0.42 * width), int(0.24 * height)), 0, 0, 360, skin.tolist(), -1)
    return np.asarray(cv2.GaussianBlur(picture, (soft, soft), 0) if rise else frame, np.uint8)


def free(frames: Sequence[Frame], boxes: Sequence[PixelBox]) -> FloatArray:
    finder = OcclusionDetector(FPS)
    crops = (crop_face(frame, box, (128, 128), True) for frame, box in zip(frames, boxes, strict=True))
    return np.array([finder.visibility(crop) for crop in crops], np.float32)


def in_front(shot: Shot, kind: str) -> list[Frame]:
    """From frame 20 something rises within 5 frames, and it has gone again from frame 40."""
    rise = np.clip(np.minimum((np.arange(len(shot[0])) - 19) / 5, (40 - np.arange(len(shot[0]))) / 5), 0, 1)
    return [covered(*of, kind, float(r)) for *of, r in zip(shot[0], shot[1], rise, strict=True)]


def test_a_talking_and_moving_face_is_visible(talking: Shot) -> None:
    assert free(*talking[:2]).min() == 1


@pytest.mark.parametrize("kind", ["microphone", "hand"])
def test_an_occlusion_is_detected(talking: Shot, kind: str) -> None:
    shown = free(in_front(talking, kind), talking[1])
    assert shown[:20].min() == 1
    assert shown[26:36].max() == 0  # fully in front
    assert shown[46:].min() == 1
    assert np.abs(np.diff(shown)).max() < 0.7  # comes and goes in steps
    assert np.count_nonzero((shown > 0) & (shown < 1)) >= 4


def test_the_frame_passes_through_where_the_mouth_is_occluded(talking: Shot) -> None:
    frames, mouth = in_front(talking, "microphone"), np.full((3, 128, 128), 0.5, np.float32)
    for options, passes in ((BlendOptions(), True), (BlendOptions(occlusion=False), False)):
        blender = Blender(options, FPS)
        results = [
            blender.blend(frame, mouth, box, points)
            for frame, box, points in zip(frames, talking[1], talking[2], strict=True)
        ]
        for frame, (result, mask) in list(zip(frames, results, strict=True))[26:36]:
            assert (result is frame) == passes and (mask is None) == passes
        assert all(mask is not None for _, mask in results[:20])


def test_occlusion_is_detected_also_while_nothing_is_blended(talking: Shot) -> None:
    """As the voice gate asks: the colours of a frame that passes through are learned all the same."""
    frames, mouth = in_front(talking, "microphone"), np.full((3, 128, 128), 0.5, np.float32)
    blender = Blender(BlendOptions(), FPS)
    for n in range(30):
        result, _ = blender.blend(frames[n], mouth, talking[1][n], talking[2][n], weight=float(n >= 28))
        assert result is frames[n]


def test_a_reset_forgets_the_shot_before(talking: Shot) -> None:
    frames, boxes, points = talking
    blender, mouth = Blender(BlendOptions(), FPS), np.full((3, 128, 128), 0.5, np.float32)
    for n in range(10):
        blender.blend(frames[n], mouth, boxes[n], points[n])
    other = covered(frames[10], boxes[10], "microphone", 1.0)  # whatever is there in the new shot
    blender.reset()
    assert blender.blend(other, mouth, boxes[10], points[10])[1] is not None
    assert blender.blend(other, mouth, boxes[10], points[10])[1] is not None


def test_a_change_of_light_is_no_occlusion(talking: Shot) -> None:
    frames, boxes, _ = talking
    dimmed = [np.asarray(frame * (1 if n < 25 else 0.55), np.uint8) for n, frame in enumerate(frames)]
    assert free(dimmed, boxes).min() == 1


def test_a_change_of_the_whole_face_is_no_occlusion() -> None:
    """The head has turned, or it is another face: as in a cut that was missed."""
    change = np.zeros((16, 16, 3), np.float32)
    change[9:, ::2, 1] = 40
    assert is_occluded(change)
    change[:9, ::2, 1] = 40
    change[:, 1::2, 1] = -40
    assert not is_occluded(change)


def test_an_occlusion_goes_on_while_the_head_moves_behind_it() -> None:
    """Less change is enough to stay occluded than to become so."""
    change = np.zeros((16, 16, 3), np.float32)
    change[9:12, 4:12, 1] = 14  # half of the lower face
    assert not is_occluded(change)
    assert is_occluded(change, before=True)
    change[9:12, 4:12, 1] = 8
    assert not is_occluded(change, before=True)


def test_a_lasting_change_is_learned(talking: Shot) -> None:
    frames, boxes, _ = talking
    bearded = [covered(frames[n % 10], boxes[n % 10], "hand", float(n >= 10)) for n in range(600)]
    shown = free(bearded, [boxes[n % 10] for n in range(600)])
    assert shown[20] == 0 and shown[-1] == 1


@pytest.mark.parametrize("name", ["grid_s1__bbaf2n.mp4", "celebvhq_M2Ohb0FAaJU__M2Ohb0FAaJU_1.mp4"])
def test_no_false_alarm_on_real_clips(name: str, clip: Callable[[str], Path]) -> None:
    frames, boxes, _ = follow(clip(name), 60)
    assert free(frames, boxes).min() == 1
