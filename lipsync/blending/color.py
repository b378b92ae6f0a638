"""Colour matching of the generated crop to the skin around it.

Crop and source are compared in the ring where the mask fades, where both should show the same skin.
The difference is spread smoothly over the whole mask, as membrane cloning does (Farbman et al.,
"Coordinates for Instant Image Cloning", SIGGRAPH 2009), here by normalised convolution (Knutsson and
Westin, CVPR 1993). So light that differs between the cheeks is matched on both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray
from lipsync.utils.ordered_section import ALONE

_SECONDS = 0.2
"""Time constant of the average: light changes slowly, the generator's errors do not."""
_CELL = 8
"""Pixels of the crop per cell of the offset field, at least."""
_MAX_CELLS = 16
"""Cells of the offset field along either side, at most: crops may be as large as the face in the video."""
_BLUR = 5
"""Pixels of the crop by which the mask's edge is softened to find the ring."""
_REACH = 0.2
"""Standard deviation of the spreading, in sides of the crop."""
_OUTLIER_LEVELS = 20.0
"""Levels of 255. A cell that deviates from the median by more is not a tint: the jaw moved there."""
_MIN_RING_SHARE = 0.2
"""Share of a cell that the ring must cover for the cell to count."""
_MIN_SKIN_LEVEL = 16.0
"""Levels; skin is taken to be at least this light."""
_MAX_OFFSET = 48.0
"""Levels by which a colour is moved at most."""


class ColorMatch:
    """Colour offsets for the generated crops of one video, in order of time.

    Args:
        fps: frames per second.
    """

    def __init__(self, fps: float) -> None:
        self._decay = math.exp(-1 / (_SECONDS * fps))
        self._field: FloatArray | None = None

    def reset(self) -> None:
        """Reset the temporal smoothing, as at a cut."""
        self._field = None

    @property
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What the next frame depends on, as arrays; empty at a start."""
        return {} if self._field is None else {"field": self._field}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from `state`."""
        self._field = state.get("field")

    def offsets(
        self,
        generated: FloatArray,
        source: FloatArray,
        alpha: FloatArray,
        turn: AbstractContextManager[object] = ALONE,
    ) -> FloatArray:
        """Offsets to add to `generated`, smooth over the crop and in time.

        Skin gets the full offset; what is darker than skin gets less, in proportion, so that the
        inside of the mouth stays dark.

        Args:
            generated, source: (h, w, 3) RGB float32 in [0, 255], crops of the whole box.
            alpha: (h, w) the mask.
            turn: entered while the average over time is read and changed.

        Returns:
            (h, w, 3) float32, levels of 255.
        """
        height, width = alpha.shape
        cells = _cells(width), _cells(height)
        # Averages over cells: how far the ring covers each, and the colours there.
        soft = cv2.blur(alpha, (_BLUR, _BLUR))
        ring = _floats(cv2.resize(4 * soft * (1 - soft), cells, interpolation=cv2.INTER_AREA))
        current = _floats(cv2.resize(generated, cells, interpolation=cv2.INTER_AREA))
        target = _floats(cv2.resize(source, cells, interpolation=cv2.INTER_AREA))
        if not (ring > _MIN_RING_SHARE).any():
            return np.zeros_like(generated)
        field = _spread(target - current, ring)
        with turn:
            if self._field is not None and self._field.shape == field.shape:
                field += np.float32(self._decay) * (self._field - field)
            self._field = field
        skin = np.maximum(np.median(current[ring > _MIN_RING_SHARE], axis=0), _MIN_SKIN_LEVEL)
        skin = skin.astype(np.float32)
        offsets = _floats(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR))
        offsets *= np.minimum(generated / skin, 1)
        return offsets


def first_row_compared(mask_row: int, height: int) -> int:
    """First row of a crop that `ColorMatch` looks at, for a mask that begins at `mask_row`."""
    cell = height / _cells(height)
    return int(max(mask_row - _BLUR // 2, 0) // cell * cell)


def _cells(side: int) -> int:
    return min(max(1, side // _CELL), _MAX_CELLS)


def _spread(difference: FloatArray, ring: FloatArray) -> FloatArray:
    """Extrapolate the differences on the ring smoothly to all cells.

    Args:
        difference: (rows, columns, 3), levels.
        ring: (rows, columns) share of each cell that the ring covers.
    """
    median = np.median(difference[ring > _MIN_RING_SHARE], axis=0)
    deviation = np.abs(difference - median).max(axis=2) / _OUTLIER_LEVELS
    confidence = ring / (1 + deviation**4)
    sigma = _REACH * max(ring.shape)
    weighted = _floats(
        cv2.GaussianBlur(np.dstack([difference * confidence[..., None], confidence]), (0, 0), sigma)
    )
    # A little of the median, for cells that no confident part of the ring is near to.
    prior = 0.05 * float(ring.mean()) + 1e-6
    field = (weighted[..., :3] + prior * median) / (weighted[..., 3:] + prior)
    return _floats(np.clip(field, -_MAX_OFFSET, _MAX_OFFSET))


def _floats(image: object) -> FloatArray:
    return np.asarray(image, np.float32)
