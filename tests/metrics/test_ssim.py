from __future__ import annotations

import numpy as np
import pytest

from lipsync.blending import make_mask
from lipsync.metrics.psnr import Psnr
from lipsync.metrics.ssim import Ssim
from lipsync.options import BlendOptions
from lipsync.types import Frame, PixelBox
from tests.blending.single import blend
from tests.metrics.images import noisy


def test_ssim_matches_scikit_image(face: Frame) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    ssim, expected = Ssim(), []
    for scale in (3, 12, 50):
        ssim.update(noisy(face, scale), face)
        expected.append(
            metrics.structural_similarity(
                noisy(face, scale),
                face,
                channel_axis=2,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    assert ssim.compute() == pytest.approx(np.mean(expected), abs=1e-5)


def test_ssim_of_a_region_ignores_pixels_outside(face: Frame) -> None:
    """Windows that reach out of the region do not count, so that it is exactly 1."""
    where = np.ones(face.shape[:2], bool)
    where[100:160, 100:200] = False
    other = face.copy()
    other[~where] = 255 - other[~where]
    ssim = Ssim()
    ssim.update(other, face, where)
    assert ssim.compute() == 1.0
    ssim = Ssim()
    ssim.update(other, face, ~where)
    assert ssim.compute() < 0.5


def test_ssim_of_a_frame_smaller_than_a_window() -> None:
    small = np.zeros((10, 40, 3), np.uint8)
    ssim = Ssim()
    ssim.update(small, small)
    assert np.isnan(ssim.compute())


def test_blending_changes_nothing_outside_its_mask(face: Frame) -> None:
    box, points = PixelBox(60, 20, 220, 230), np.full((5, 2), np.nan, np.float32)
    mouth = np.random.default_rng(1).uniform(0, 1, (3, 96, 96)).astype(np.float32)
    for options in (BlendOptions(), BlendOptions(mask="box"), BlendOptions(feather=40, mask_size=1.5)):
        mask = make_mask(face, box, points, options)
        inside = np.zeros(face.shape[:2], bool)
        height, width = mask.alpha.shape
        inside[mask.y : mask.y + height, mask.x : mask.x + width] = mask.alpha > 0
        drawn = blend(face, mouth, box, points, options)
        outside, within, similar = Psnr(), Psnr(), Ssim()
        outside.update(drawn, face, ~inside)
        similar.update(drawn, face, ~inside)
        within.update(drawn, face, inside)
        assert outside.compute() == np.inf
        assert similar.compute() == 1.0
        assert within.compute() < 30
