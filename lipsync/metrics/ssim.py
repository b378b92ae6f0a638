"""Structural similarity of aligned frames, whole or within a region."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.metrics.base import MetricSpec, Region, check_pair
from lipsync.types import FloatArray, Frame

_WINDOW, _SIGMA = 11, 1.5
_RADIUS = _WINDOW // 2
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Ssim:
    """Structural similarity, 1 for equal frames.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE
    TIP 2004: Gaussian windows of 11 pixels (sigma 1.5), K1 = 0.01, K2 = 0.03; the mean over the
    three channels. Equal to scikit-image's with `gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False`; torchmetrics takes 8 times as long. Only windows that lie within
    the frame and the region count; every window of every frame has the same weight.
    """

    spec = MetricSpec(
        "ssim", "SSIM", "", higher_is_better=True, perfect=1.0, bounds=(-1.0, 1.0), regional=True
    )

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Add one pair of frames; see `Metric.update`."""
        check_pair(self.spec, result, reference, where)
        region = np.ones(result.shape[:2], np.uint8) if where is None else where.astype(np.uint8)
        # A window extends five pixels around its centre and must not leave the region.
        kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
        centers = cv2.erode(region, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0.0,))
        x, y, width, height = cv2.boundingRect(centers)
        if not width:
            return
        crop = (
            slice(max(0, y - _RADIUS), y + height + _RADIUS),
            slice(max(0, x - _RADIUS), x + width + _RADIUS),
        )
        values = ssim_map(result[crop], reference[crop])
        chosen = centers[crop].astype(bool)
        self._sum += float(values[chosen].mean(1, dtype=np.float64).sum())
        self._count += int(chosen.sum())

    def compute(self) -> float:
        """Mean over all windows, at most 1; NaN without any."""
        return self._sum / self._count if self._count else float("nan")


def ssim_map(result: Frame, reference: Frame) -> FloatArray:
    """SSIM of the window around every pixel, float32 (H, W, 3); frames are padded by reflection."""
    a, b = result.astype(np.float32), reference.astype(np.float32)
    mean_a, mean_b = _blur(a), _blur(b)
    product = mean_a * mean_b
    variance_a, variance_b = _blur(a * a) - mean_a * mean_a, _blur(b * b) - mean_b * mean_b
    covariance = _blur(a * b) - product
    numerator = (2 * product + np.float32(_C1)) * (2 * covariance + np.float32(_C2))
    squares = mean_a * mean_a + mean_b * mean_b
    denominator = (squares + np.float32(_C1)) * (variance_a + variance_b + np.float32(_C2))
    return np.asarray(numerator / denominator, np.float32)


def _blur(values: FloatArray) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA), np.float32)
