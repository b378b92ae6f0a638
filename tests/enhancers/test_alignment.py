"""Alignment equals facexlib's, and its inverse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.enhancers.alignment import (
    TEMPLATE,
    covered_box,
    estimate_alignment,
    scale_of,
    warp_to_frame,
    warp_to_template,
)
from lipsync.enhancers.loaders import import_network_class
from lipsync.types import FloatArray, Frame, PixelBox
from tests.enhancers.packages import needs_gfpgan
from tests.material import FACE

UNKNOWN = np.full((5, 2), np.nan, np.float32)


@pytest.fixture(scope="module")
def frame() -> Frame:
    return np.asarray(cv2.cvtColor(cv2.imread(str(FACE)), cv2.COLOR_BGR2RGB))


def face_at(x: float, y: float, scale: float, degrees: float = 0.0) -> tuple[FloatArray, PixelBox]:
    """Points of somebody who is not quite the template, and the box around them."""
    turn = np.deg2rad(degrees)
    turned = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    off = np.random.default_rng(5).normal(0, 4, (5, 2))
    points = ((TEMPLATE + off - 256) * scale) @ turned.T + (x, y)
    box = PixelBox(int(x - 150 * scale), int(y - 180 * scale), int(x + 150 * scale), int(y + 220 * scale))
    return points.astype(np.float32), box


@needs_gfpgan
@pytest.mark.parametrize("degrees", [0, -25, 50])
@pytest.mark.parametrize("scale", [0.1, 0.4, 0.9])
def test_equals_facexlib(frame: Frame, scale: float, degrees: float) -> None:
    import_network_class("gfpgan", "gfpgan")  # brings facexlib in, with what it needs
    from facexlib.utils.face_restoration_helper import FaceRestoreHelper

    points, box = face_at(260, 250, scale, degrees)
    theirs = object.__new__(FaceRestoreHelper)  # its constructor downloads two networks
    theirs.clean_all()
    theirs.face_template, theirs.face_size, theirs.pad_blur = TEMPLATE, (512, 512), False
    theirs.input_img, theirs.all_landmarks_5 = np.ascontiguousarray(frame[..., ::-1]), [points]
    theirs.align_warp_face()
    ours = estimate_alignment(points, box)
    np.testing.assert_allclose(ours, theirs.affine_matrices[0], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(warp_to_template(frame, ours), theirs.cropped_faces[0][..., ::-1])


@pytest.mark.parametrize("missing", [slice(0, 5), slice(2, 3)])
def test_missing_landmarks_are_replaced_by_the_box(missing: slice) -> None:
    points, box = face_at(260, 250, 0.6)
    exact = estimate_alignment(points, box)
    points[missing] = np.nan
    guessed = estimate_alignment(points, box)
    assert guessed[0, 1] == guessed[1, 0] == 0  # upright
    inverse = cv2.invertAffineTransform(guessed)
    mouth = inverse[:, :2] @ TEMPLATE[3:].mean(axis=0) + inverse[:, 2]
    assert np.hypot(*(mouth - face_at(260, 250, 0.6)[0][3:].mean(axis=0))) < 40
    assert 0.6 < scale_of(guessed) / scale_of(exact) < 1.6


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((5, 2), np.float32),  # all in one place
        TEMPLATE.astype(np.float32) + 5000,  # somewhere else
        (TEMPLATE * 0.02 + 250).astype(np.float32),  # far too small for the box
        TEMPLATE.astype(np.float32)[[0, 0, 0, 0, 0]],
    ],
)
def test_implausible_landmarks_are_replaced_by_the_box(points: FloatArray) -> None:
    box = PixelBox(100, 100, 400, 420)
    np.testing.assert_array_equal(estimate_alignment(points, box), estimate_alignment(UNKNOWN, box))


def test_a_single_pixel_is_a_box() -> None:
    assert np.isfinite(estimate_alignment(UNKNOWN, PixelBox(5, 5, 6, 6))).all()


def test_there_and_back(frame: Frame) -> None:
    points, box = face_at(260, 250, 0.7, 10)
    matrix = estimate_alignment(points, box)
    x1, y1, x2, y2 = part = PixelBox(200, 200, 320, 330)
    back = warp_to_frame(warp_to_template(frame, matrix).astype(np.float32), matrix, part)
    assert back.shape == (130, 120, 3)
    blurred = cv2.GaussianBlur(frame, (0, 0), 0.7)[y1:y2, x1:x2]  # resizing twice costs some sharpness
    assert np.abs(back - blurred).mean() < 3


def test_beyond_the_aligned_face_there_is_nothing(frame: Frame) -> None:
    matrix = estimate_alignment(*face_at(260, 250, 0.2))
    whole = PixelBox(0, 0, frame.shape[1], frame.shape[0])
    placed = warp_to_frame(np.ones((512, 512), np.float32), matrix, whole)
    x1, y1, x2, y2 = covered_box(matrix, whole[2:])
    assert 0 < x1 < x2 < whole[2] and 0 < y1 < y2 < whole[3]
    assert placed[(y1 + y2) // 2, (x1 + x2) // 2] == pytest.approx(1, abs=1e-3)
    placed[y1:y2, x1:x2] = 0
    assert not placed.any()


def test_a_large_face_does_not_alias() -> None:
    """Lines of a pixel's width become grey; picked bilinearly they would flicker."""
    stripes = np.zeros((1600, 1600, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = estimate_alignment(*face_at(800, 800, 2.7))
    aligned = warp_to_template(stripes, matrix)[40:-40, 40:-40]
    assert 120 < aligned.mean() < 135 and aligned.std() < 12
