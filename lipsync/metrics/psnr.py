"""Peak signal-to-noise ratio of aligned frames, whole or within a region."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.metrics.base import MetricSpec, Region, check_pair
from lipsync.types import Frame


class Psnr:
    """Peak signal-to-noise ratio, 10 log10(255² / MSE), in dB.

    Infinite for equal frames. The squared error is pooled over all pixels of all frames and the three
    channels, so that one equal frame does not make the whole infinite.
    """

    spec = MetricSpec(
        "psnr",
        "PSNR",
        "dB",
        higher_is_better=True,
        perfect=np.inf,
        bounds=(0.0, np.inf),
        regional=True,
        digits=1,
    )

    def __init__(self) -> None:
        self._squared_error, self._count = 0.0, 0

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Add one pair of frames; see `Metric.update`."""
        check_pair(self.spec, result, reference, where)
        mask = None if where is None else where.view(np.uint8)
        self._squared_error += cv2.norm(result, reference, cv2.NORM_L2SQR, mask)
        self._count += 3 * (result[..., 0].size if where is None else int(where.sum()))

    def compute(self) -> float:
        """PSNR in dB; NaN without pixels."""
        if not self._count:
            return float("nan")
        if not self._squared_error:
            return float("inf")
        return float(10 * np.log10(255**2 * self._count / self._squared_error))
