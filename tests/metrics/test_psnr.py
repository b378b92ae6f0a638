from __future__ import annotations

import numpy as np
import pytest

from lipsync.metrics.psnr import Psnr
from lipsync.types import Frame
from tests.metrics.images import noisy


def test_psnr_matches_scikit_image(face: Frame) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    psnr = Psnr()
    psnr.update(noisy(face), face)
    assert psnr.compute() == pytest.approx(metrics.peak_signal_noise_ratio(face, noisy(face)), abs=1e-9)


def test_psnr_by_hand() -> None:
    """One colour of one pixel in a hundred off by 10: MSE 100 / 300."""
    black, other = np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)
    other[3, 4, 1] = 10
    psnr = Psnr()
    psnr.update(other, black)
    assert psnr.compute() == pytest.approx(10 * np.log10(255**2 * 3))
    psnr.update(black, black)  # pooled: twice as many pixels, the same error
    assert psnr.compute() == pytest.approx(10 * np.log10(255**2 * 6))
