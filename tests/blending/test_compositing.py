"""Compositing: what it changes, and above all what it leaves alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.blending import box_mask, lower_face_mask, paste_box
from lipsync.blending.compositing import (
    alpha_composite,
    channels_last,
    crop_to_mask,
    resize_to_box,
    trim_mask,
)
from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Frame, Mask, PixelBox
from tests.blending.single import blend

BOX = PixelBox(60, 30, 160, 170)
POINTS = np.array([[89, 79], [131, 79], [110, 105], [93, 126], [127, 126]], np.float32)


@pytest.fixture
def frame() -> Frame:
    return np.random.default_rng(0).integers(0, 256, (200, 240, 3), dtype=np.uint8)


@pytest.fixture
def mouth() -> FloatArray:
    return np.random.default_rng(1).random((3, 96, 96), dtype=np.float32)


def paste(frame: Frame, mouth: FloatArray, box: PixelBox, mask: Mask) -> Frame:
    """The steps of a blend that change no colours."""
    mask = trim_mask(mask)
    layer = crop_to_mask(resize_to_box(channels_last(mouth), box), box, mask)
    return alpha_composite(frame, layer, mask) if mask.alpha.size else frame


@pytest.mark.parametrize("kind", ["mouth", "box"])
def test_the_source_is_not_changed(kind: str, frame: Frame, mouth: FloatArray) -> None:
    before = frame.copy()
    blended = blend(frame, mouth, BOX, POINTS, BlendOptions(mask=kind))
    assert blended is not frame and not np.shares_memory(blended, frame)
    np.testing.assert_array_equal(frame, before)
    assert blended.shape == frame.shape and blended.dtype == np.uint8
    assert not np.array_equal(blended, frame)


def test_pixels_outside_of_the_mask_are_equal(frame: Frame, mouth: FloatArray) -> None:
    mask = lower_face_mask(POINTS, BOX, (240, 200), BlendOptions())
    alpha = np.zeros(frame.shape[:2], np.float32)
    alpha[mask.y :, mask.x :][: mask.alpha.shape[0], : mask.alpha.shape[1]] = mask.alpha
    blended = blend(frame, mouth, BOX, POINTS, BlendOptions())
    np.testing.assert_array_equal(blended[alpha == 0], frame[alpha == 0])
    assert (blended[alpha == 1] != frame[alpha == 1]).mean() > 0.9


def test_pixels_outside_of_the_box_are_equal(frame: Frame, mouth: FloatArray) -> None:
    pasted = paste_box(frame, mouth, BOX)
    outside = np.ones(frame.shape[:2], bool)
    outside[30:170, 60:160] = False
    np.testing.assert_array_equal(pasted[outside], frame[outside])


def test_the_whole_box_is_the_official_arithmetic(frame: Frame, mouth: FloatArray) -> None:
    pasted = paste_box(frame, mouth, BOX)
    expected = cv2.resize((mouth.transpose(1, 2, 0) * 255.0).astype(np.uint8), (100, 140))
    np.testing.assert_array_equal(pasted[30:170, 60:160], expected)
    # cut off, not rounded: 0.9999 of 255 is 254
    almost = np.full((3, 96, 96), 0.9999, np.float32)
    assert (paste_box(frame, almost, BOX)[30:170, 60:160] == 254).all()


def test_the_mouth_is_shown_in_its_place_and_colours(frame: Frame) -> None:
    red_left = np.zeros((3, 96, 96), np.float32)
    red_left[0, :, :48] = 1
    pasted = paste(frame, red_left, BOX, box_mask(BOX))
    assert (pasted[30:170, 60:105] == (255, 0, 0)).all()
    assert (pasted[30:170, 115:160] == 0).all()


def test_a_part_of_the_box_shows_the_same_part_of_the_mouth(frame: Frame, mouth: FloatArray) -> None:
    whole = paste(frame, mouth, BOX, box_mask(BOX))
    alpha = np.zeros((50, 40), np.float32)
    alpha[10:30, 5:25] = 1
    pasted = paste(frame, mouth, BOX, Mask(100, 90, alpha))
    np.testing.assert_array_equal(pasted[100:120, 105:125], whole[100:120, 105:125])
    pasted[100:120, 105:125] = frame[100:120, 105:125]
    np.testing.assert_array_equal(pasted, frame)


@pytest.mark.parametrize("strength", [0.25, 0.5])
def test_half_strength_is_in_between(frame: Frame, strength: float) -> None:
    white = np.ones((3, 96, 96), np.float32)
    mask = Mask(BOX[0], BOX[1], np.full((140, 100), strength, np.float32))
    pasted = paste(frame, white, BOX, mask)[30:170, 60:160]
    expected = frame[30:170, 60:160] * (1 - strength) + 255 * strength
    assert np.abs(pasted - expected).max() <= 0.5


def test_nothing_to_show(frame: Frame, mouth: FloatArray) -> None:
    mask = Mask(BOX[0], BOX[1], np.zeros((140, 100), np.float32))
    np.testing.assert_array_equal(paste(frame, mouth, BOX, mask), frame)


def test_cubic_enlarging_does_not_wrap_around(frame: Frame) -> None:
    stripes = np.zeros((3, 96, 96), np.float32)
    stripes[:, :, ::8] = 1
    pasted = paste(frame, stripes, BOX, box_mask(BOX))[30:170, 60:160].astype(int)
    assert np.abs(np.diff(pasted, axis=0)).max() <= 1  # the same down every stripe


@pytest.mark.parametrize(
    "box",
    [PixelBox(*edges) for edges in ((0, 0, 1, 1), (239, 199, 240, 200), (0, 0, 240, 200), (5, 5, 20, 190))],
)
@pytest.mark.parametrize("kind", ["mouth", "box"])
def test_any_box(box: tuple[int, int, int, int], kind: str, frame: Frame, mouth: FloatArray) -> None:
    for points in (POINTS, np.full((5, 2), np.nan, np.float32)):
        blended = blend(frame, mouth, box, points, BlendOptions(mask=kind))
        assert blended.shape == frame.shape


@pytest.mark.parametrize("shape", [(192, 288), (128, 128)])
def test_mouths_of_other_sizes(shape: tuple[int, int], frame: Frame) -> None:
    grey = np.full((3, *shape), 0.5, np.float32)
    assert (paste(frame, grey, BOX, box_mask(BOX))[30:170, 60:160] == 128).all()


def test_a_frame_that_cannot_be_written_to(frame: Frame, mouth: FloatArray) -> None:
    frame.flags.writeable = False  # as frames that come out of a pipe are
    blend(frame, mouth, BOX, POINTS, BlendOptions())
