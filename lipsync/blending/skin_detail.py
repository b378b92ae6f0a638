"""Transfer of fine skin detail from the source.

A generator's crop is only 96 or 128 pixels wide. What the source shows beyond that (pores, stubble, grain)
is added back where the crop, at its own size, agrees with the source. Elsewhere skin or lips have
moved, and the source's detail would show the old mouth as a ghost.
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

_AGREEMENT_LEVELS = 10.0
"""Levels of 255: scale of the difference at which the crop no longer agrees with the source."""
_SECONDS = 0.15
"""Time constant of recovering detail. Its loss is immediate: late recovery is not noticed, a ghost is."""


class DetailTransfer:
    """Weights for the source's detail in the frames of one video, in order of time.

    Args:
        fps: frames per second.
    """

    def __init__(self, fps: float) -> None:
        self._decay = math.exp(-1 / (_SECONDS * fps))
        self._weights: FloatArray | None = None

    def reset(self) -> None:
        """Reset the temporal smoothing, as at a cut."""
        self._weights = None

    @property
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What the next frame depends on, as arrays; empty at a start."""
        return {} if self._weights is None else {"weights": self._weights}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from `state`."""
        self._weights = state.get("weights")

    def weights(
        self,
        generated: FloatArray,
        source: FloatArray,
        turn: AbstractContextManager[object] = ALONE,
    ) -> FloatArray:
        """Share of the source's detail to add at each pixel.

        Args:
            generated, source: (h, w, 3) RGB float32 in [0, 255], crops of the whole box.
            turn: entered while the last frame's weights are read and replaced.

        Returns:
            (h, w) float32 in [0, 1]; rises slowly over time, falls at once.
        """
        weights = agreement(generated, source)
        with turn:
            if self._weights is not None and self._weights.shape == weights.shape:
                risen = weights + np.float32(self._decay) * (self._weights - weights)
                np.minimum(weights, risen, out=weights)
            self._weights = weights
        return weights


def agreement(generated: FloatArray, source: FloatArray) -> FloatArray:
    """Similarity of two crops at each pixel.

    Args:
        generated, source: (h, w, 3) RGB float32 in [0, 255].

    Returns:
        (h, w) float32: 1 where they are equal, falling to 0 as a Gaussian of their difference.
    """
    red, green, blue = cv2.split(cv2.absdiff(generated, source))
    difference = cv2.GaussianBlur(cv2.max(red, cv2.max(green, blue)), (5, 5), 1.0)
    return np.asarray(
        cv2.exp(cv2.multiply(difference, difference, scale=-1 / _AGREEMENT_LEVELS**2)), np.float32
    )
