"""The metrics of `benchmarks.quality`, on synthetic images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.mouth_metrics import MotionMeter, Movement, color_shift, jitter, sharpness
from lipsync.metrics.seam import Edge, seam
from lipsync.types import FloatArray, Frame, Mask, PixelBox

BOX = PixelBox(60, 40, 260, 300)
WIDTH = BOX[2] - BOX[0]


@pytest.fixture(scope="module")
def source() -> Frame:
    """A texture that optical flow can follow."""
    random = np.random.default_rng(0)
    cloud = cv2.GaussianBlur(random.normal(0, 1, (340, 320, 3)).astype(np.float32), (0, 0), 2.5)
    return np.clip(128 + 200 * cloud, 0, 255).astype(np.uint8)


def disc(soft: float) -> Mask:
    """A mask in the lower half of the box, with an edge that many pixels wide."""
    rows, columns = np.mgrid[150:290, 80:240].astype(np.float32)
    depth = 62 - np.hypot(rows - 220, columns - 160)
    return Mask(80, 150, np.clip(depth / soft + 0.5, 0, 1).astype(np.float32))


def add_under_mask(source: Frame, mask: Mask, change: FloatArray | float) -> Frame:
    """The source with `change` added under the mask."""
    alpha = np.zeros((*source.shape[:2], 1), np.float32)
    height, width = mask.alpha.shape
    alpha[mask.y : mask.y + height, mask.x : mask.x + width, 0] = mask.alpha
    return np.clip(source + alpha * change + 0.5, 0, 255).astype(np.uint8)


def test_no_change_is_no_seam_and_no_tint(source: Frame) -> None:
    edge = Edge.of(disc(1), BOX, source)
    assert seam(source, source, edge) == 0
    assert color_shift(source, source, edge) == 0
    assert sharpness(source, source, disc(1)) == 1


def test_a_hard_edge_is_a_stronger_seam_than_a_soft_one(source: Frame) -> None:
    found = [
        seam(add_under_mask(source, disc(soft), 25.0), source, Edge.of(disc(soft), BOX, source))
        for soft in (1, 12, 50)
    ]
    assert found[0] > 2 * found[1] > 4 * found[2]


def test_a_seam_in_one_place_is_enough(source: Frame) -> None:
    result, mask = source.copy(), disc(1)
    result[265:] = add_under_mask(source, mask, 60.0)[265:]  # at the chin only
    assert seam(result, source, Edge.of(mask, BOX, source)) > 3


def test_the_shift_is_in_lab_and_texture_does_not_count(source: Frame) -> None:
    mask, grey = disc(1), np.full_like(source, 120)
    edge, lighter = Edge.of(mask, BOX, source), add_under_mask(grey, mask, 20.0)
    lab = [cv2.cvtColor(np.full((1, 1, 3), v / 255, np.float32), cv2.COLOR_RGB2Lab)[0, 0] for v in (120, 140)]
    assert color_shift(lighter, grey, edge) == pytest.approx(np.linalg.norm(lab[1] - lab[0]), rel=0.05)
    noise = np.random.default_rng(1).normal(0, 20, source.shape)
    assert color_shift(add_under_mask(grey, mask, noise), grey, edge) < 2


def test_blur_is_less_sharp(source: Frame) -> None:
    blurred = [np.asarray(cv2.GaussianBlur(source, (0, 0), sigma), np.uint8) for sigma in (1, 3)]
    soft, softer = (sharpness(image, source, disc(1)) for image in blurred)
    assert 1 > soft > 2 * softer > 0


def moved(frame: Frame, dx: float, dy: float, degrees: float = 0.0) -> Frame:
    matrix = cv2.getRotationMatrix2D((160, 170), degrees, 1)
    matrix[:, 2] += dx, dy
    return np.asarray(cv2.warpAffine(frame, matrix, (320, 340), borderMode=cv2.BORDER_REFLECT), np.uint8)


@pytest.mark.parametrize("motion", [(0, 0, 0), (4, -3, 0), (2, 1, 1.5)])
def test_a_mouth_that_moves_with_the_head_has_no_motion(source: Frame, motion: tuple[float, ...]) -> None:
    after = moved(source, *motion)
    movement = MotionMeter().movement((source, after), (source, after), BOX, disc(4))
    assert (
        np.abs(movement.drift).max() < 0.1 and movement.change < 0.2
    )  # 0.1 % of 200 pixels is a fifth of one


def test_a_mouth_that_slips_is_measured_in_per_cent_of_the_box(source: Frame) -> None:
    head = moved(source, 3, 0)
    slipped = add_under_mask(head, disc(6), moved(source, 3, 2).astype(np.float32) - head)
    movement = MotionMeter().movement((source, head), (source, slipped), BOX, disc(6))
    np.testing.assert_allclose(movement.drift, [0, 100 * 2 / WIDTH], atol=0.25)
    assert movement.change < 0.2  # nothing in it moves against the rest


def test_a_mouth_that_opens_changes_but_does_not_slip(source: Frame) -> None:
    head, lip = moved(source, 3, 0), disc(6)
    lip.alpha[:80] = 0
    opened = add_under_mask(head, lip, moved(source, 3, 4).astype(np.float32) - head)
    movement = MotionMeter().movement((source, head), (source, opened), BOX, disc(6))
    assert np.abs(movement.drift).max() < 0.3 < 0.4 < movement.change


def test_jitter_is_fast_motion() -> None:
    def of(drifts: FloatArray) -> float:
        return jitter([Movement(drift, 0) for drift in drifts])

    steady = np.tile(np.array([[0.5, -0.2]], np.float32), (20, 1))
    shaking = steady * np.array([[1], [-1]] * 10, np.float32)
    assert of(steady) == pytest.approx(0, abs=1e-6)
    assert of(shaking) == pytest.approx(np.hypot(0.5, 0.2), rel=0.3)
    assert np.isnan(of(steady[:3]))
