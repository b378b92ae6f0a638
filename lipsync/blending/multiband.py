"""Multi-band blending: each band of detail fades over a width of its own.

Burt and Adelson, "A Multiresolution Spline with Application to Image Mosaics", ACM TOG 1983.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.types import FloatArray


def multiband(under: FloatArray, over: FloatArray, alpha: FloatArray, levels: int) -> FloatArray:
    """`over` laid on `under` where `alpha` says, coarse bands widely and fine ones sharply.

    Args:
        under, over: (h, w, 3) float32.
        alpha: (h, w) float32 in [0, 1].
        levels: how often the pictures are halved; fewer where they are too small for it.

    Returns:
        (h, w, 3) float32; equal pictures give themselves, but for rounding.
    """
    if levels < 1 or min(alpha.shape) < 4:
        return under + alpha[..., None] * (over - under)
    small_under, small_over, small_alpha = (cv2.pyrDown(picture) for picture in (under, over, alpha))
    coarse = multiband(_floats(small_under), _floats(small_over), _floats(small_alpha), levels - 1)
    size = alpha.shape[1::-1]
    # The band is what halving loses; both pictures' bands are mixed as sharply as this level shows.
    band = under - cv2.pyrUp(small_under, dstsize=size)
    other = over - cv2.pyrUp(small_over, dstsize=size)
    band += alpha[..., None] * (other - band)
    return _floats(cv2.add(band, cv2.pyrUp(coarse, dstsize=size)))


def _floats(picture: object) -> FloatArray:
    return np.asarray(picture, np.float32)
