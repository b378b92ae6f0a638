"""Pictures of people are told from people, however the camera moves."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from lipsync.faces.aligned_faces import encode_aligned_face
from lipsync.faces.detection_schedule import Detection
from lipsync.faces.detectors.centerface import CenterFace
from lipsync.faces.facial_motion import facial_motion, pictures
from lipsync.types import Face, Frame
from tests.material import FACE

BLANK = np.zeros((10, 6, 3), np.uint8)
Change = Callable[[Frame, Face, int], Frame]


@pytest.fixture(scope="module")
def photo() -> Frame:
    return np.asarray(Image.open(FACE).convert("RGB").resize((320, 320)))


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace()


def shaken(frame: Frame, face: Face, number: int) -> Frame:
    """As a camera in the hand sees a poster: moved, rotated, nearer, a little noisy."""
    matrix = cv2.getRotationMatrix2D((160, 160), 3 * np.sin(number), 1 + 0.04 * np.cos(number))
    matrix[:, 2] += 6 * np.sin(2 * number), 4 * np.cos(3 * number)
    moved = cv2.warpAffine(frame, matrix, (320, 320), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    noise = np.random.default_rng(number).normal(0, 2, moved.shape)
    return np.clip(moved + noise, 0, 255).astype(np.uint8)


def same(frame: Frame, face: Face, number: int) -> Frame:
    return frame


def speaking(frame: Frame, face: Face, number: int) -> Frame:
    """A mouth that is open in every second frame."""
    assert face.points is not None
    drawn = frame.copy()
    if number % 2:
        corners = face.points[3:]
        middle = corners.mean(axis=0) + np.array([0, 4])
        axes = (int(np.linalg.norm(corners[1] - corners[0]) / 2), 10)
        cv2.ellipse(drawn, tuple(int(one) for one in middle), axes, 0, 0, 360, (60, 20, 20), -1)
    return drawn


def detections(photo: Frame, detector: CenterFace, *changes: Change) -> list[Detection]:
    [original] = detector.detect([photo])[0][:1]
    found = []
    for number in range(4):
        frame = photo
        for change in changes:
            frame = change(frame, original, number)
        [face] = detector.detect([frame])[0][:1]
        found.append(Detection(25 * number, face, BLANK, encode_aligned_face(frame, face)))
    return found


def test_pictures_do_not_move_however_the_camera_does(photo: Frame, detector: CenterFace) -> None:
    hung, filmed, person, walking = (
        detections(photo, detector, *changes)
        for changes in ((same,), (shaken,), (speaking,), (speaking, shaken))
    )
    assert facial_motion(hung) < 0.01
    assert facial_motion(filmed) < 0.25 < facial_motion(person)
    assert pictures([hung, person]) == [True, False]
    assert pictures([filmed, walking]) == [True, False]
    assert pictures([person, walking]) == [False, False]


def test_where_nobody_moves_pictures_are_people(photo: Frame, detector: CenterFace) -> None:
    hung = detections(photo, detector, same)
    assert pictures([hung, hung]) == [False, False]
    once = hung[:1]  # seen too briefly to tell
    assert np.isnan(facial_motion(once))
    assert pictures([once, detections(photo, detector, speaking)]) == [False, False]
