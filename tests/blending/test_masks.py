"""Position of the lower-face mask, and softness of its edge."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.blending import box_mask, lower_face_mask, make_mask
from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Mask, PixelBox

FRAME = (640, 480)
BOX = PixelBox(200, 100, 400, 380)
# A frontal face in BOX: eyes, nose tip, mouth corners.
POINTS = np.array([[258, 198], [342, 198], [300, 250], [266, 293], [334, 293]], np.float32)
UNKNOWN = np.full((5, 2), np.nan, np.float32)
OPTIONS = BlendOptions()


def full(mask: Mask) -> FloatArray:
    """The mask in a whole frame."""
    alpha = np.zeros(FRAME[::-1], np.float32)
    height, width = mask.alpha.shape
    alpha[mask.y : mask.y + height, mask.x : mask.x + width] = mask.alpha
    return alpha


def turned(degrees: float, about: tuple[float, float] = (300, 240)) -> FloatArray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return ((POINTS - about) @ turn + about).astype(np.float32)


def at(alpha: FloatArray, x: float, y: float) -> float:
    return float(alpha[round(y), round(x)])


def test_shape_and_range() -> None:
    mask = lower_face_mask(POINTS, BOX, FRAME, OPTIONS)
    assert mask.alpha.dtype == np.float32
    assert mask.alpha.min() == 0 and mask.alpha.max() == 1
    height, width = mask.alpha.shape
    assert BOX[0] <= mask.x and mask.x + width <= BOX[2]
    assert BOX[1] <= mask.y and mask.y + height <= BOX[3]


@pytest.mark.parametrize("points", [POINTS, UNKNOWN], ids=["points", "box only"])
def test_mouth_and_chin_are_inside_nose_and_eyes_are_not(points: FloatArray) -> None:
    alpha = full(lower_face_mask(points, BOX, FRAME, OPTIONS))
    for corner in POINTS[3:]:
        assert at(alpha, *corner) > 0.95
    for down in (0, 30, 60):  # lips, chin, open jaw
        assert at(alpha, 300, 293 + down) > 0.95
    assert at(alpha, 255, 310) > 0.8 and at(alpha, 345, 310) > 0.8  # cheeks beside an open mouth
    assert at(alpha, *POINTS[2]) < 0.05  # nose tip
    assert alpha[: int(POINTS[2, 1]) - 8].max() == 0


@pytest.mark.parametrize("degrees", [-30, -12, 0, 12, 30])
def test_it_turns_with_the_head(degrees: float) -> None:
    """In a box so large that its edges are far away, turning points turns the mask."""
    large = PixelBox(100, 10, 500, 470)
    straight = full(lower_face_mask(POINTS, large, FRAME, OPTIONS))
    alpha = full(lower_face_mask(turned(degrees), large, FRAME, OPTIONS))
    angle = np.deg2rad(degrees)
    for x in range(220, 381, 8):
        for y in range(230, 371, 7):
            dx, dy = x - 300, y - 240
            there = (
                300 + dx * np.cos(angle) - dy * np.sin(angle),
                240 + dx * np.sin(angle) + dy * np.cos(angle),
            )
            assert at(alpha, *there) == pytest.approx(at(straight, x, y), abs=0.05), (x, y)


@pytest.mark.parametrize("points", [POINTS, turned(25), turned(-40), UNKNOWN])
@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("feather", [0.0, 12.0, 50.0])
def test_it_is_0_at_the_edges_of_the_box(points: FloatArray, size: float, feather: float) -> None:
    options = BlendOptions(mask_size=size, feather=feather)
    alpha = full(lower_face_mask(points, BOX, FRAME, options))
    x1, y1, x2, y2 = BOX
    inner = alpha[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].copy()
    assert inner.max() > 0
    alpha[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] = 0
    assert alpha.max() == 0


def test_it_does_not_fade_where_the_frame_clips_the_box() -> None:
    points = POINTS + np.array([0, 150], np.float32)
    box = PixelBox(200, 250, 400, 480)
    alpha = full(lower_face_mask(points, box, FRAME, OPTIONS))
    assert alpha[479, 300] == 1
    assert alpha[:, 200].max() == 0  # the other edges still do


@pytest.mark.parametrize("shift", [-260, 250])
def test_a_face_that_leaves_the_frame(shift: int) -> None:
    points = POINTS + np.array([shift, 0], np.float32)
    box = PixelBox(max(0, BOX.x1 + shift), BOX.y1, min(FRAME[0], BOX.x2 + shift), BOX.y2)
    mask = lower_face_mask(points, box, FRAME, OPTIONS)
    assert mask.x >= 0 and mask.x + mask.alpha.shape[1] <= FRAME[0]
    assert np.isfinite(mask.alpha).all() and mask.alpha.max() > 0.5


def test_the_edge_rises_steadily_and_without_steps() -> None:
    alpha = full(lower_face_mask(POINTS, BOX, FRAME, OPTIONS))
    for line in (alpha[293, BOX[0] : 300], alpha[BOX[1] : 293, 300], alpha[320 : BOX[3], 300][::-1]):
        steps = np.diff(line)
        assert steps.min() >= -1e-6
        assert steps.max() < 0.12
        assert line[0] == 0 and line[-1] == 1


def test_a_wider_feather_is_softer_and_none_is_hard() -> None:
    def soft_pixels(feather: float) -> int:
        alpha = lower_face_mask(POINTS, BOX, FRAME, BlendOptions(feather=feather)).alpha
        return int(((alpha > 0.01) & (alpha < 0.99)).sum())

    assert soft_pixels(0) == 0 < soft_pixels(5) < soft_pixels(12) < soft_pixels(25)


def test_size_grows_the_mask() -> None:
    areas = [
        lower_face_mask(POINTS, BOX, FRAME, BlendOptions(mask_size=size)).alpha.sum()
        for size in (0.5, 1.0, 1.5)
    ]
    assert areas[0] < areas[1] < areas[2]


@pytest.mark.parametrize(
    "points",
    [
        np.where(np.arange(5)[:, None] == 2, np.nan, POINTS),  # one is unknown
        POINTS + 500,  # another face
        np.full((5, 2), 300, np.float32),  # all in one place
    ],
)
def test_implausible_landmarks_are_not_used(points: FloatArray) -> None:
    expected = lower_face_mask(UNKNOWN, BOX, FRAME, OPTIONS)
    got = lower_face_mask(points.astype(np.float32), BOX, FRAME, OPTIONS)
    np.testing.assert_array_equal(full(got), full(expected))
    assert not np.array_equal(full(got), full(lower_face_mask(POINTS, BOX, FRAME, OPTIONS)))


@pytest.mark.parametrize("box", [(5, 5, 6, 6), (0, 0, 2, 2), (10, 10, 13, 200), (0, 0, 640, 480)])
@pytest.mark.parametrize("points", [POINTS, UNKNOWN])
def test_any_box(box: tuple[int, int, int, int], points: FloatArray) -> None:
    mask = lower_face_mask(points, PixelBox(*box), FRAME, OPTIONS)
    assert np.isfinite(mask.alpha).all()
    assert box[0] <= mask.x and mask.x + mask.alpha.shape[1] <= box[2]
    assert box[1] <= mask.y and mask.y + mask.alpha.shape[0] <= box[3]


def test_make_mask_follows_the_option() -> None:
    frame = np.zeros((*FRAME[::-1], 3), np.uint8)
    hard = make_mask(frame, BOX, POINTS, BlendOptions(mask="box"))
    assert (hard.x, hard.y, hard.alpha.shape) == (200, 100, (280, 200)) and hard.alpha.min() == 1
    np.testing.assert_array_equal(hard.alpha, box_mask(BOX).alpha)
    soft = make_mask(frame, BOX, POINTS, OPTIONS)
    np.testing.assert_array_equal(soft.alpha, lower_face_mask(POINTS, BOX, FRAME, OPTIONS).alpha)
