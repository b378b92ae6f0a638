"""Fine detail of the source's skin, which the small drawn picture cannot hold.

A generator draws 96 or 128 pixels across the face. What the source shows beyond that (pores, stubble,
grain) is put back where the drawn picture, at its own size, agrees with the source. Where it does not,
skin or lips have moved, and the source's detail would be a ghost of the old mouth.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from lipsync.types import FloatArray

_AGREE = 10.0
"""Levels of 255 by which drawn and source may differ and still show the same."""
_SECONDS = 0.15
"""How slowly detail comes back. It goes at once: a late return is not seen, a ghost is."""


class DetailKeeper:
    """Says how much of the source's detail each drawn picture of one video may keep."""

    def __init__(self, fps: float) -> None:
        self._kept = math.exp(-1 / (_SECONDS * fps))
        self._share: FloatArray | None = None

    def forget(self) -> None:
        """The next picture does not follow the one before."""
        self._share = None

    def share(self, drawn: FloatArray, source: FloatArray) -> FloatArray:
        """The part of the detail to keep at each place, 0..1, without sudden returns.

        Args:
            drawn, source: (h, w, 3) in [0, 255], the whole box.

        Returns:
            (h, w) float32.
        """
        share = agreement(drawn, source)
        if self._share is not None and self._share.shape == share.shape:
            np.minimum(share, share + np.float32(self._kept) * (self._share - share), out=share)
        self._share = share
        return share


def agreement(drawn: FloatArray, source: FloatArray) -> FloatArray:
    """How far two pictures show the same at each place, (h, w) 0..1; arguments as for `share`."""
    red, green, blue = cv2.split(cv2.absdiff(drawn, source))
    apart = cv2.GaussianBlur(cv2.max(red, cv2.max(green, blue)), (5, 5), 1.0)
    return np.asarray(cv2.exp(cv2.multiply(apart, apart, scale=-1 / _AGREE**2)), np.float32)
