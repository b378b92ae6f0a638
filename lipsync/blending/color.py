"""Colours of the drawn mouth brought to those around it, so that no patch of another tint shows.

Drawn picture and source are compared in the ring where the mask fades, where both should show the
same skin. The difference is spread smoothly over the whole mask, as membrane cloning does (Farbman
et al., "Coordinates for Instant Image Cloning", SIGGRAPH 2009), here by normalised convolution
(Knutsson and Westin, CVPR 1993). So light that differs from cheek to cheek is matched on both.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from lipsync.types import FloatArray

_SECONDS = 0.2
"""Time over which the colours are averaged: light changes slowly, the drawn picture's errors do not."""
_CELL = 8
"""Pixels of the drawn picture to a cell of the field of offsets."""
_REACH = 0.2
"""Standard deviation of the spreading, in sides of the picture."""
_UNLIKE = 20.0
"""Levels. A place that is off by more than this from the usual is no matter of tint: a jaw moved there."""
_ON_RING = 0.2
"""Share of a cell that the ring must cover for the cell's colours to count as the ring's."""
_DARK = 16.0
"""Levels; skin is taken to be at least this light."""
_MOST = 48.0
"""Levels by which a colour is moved at most."""


class ColorMatch:
    """Finds what has to be added to each drawn picture of one video, in order of time."""

    def __init__(self, fps: float) -> None:
        self._kept = math.exp(-1 / (_SECONDS * fps))
        self._field: FloatArray | None = None

    def forget(self) -> None:
        """The next picture does not follow the one before."""
        self._field = None

    def offsets(self, drawn: FloatArray, source: FloatArray, alpha: FloatArray) -> FloatArray:
        """What to add to `drawn`, smooth over the picture and in time.

        Skin gets all of it; what is darker than the skin gets less, as if light were changed, so
        that the inside of the mouth stays dark.

        Args:
            drawn, source: (h, w, 3) in [0, 255], the whole box.
            alpha: (h, w) the mask.

        Returns:
            (h, w, 3), levels of 255.
        """
        height, width = alpha.shape
        cells = max(1, width // _CELL), max(1, height // _CELL)
        # Averages over cells: how far the ring covers each, and the colours there.
        soft = cv2.blur(alpha, (5, 5))
        ring = _floats(cv2.resize(4 * soft * (1 - soft), cells, interpolation=cv2.INTER_AREA))
        shown = _floats(cv2.resize(drawn, cells, interpolation=cv2.INTER_AREA))
        wanted = _floats(cv2.resize(source, cells, interpolation=cv2.INTER_AREA))
        if not (ring > _ON_RING).any():
            return np.zeros_like(drawn)
        field = _spread(wanted - shown, ring)
        if self._field is not None and self._field.shape == field.shape:
            field += np.float32(self._kept) * (self._field - field)
        self._field = field
        skin = np.maximum(np.median(shown[ring > _ON_RING], axis=0), _DARK).astype(np.float32)
        offsets = _floats(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR))
        offsets *= np.minimum(drawn / skin, 1)
        return offsets


def _spread(difference: FloatArray, ring: FloatArray) -> FloatArray:
    """(rows, columns, 3) differences, as they are on the ring, carried smoothly over all cells."""
    usual = np.median(difference[ring > _ON_RING], axis=0)
    unlike = np.abs(difference - usual).max(axis=2) / _UNLIKE
    trust = ring / (1 + unlike**4)
    reach = _REACH * max(ring.shape)
    weighted = _floats(cv2.GaussianBlur(np.dstack([difference * trust[..., None], trust]), (0, 0), reach))
    # A little of the usual difference, for places that no trusted part of the ring is near to.
    prior = 0.05 * float(ring.mean()) + 1e-6
    field = (weighted[..., :3] + prior * usual) / (weighted[..., 3:] + prior)
    return _floats(np.clip(field, -_MOST, _MOST))


def _floats(picture: object) -> FloatArray:
    return np.asarray(picture, np.float32)
