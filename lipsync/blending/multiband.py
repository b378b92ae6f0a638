"""Multi-band blending: each band of detail fades over a width of its own.

Burt and Adelson, "A Multiresolution Spline with Application to Image Mosaics", ACM TOG 1983.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.types import FloatArray


def multiband(background: FloatArray, foreground: FloatArray, alpha: FloatArray, levels: int) -> FloatArray:
    """Blend two images over a Laplacian pyramid.

    Coarse bands fade over a wide edge, fine ones over a sharp one.

    Args:
        background, foreground: (h, w, 3) float32.
        alpha: (h, w) float32 in [0, 1], 1 for the foreground.
        levels: of the pyramid; fewer where the images are too small.

    Returns:
        (h, w, 3) float32; equal images give themselves, up to rounding.
    """
    if levels < 1 or min(alpha.shape) < 4:
        return background + alpha[..., None] * (foreground - background)
    half_background, half_foreground, half_alpha = (
        cv2.pyrDown(image) for image in (background, foreground, alpha)
    )
    coarse = multiband(_floats(half_background), _floats(half_foreground), _floats(half_alpha), levels - 1)
    size = alpha.shape[1::-1]
    # A band is what halving loses; the two images' bands are mixed by this level's alpha.
    band = background - cv2.pyrUp(half_background, dstsize=size)
    other = foreground - cv2.pyrUp(half_foreground, dstsize=size)
    band += alpha[..., None] * (other - band)
    return _floats(cv2.add(band, cv2.pyrUp(coarse, dstsize=size)))


def _floats(image: object) -> FloatArray:
    return np.asarray(image, np.float32)
