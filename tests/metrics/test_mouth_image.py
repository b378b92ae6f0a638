"""Sharpness and contrast of drawn mouths."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.generators.builtin.outline_points import INNER, OUTER
from lipsync.metrics.mouth_image import (
    at_like_openings,
    box_sharpness,
    lightness_range,
    lip_sharpness,
    mouth_box,
)
from lipsync.types import FloatArray, Frame


def mouth(gap: float = 16) -> tuple[Frame, FloatArray]:
    """A face-coloured frame with textured lips, teeth and a dark throat, and its outline."""
    outline = np.zeros((49, 2), np.float32)
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for points, wide, high in ((OUTER, 40, gap / 2 + 10), (INNER, 30, gap / 2)):
        outline[points] = np.stack([100 - wide * np.cos(turn), 80 + high * np.sin(turn)], 1)
    outline[40:, 0], outline[40:, 1] = np.linspace(60, 140, 9), 140
    grain = np.random.default_rng(0).normal(0, 12, (160, 200, 1))
    frame = np.clip(np.array([190, 140, 120]) + grain, 0, 255).astype(np.uint8)
    cv2.fillPoly(frame, [np.round(outline[INNER]).astype(np.int32)], (30, 10, 10))
    upper = [*outline[INNER][10:], outline[INNER][0]]
    cv2.fillPoly(frame, [np.round(upper).astype(np.int32)], (240, 235, 230))
    return frame, outline


@pytest.mark.parametrize("measure", [lip_sharpness, box_sharpness])
def test_blur_lowers_the_sharpness(measure: object) -> None:
    assert callable(measure)
    frame, outline = mouth()
    sharp, soft = measure(frame, outline), measure(cv2.GaussianBlur(frame, (0, 0), 1.5), outline)
    assert soft < 0.3 * sharp


def test_only_the_lips_count() -> None:
    frame, outline = mouth()
    elsewhere = frame.copy()
    elsewhere[:50] = 0
    elsewhere[130:] = 0
    assert lip_sharpness(elsewhere, outline) == lip_sharpness(frame, outline)


def test_teeth_and_dark_have_a_wide_range_and_grey_has_none() -> None:
    frame, outline = mouth()
    assert lightness_range(frame, outline) > 70
    cv2.fillPoly(frame, [np.round(outline[INNER]).astype(np.int32)], (120, 110, 105))
    assert lightness_range(frame, outline) < 3


def test_a_closed_mouth_has_no_inside() -> None:
    frame, outline = mouth(gap=1)
    assert np.isnan(lightness_range(frame, outline))


def test_an_unknown_mouth_has_no_figures() -> None:
    frame, outline = mouth()
    outline[3] = np.nan
    assert np.isnan([m(frame, outline) for m in (lip_sharpness, box_sharpness, lightness_range)]).all()


def test_boxes_stay_within_the_frame() -> None:
    frame, outline = mouth()
    for shift in ((0, 0), (90, 60), (-80, -70), (500, 500)):
        box = mouth_box(outline + np.array(shift, np.float32), frame.shape, chin=True)
        assert 0 <= box.x1 < box.x2 <= 200
        assert 0 <= box.y1 < box.y2 <= 160


def test_values_without_a_like_opening_do_not_count() -> None:
    ones = np.ones(3, np.float32)
    assert np.isnan(at_like_openings(ones, ones * 0.2, ones, ones * 0.05))
    openings = np.array([0.05, 0.2, np.nan], np.float32)
    assert at_like_openings(2 * ones, openings, ones, ones * 0.05) == 2
