"""PSNR and SSIM of pictures in step, whole or in a region."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.metrics.base import MetricSpec, Region, check_pair
from lipsync.types import Frame

_WINDOW, _SIGMA = 11, 1.5
_REACH = _WINDOW // 2
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Psnr:
    """Peak signal-to-noise ratio, 10 log10(255² / MSE), in dB; infinite for equal pictures.

    The squared error is pooled over all pixels of all frames and the three colours, so that one
    equal frame does not make the whole infinite.
    """

    spec = MetricSpec("psnr", "PSNR", "dB", higher_is_better=True, perfect=np.inf, regional=True)

    def __init__(self) -> None:
        self._squared, self._count = 0.0, 0

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Count one pair of frames."""
        check_pair(self.spec, result, reference, where)
        mask = None if where is None else where.view(np.uint8)
        self._squared += cv2.norm(result, reference, cv2.NORM_L2SQR, mask)
        self._count += 3 * (result[..., 0].size if where is None else int(where.sum()))

    def compute(self) -> float:
        """Decibels."""
        if not self._count:
            return float("nan")
        if not self._squared:
            return float("inf")
        return float(10 * np.log10(255**2 * self._count / self._squared))


class Ssim:
    """Structural similarity, 1 for equal pictures.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE
    TIP 2004: Gaussian windows of 11 pixels (sigma 1.5), K1 = 0.01, K2 = 0.03; the mean over the
    three colours. The same as scikit-image's with `gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False`. Only windows that lie in the picture, and in the region, count;
    every window of every frame counts the same.
    """

    spec = MetricSpec("ssim", "SSIM", "", higher_is_better=True, perfect=1.0, regional=True)

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Count one pair of frames."""
        check_pair(self.spec, result, reference, where)
        whole = np.ones(result.shape[:2], np.uint8) if where is None else where.astype(np.uint8)
        # A window reaches five pixels around its middle, and must not leave the region.
        kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
        centres = cv2.erode(whole, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0.0,))
        x, y, width, height = cv2.boundingRect(centres)
        if not width:
            return
        part = (
            slice(max(0, y - _REACH), y + height + _REACH),
            slice(max(0, x - _REACH), x + width + _REACH),
        )
        values = _ssim_map(result[part], reference[part])
        chosen = centres[part].astype(bool)
        self._sum += float(values[chosen].mean(1, dtype=np.float64).sum())
        self._count += int(chosen.sum())

    def compute(self) -> float:
        """At most 1."""
        return self._sum / self._count if self._count else float("nan")


def _ssim_map(one: Frame, other: Frame) -> cv2.typing.MatLike:
    """SSIM of the window around every pixel, float32 (H, W, 3)."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    mean_a, mean_b = _blur(a), _blur(b)
    product = mean_a * mean_b
    spread_a, spread_b = _blur(a * a) - mean_a * mean_a, _blur(b * b) - mean_b * mean_b
    together = _blur(a * b) - product
    above = (2 * product + np.float32(_C1)) * (2 * together + np.float32(_C2))
    squares = mean_a * mean_a + mean_b * mean_b
    below = (squares + np.float32(_C1)) * (spread_a + spread_b + np.float32(_C2))
    return np.asarray(above / below, np.float32)


def _blur(values: cv2.typing.MatLike) -> cv2.typing.MatLike:
    return cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA, borderType=cv2.BORDER_REFLECT)
