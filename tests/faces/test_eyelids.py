"""Blinks in a still picture, on a real photo and on eyes drawn by hand."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from lipsync.faces.eyelids import close_lid, eye_box, find_eyes
from tests.material import FACE

POINTS = np.array([[206, 100], [249, 105], [226, 126], [205, 143], [241, 147]], np.float32)
"""Of the sample photo, within a few pixels."""


def drawn(
    *, glasses: bool = False, closed: bool = False
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Two eyes 80 pixels apart."""
    image = np.full((200, 240, 3), (205, 170, 150), np.uint8)
    points = np.array([[80, 100], [160, 100], [120, 140], [95, 165], [145, 165]], np.float32)
    for x in (80, 160):
        cv2.ellipse(image, (x, 78), (18, 4), 0, 0, 360, (90, 60, 40), -1)
        if not closed:
            cv2.ellipse(image, (x, 100), (17, 7), 0, 0, 360, (245, 240, 235), -1)
            cv2.circle(image, (x, 100), 7, (60, 40, 30), -1)
            cv2.ellipse(image, (x, 100), (17, 7), 0, 180, 360, (50, 30, 25), 2)
        if glasses:
            cv2.rectangle(image, (x - 30, 85), (x + 30, 122), (20, 20, 20), 3)
            cv2.line(image, (110, 98), (130, 98), (20, 20, 20), 3)
    return cv2.GaussianBlur(image, (0, 0), 1).astype(np.uint8), points


def test_lids_of_a_photo_are_found_and_close_over_the_iris() -> None:
    photo = np.asarray(Image.open(FACE).convert("RGB"))
    eyes = find_eyes(photo, POINTS)
    assert len(eyes) == 2
    for eye, point in zip(eyes, POINTS, strict=False):
        assert np.hypot(*(np.array(eye.middle) - point)) < 6
        x, y = (round(value) for value in eye.middle)
        closed = close_lid(photo, eye, 1.0)
        iris = (slice(y - 1, y + 2), slice(x - 1, x + 2))
        assert closed[iris].mean() > photo[iris].mean() + 30  # skin, where the dark iris was
        assert np.array_equal(close_lid(photo, eye, 0.0), photo)
        # Nothing is painted: every colour is one of the skin above, and the rest of the photo stays.
        box = eye_box(eye, (photo.shape[1], photo.shape[0]))
        outside = np.ones(photo.shape[:2], bool)
        outside[box.y1 : box.y2, box.x1 : box.x2] = False
        assert np.array_equal(closed[outside], photo[outside])


def test_a_lid_moves_down_step_by_step() -> None:
    image, points = drawn()
    eye = find_eyes(image, points)[0]
    column = [close_lid(image, eye, closure)[93:108, 80].mean() for closure in (0.0, 0.35, 0.7, 1.0)]
    assert column == sorted(column) and column[-1] > column[0] + 40


@pytest.mark.parametrize("case", ["closed", "glasses", "small", "unknown"])
def test_what_cannot_blink_well_does_not(case: str) -> None:
    image, points = drawn(glasses=case == "glasses", closed=case == "closed")
    if case == "small":
        image, points = image[::5, ::5], points / 5
    if case == "unknown":
        points = np.full_like(points, np.nan)
    assert find_eyes(image, points) == ()


def test_eyes_of_a_large_tilted_face_are_found() -> None:
    image, points = drawn()
    matrix = cv2.getRotationMatrix2D((120, 100), 15, 4.0)
    matrix[:, 2] += (380, 320)
    large = cv2.warpAffine(image, matrix, (1000, 840), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    moved = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    eyes = find_eyes(large, moved)
    assert len(eyes) == 2
    for eye, point in zip(eyes, moved, strict=False):
        assert np.hypot(*(np.array(eye.middle) - point)) < 12
        assert -0.13 < eye.upper < -0.05 and 0.04 < eye.lower < 0.13
