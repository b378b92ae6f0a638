"""Mouths under masks, text and microphones are left alone, those of bare faces never."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from lipsync.faces.aligned_faces import align_face, encode_aligned_face
from lipsync.faces.detection_schedule import Detection
from lipsync.faces.detectors.centerface import CenterFace
from lipsync.faces.mouth_visibility import covered_frames, is_mouth_covered
from lipsync.types import Face, Frame
from tests.material import FACE

Color = tuple[int, int, int]


@pytest.fixture(scope="module")
def photo() -> Frame:
    return np.asarray(Image.open(FACE).convert("RGB"))


@pytest.fixture(scope="module")
def face(photo: Frame) -> Face:
    return CenterFace().detect([photo])[0][0]


def mask(frame: Frame, face: Face, color: Color) -> Frame:
    """A surgical mask with pleats, from the nose to the chin."""
    assert face.points is not None
    drawn, (left, right), nose = frame.copy(), face.points[:2], face.points[2]
    unit = float(np.linalg.norm(right - left))
    outline = nose + unit * np.array([[-0.8, 0], [0, -0.15], [0.8, 0], [0.75, 0.8], [0, 1.2], [-0.75, 0.8]])
    cv2.fillPoly(drawn, [outline.astype(np.int32)], color)
    for row in (0.3, 0.55, 0.8):
        start, end = (nose + unit * np.array([side, row]) for side in (-0.7, 0.7))
        darker = tuple(int(0.85 * one) for one in color)
        cv2.line(drawn, start.astype(int).tolist(), end.astype(int).tolist(), darker, 2)
    return drawn


def text(frame: Frame, face: Face, color: Color) -> Frame:
    """White letters on a bar across the picture."""
    assert face.points is not None
    drawn, y = frame.copy(), int(face.points[3:, 1].mean())
    height = int(0.45 * np.linalg.norm(face.points[1] - face.points[0]))
    cv2.rectangle(drawn, (0, y - height // 2), (frame.shape[1], y + height // 2), color, -1)
    place, scale = (10, y + height // 3), height / 32
    cv2.putText(drawn, "SUBTITLE TEXT ACROSS THE MOUTH", place, 0, scale, (255, 255, 255), 2, cv2.LINE_AA)
    return drawn


def microphone(frame: Frame, face: Face, color: Color) -> Frame:
    assert face.points is not None
    drawn, middle = frame.copy(), face.points[3:].mean(axis=0).astype(int)
    radius = int(0.45 * np.linalg.norm(face.points[1] - face.points[0]))
    cv2.circle(drawn, middle.tolist(), radius, color, -1, cv2.LINE_AA)
    return cv2.line(drawn, middle.tolist(), (int(middle[0]), frame.shape[0]), color, radius)  # type: ignore[return-value]


COVERINGS: list[tuple[Callable[[Frame, Face, Color], Frame], Color]] = [
    (mask, (140, 190, 215)),
    (mask, (235, 235, 235)),
    (mask, (25, 25, 28)),
    (text, (10, 10, 10)),
    (text, (20, 40, 150)),
    (microphone, (20, 20, 22)),
    (microphone, (140, 140, 145)),
]


@pytest.mark.parametrize(("covering", "color"), COVERINGS)
def test_a_covered_mouth_is_seen(
    photo: Frame, face: Face, covering: Callable[[Frame, Face, Color], Frame], color: Color
) -> None:
    assert is_mouth_covered(align_face(covering(photo, face, color), face))


@pytest.mark.parametrize("gain", [0.4, 0.7, 1.0, 1.3])
def test_a_bare_face_is_not_covered_in_any_light(photo: Frame, face: Face, gain: float) -> None:
    assert not is_mouth_covered(align_face(np.clip(photo * gain, 0, 255).astype(np.uint8), face))


def test_a_face_without_colour_is_not_covered(photo: Frame, face: Face) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert not is_mouth_covered(align_face(np.asarray(grey, np.uint8), face))


def test_an_open_mouth_and_painted_lips_are_not_covered(photo: Frame, face: Face) -> None:
    assert face.points is not None
    middle = face.points[3:].mean(axis=0).astype(int).tolist()
    for color in ((50, 15, 18), (190, 20, 45)):
        drawn = cv2.ellipse(photo.copy(), middle, (22, 12), 0, 0, 360, color, -1, cv2.LINE_AA)
        assert not is_mouth_covered(align_face(np.asarray(drawn, np.uint8), face))


def test_of_three_looks_the_majority_counts(photo: Frame, face: Face) -> None:
    bare, hidden = photo, mask(photo, face, (140, 190, 215))

    def covered(*frames: Frame | None) -> list[int]:
        blank = np.zeros((10, 6, 3), np.uint8)
        looks = [
            Detection(5 * n, face, blank, b"" if frame is None else encode_aligned_face(frame, face))
            for n, frame in enumerate(frames)
        ]
        return np.flatnonzero(covered_frames(looks, 40)).tolist()

    assert covered(bare, hidden, bare) == []
    assert covered(hidden, bare, hidden) == list(range(11))
    assert covered(hidden, None, hidden, None, bare, bare) == list(range(20))
    assert covered(bare, None, bare, None, hidden, hidden) == list(range(20, 26))
    assert covered(hidden) == [0]
    assert covered(None) == []
