"""Shot boundary detection on a stream of frames, from 32 x 18 thumbnails.

A boundary is a cut when *every* one of the three frames before it differs from *every* one of the
three after it: a flash or a single broken frame returns to the old shot and is none. Thumbnails are
normalised in mean and contrast, so that fades and lights switched on are no cuts; and the difference
at a cut must stand out from its neighbours, which that of a fast pan does not.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from lipsync.types import FloatArray, Frame

_THUMBNAIL_SIZE = (32, 18)  # width, height
_ROWS_PER_THUMBNAIL_ROW = 4
"""Rows of the frame sampled for each row of the thumbnail; reading all would take four times as long."""
_FRAMES_BEFORE = 3
_FRAMES_AFTER = 3
_MIN_DIFFERENCE = 0.25
"""Least difference (1 - correlation) at a cut; within a shot it stays below about 0.2, even in motion."""
_MIN_PEAK_RATIO = 2.5
"""Least ratio of the difference at a cut to the smaller one of its neighbours."""
_MIN_CONTRAST = 6.0
"""Grey levels (standard deviation). Below, the thumbnail counts as flat: its pattern is noise."""


class ShotDetector:
    """Detects cuts frame by frame; a cut is known `LAG` frames after it.

    Attributes:
        cuts: numbers of the first frames of the shots after the first.
    """

    LAG = _FRAMES_AFTER - 1

    def __init__(self) -> None:
        self.cuts: list[int] = []
        self._count = 0
        self._recent: deque[FloatArray] = deque(maxlen=_FRAMES_BEFORE + _FRAMES_AFTER)

    def push(self, frame: Frame) -> None:
        """Add the next frame, (H, W, 3) RGB uint8.

        `cuts` is then final up to `LAG` frames before it.
        """
        self._recent.append(_thumbnail(frame))
        self._count += 1
        if self._count >= _FRAMES_AFTER:
            self._test_boundary(_FRAMES_AFTER)

    def close(self) -> None:
        """End the stream: decide the last boundaries with the frames there are."""
        for after in range(min(_FRAMES_AFTER, self._count) - 1, 0, -1):
            self._test_boundary(after)

    def _test_boundary(self, after: int) -> None:
        """Add the boundary that has `after` frames behind it to `cuts`, if it is one."""
        boundary = self._count - after
        frames = list(self._recent)
        old, new = frames[:-after][-_FRAMES_BEFORE:], frames[-after:]
        if not old or _difference(old[-1], new[0]) < _MIN_DIFFERENCE:
            return
        smallest = min(_difference(one, other) for one in old for other in new)
        neighbours = min((_difference(*pair) for pair in (old[-2:], new[:2]) if len(pair) == 2), default=0.0)
        if smallest >= _MIN_DIFFERENCE and smallest > _MIN_PEAK_RATIO * neighbours:
            self.cuts.append(boundary)


def _thumbnail(frame: Frame) -> FloatArray:
    """Normalised grey thumbnail, float32 (18, 32): mean 0, standard deviation 1."""
    rows = frame[:: max(1, frame.shape[0] // (_ROWS_PER_THUMBNAIL_ROW * _THUMBNAIL_SIZE[1]))]
    small = cv2.resize(cv2.cvtColor(rows, cv2.COLOR_RGB2GRAY), _THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA)
    grey = small.astype(np.float32)
    grey -= grey.mean()
    return np.asarray(grey / max(float(grey.std()), _MIN_CONTRAST), dtype=np.float32)


def _difference(one: FloatArray, other: FloatArray) -> float:
    """1 - correlation: 0 for equal patterns, 1 for unrelated, 0.5 against a flat one."""
    return float(np.square(one - other).mean()) / 2
