"""Whole-pixel boxes and crops."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.faces import crop_face, pixel_box


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 20, 30, 40), (10, 20, 30, 40)),
        ((10.4, 20.6, 30.4, 40.6), (10, 21, 30, 41)),
        ((0.5, 1.5, 2.5, 3.5), (1, 2, 3, 4)),  # halves all go the same way
        ((-5, -5, 200, 200), (0, 0, 100, 50)),
        ((10, 10, 10.2, 10.2), (10, 10, 11, 11)),  # never empty
        ((300, 300, 400, 400), (99, 49, 100, 50)),
        ((-30, -30, -10, -10), (0, 0, 1, 1)),
    ],
)
def test_pixel_box_is_whole_inside_and_never_empty(box: tuple[float, ...], expected: tuple[int, ...]) -> None:
    assert pixel_box(np.array(box, np.float32), 100, 50) == expected


def test_a_frame_without_a_face_has_no_pixels() -> None:
    with pytest.raises(ValueError, match="finite"):
        pixel_box(np.full(4, np.nan, np.float32), 100, 50)


def test_crop_is_the_box_and_nothing_else() -> None:
    frame = np.zeros((50, 100, 3), np.uint8)
    frame[10:30, 20:60] = (1, 2, 3)
    crop = crop_face(frame, (20, 10, 60, 30), (96, 96))
    assert crop.shape == (96, 96, 3)
    assert crop.dtype == np.uint8
    assert (crop == (1, 2, 3)).all()


def test_crop_is_bilinear_as_in_the_official_program() -> None:
    # bilinear at half size takes the mean of each 2x2 block; an average over 4x4 would not show
    # single pixels this way at a quarter: it takes the 2x2 in the middle of each 4x4
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blocks = frame.reshape(16, 4, 16, 4, 3)[:, 1:3, :, 1:3].astype(float).mean(axis=(1, 3))
    assert np.abs(crop_face(frame, (0, 0, 64, 64), (16, 16)) - blocks).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (2, 2)])
def test_crop_of_a_tiny_frame(size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 9, np.uint8)
    assert (crop_face(frame, (0, 0, *size), (96, 96)) == 9).all()


def test_an_antialiased_crop_loses_no_pixel() -> None:
    """Stripes of one pixel vanish bilinearly at a quarter of the size, and average to grey."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, ::4] = 200
    picked, antialias = (crop_face(frame, (0, 0, 64, 64), (16, 16), kind) for kind in (False, True))
    assert np.all(antialias == 50)
    assert not np.all(picked == 50)
    larger = crop_face(frame, (0, 0, 8, 8), (16, 16), True)
    assert np.array_equal(larger, crop_face(frame, (0, 0, 8, 8), (16, 16)))
