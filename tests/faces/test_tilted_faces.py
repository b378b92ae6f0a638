"""Faces that lie, hang or are upside down, found by the real detector."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from lipsync.faces.detectors.centerface import CenterFace
from lipsync.faces.tilted_faces import with_tilted_faces
from lipsync.faces.upright import roll
from lipsync.types import Face, FloatArray, Frame
from tests.faces.fakes import RectangleDetector, backdrop
from tests.material import FACE


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace()


@pytest.fixture(scope="module")
def photo() -> Frame:
    return np.asarray(Image.open(FACE).convert("RGB").resize((256, 256)))


def rotated(photo: Frame, degrees: float) -> tuple[Frame, FloatArray]:
    """The photo rotated clockwise on grey, and the matrix from its pixels to those of the result."""
    matrix = cv2.getRotationMatrix2D((128, 128), -degrees, 0.8)
    matrix[:, 2] += 32
    return np.asarray(cv2.warpAffine(photo, matrix, (320, 320), borderValue=(90, 90, 90)), np.uint8), matrix


@pytest.mark.parametrize("degrees", range(-165, 195, 30))
def test_points_are_right_at_every_tilt(photo: Frame, detector: CenterFace, degrees: int) -> None:
    [upright] = detector.detect([photo])[0][:1]
    assert upright.points is not None
    frame, matrix = rotated(photo, degrees)
    expected = upright.points @ matrix[:, :2].T + matrix[:, 2]
    [guesses] = detector.detect([frame])
    [face] = with_tilted_faces(frame, guesses, detector, 0.5, search=True)
    assert face.points is not None
    size = np.linalg.norm(expected[:2].mean(axis=0) - expected[3:].mean(axis=0))
    assert np.linalg.norm(face.points - expected, axis=1).max() < 0.2 * size
    assert abs(np.angle(np.exp(1j * (roll(face.points) - np.radians(degrees))))) < np.radians(8)
    # The box is as large as that of the upright face.
    extent, before = face.box[2:] - face.box[:2], 0.8 * (upright.box[2:] - upright.box[:2])
    if abs(degrees) > 20:
        np.testing.assert_allclose(extent, before, rtol=0.15)


def test_upright_faces_are_the_detectors_own(photo: Frame, detector: CenterFace) -> None:
    frame, _ = rotated(photo, 12)
    [guesses] = detector.detect([frame])
    faces = with_tilted_faces(frame, guesses, detector, 0.5, search=True)
    assert [id(face) for face in faces] == [id(face) for face in guesses if face.score >= 0.5]


def test_a_face_in_a_crowd_of_upright_ones_is_refined_alone(photo: Frame, detector: CenterFace) -> None:
    lying, _ = rotated(photo, 45)
    standing, _ = rotated(photo, 0)
    frame = np.hstack([lying, standing])
    [guesses] = detector.detect([frame])
    faces = with_tilted_faces(frame, guesses, detector, 0.5, search=False)
    rolls = sorted(float(np.degrees(roll(face.points))) for face in faces if face.points is not None)
    assert rolls == pytest.approx([0, 45], abs=8)


def test_frames_without_a_face_stay_without(detector: CenterFace) -> None:
    frame = backdrop(3, (320, 180))
    [guesses] = detector.detect([frame])
    assert with_tilted_faces(frame, guesses, detector, 0.5, search=True) == []


def test_a_detector_without_landmarks_is_asked_once() -> None:
    detector = RectangleDetector()
    blind = [Face(np.array([10, 10, 30, 30], np.float32), score, None) for score in (0.9, 0.1)]
    frame = backdrop(0)
    assert with_tilted_faces(frame, blind, detector, 0.5, search=True) == blind[:1]
    assert with_tilted_faces(frame, blind[1:], detector, 0.5, search=True) == []
    assert not detector.full_pass_frames
