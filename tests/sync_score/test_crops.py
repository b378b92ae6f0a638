from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from lipsync.sync_score import crop_lower_face
from lipsync.training.data.clip_extraction import crop_face_with_margin
from lipsync.training.data.dataset_format import MARGIN, SIDE, resize_images
from lipsync.types import Frame
from tests.material import FACE


@pytest.fixture(scope="module")
def photo() -> Frame:
    return np.asarray(cv2.imread(str(FACE))[..., ::-1].copy(), np.uint8)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("shift", [0.0, 0.37])
def test_the_crop_matches_that_of_the_training_set(photo: Frame, scale: float, shift: float) -> None:
    """Against a stored 128-pixel crop with its margin, without the compression."""
    frame = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    box = np.array([170, 60, 300, 230], np.float32) * scale + shift
    inside = slice(MARGIN, MARGIN + SIDE)
    trained = resize_images(crop_face_with_margin(frame, box, SIDE)[inside, inside][None], (96, 96))[0, 48:]
    crop = crop_lower_face(frame, box)
    assert crop.shape == (48, 96, 3) and crop.dtype == np.uint8
    assert np.abs(crop.astype(int) - trained).mean() < 3


def test_a_small_face_moves_with_subpixel_steps(photo: Frame) -> None:
    """A box that drifts over a still image must not make the crop jump."""
    crops = [crop_lower_face(photo, (170 + d, 60, 260 + d, 170)).astype(int) for d in np.arange(0, 1, 0.1)]
    steps = [np.abs(one - other).mean() for one, other in pairwise(crops)]
    assert max(steps) < 2.5 * min(steps)


@pytest.mark.parametrize("box", [(-50, -50, 20, 20), (630, 10, 700, 90), (10, 10, 11, 11), (5, 5, 5, 5)])
def test_any_box_gives_a_crop(photo: Frame, box: tuple[int, int, int, int]) -> None:
    assert crop_lower_face(photo, box).shape == (48, 96, 3)
    assert crop_lower_face(photo, tuple(8 * edge for edge in box)).shape == (48, 96, 3)
