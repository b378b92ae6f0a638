"""Degraded frames for the image metrics."""

from __future__ import annotations

import numpy as np

from lipsync.types import Frame


def noisy(frame: Frame, scale: float = 12) -> Frame:
    """The frame with Gaussian noise of this standard deviation, in grey levels."""
    noise = np.random.default_rng(0).normal(scale=scale, size=frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)
